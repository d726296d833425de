package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/e2e/history"
)

// versionOrigin is where testdata/versions finds its values. Each says which
// load it was, when that began and which version of the key it found: those
// only grow. All loads are in a history.
type versionOrigin struct {
	rec *history.Recorder
	url string

	mu       sync.Mutex
	versions map[string]int
	held     map[string]*held
	loads    int
}

// held is a key whose loads wait.
type held struct {
	loading  chan struct{} // has an element when there is one
	released chan struct{}
}

// startVersions starts an origin on a port of an address.
func startVersions(t *testing.T, host string, rec *history.Recorder) *versionOrigin {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
	require.NoError(t, err)
	o := &versionOrigin{rec: rec, url: "http://" + listener.Addr().String(), versions: map[string]int{}, held: map[string]*held{}}
	server := &http.Server{Handler: o, ReadHeaderTimeout: patience}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) }) // it says that it was closed
	t.Cleanup(func() {
		_ = server.Close() // those who wait are gone
		running.Wait()
	})
	return o
}

// ServeHTTP answers with the value of a key. The path tells which life of which
// node asks. Most loads take a few milliseconds, some ten times as long.
func (o *versionOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, number, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/")
	life, err := strconv.Atoi(number)
	if err != nil {
		http.Error(w, "the path is no life of a node", http.StatusBadRequest)
		return
	}
	v := history.Value{Key: r.URL.Query().Get("key")}
	o.mu.Lock()
	o.loads++
	v.Load, v.Version = fmt.Sprintf("%s/%d/%d", id, life, o.loads), o.versions[v.Key]+1
	v.Begin = o.rec.BeginLoad(history.Load{ID: v.Load, Node: id, Life: life, Key: v.Key, Version: v.Version})
	kept := o.held[v.Key]
	o.mu.Unlock()
	if kept != nil {
		select {
		case kept.loading <- struct{}{}:
		default:
		}
		select {
		case <-kept.released:
		case <-r.Context().Done():
		}
	}
	takes := time.Duration(rand.Int64N(int64(5 * time.Millisecond)))
	if rand.IntN(8) == 0 {
		takes *= 10
	}
	answered := time.NewTimer(takes)
	defer answered.Stop()
	select {
	case <-answered.C:
		_, err = w.Write([]byte(v.String()))
	case <-r.Context().Done():
		err = r.Context().Err()
	}
	o.rec.EndLoad(v.Load, func(l *history.Load) { l.Failed = err != nil })
}

// change makes later loads of keys find a newer version.
func (o *versionOrigin) change(keys ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, key := range keys {
		o.versions[key]++
	}
}

// hold makes loads of a key that begin from now on wait until they are
// released. The channel has an element when there is one.
func (o *versionOrigin) hold(key string) (loading <-chan struct{}, release func()) {
	h := &held{loading: make(chan struct{}, 1), released: make(chan struct{})}
	o.mu.Lock()
	o.held[key] = h
	o.mu.Unlock()
	return h.loading, func() {
		o.mu.Lock()
		delete(o.held, key)
		o.mu.Unlock()
		close(h.released)
	}
}
