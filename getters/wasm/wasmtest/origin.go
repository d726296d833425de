package wasmtest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// origin is the server that probes fetch from.
type origin struct {
	url  string
	gone string // the URL of a server that is not there

	mu      sync.Mutex
	held    chan struct{} // requests under /held wait until it is closed
	arrived chan struct{} // one for each of them
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{arrived: make(chan struct{}, 10_000)}
	server := httptest.NewServer(o)
	t.Cleanup(server.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	o.url, o.gone = server.URL, gone.URL
	return o
}

// hold lets requests under /held wait until the result is called.
func (o *origin) hold(t *testing.T) (release func()) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.arrived) > 0 {
		<-o.arrived
	}
	o.held = make(chan struct{})
	release = sync.OnceFunc(func() { close(o.held) })
	t.Cleanup(release)
	return release
}

// arrivals waits for n requests under /held.
func (o *origin) arrivals(t *testing.T, n int) {
	t.Helper()
	timeout := time.After(patience)
	for i := range n {
		select {
		case <-o.arrived:
		case <-timeout:
			require.Fail(t, "requests are missing", "%d of %d have arrived", i, n)
		}
	}
}

// ServeHTTP implements [http.Handler].
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	command, argument, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	n, _ := strconv.Atoi(argument)
	switch command {
	case "redirect":
		http.Redirect(w, r, "/redirected", http.StatusFound)
		return
	case "empty":
		return
	case "bytes":
		_, _ = io.WriteString(w, "\x00\xff\r\n")
		return
	case "size":
		_, _ = io.WriteString(w, strings.Repeat("b", n))
		return
	case "status":
		w.WriteHeader(n)
		_, _ = io.WriteString(w, "status")
		return
	case "cut":
		w.Header().Set("Content-Length", argument)
		_, _ = io.WriteString(w, "begun")
		return
	case "hang":
		<-r.Context().Done()
		return
	case "held":
		o.mu.Lock()
		held := o.held
		o.mu.Unlock()
		o.arrived <- struct{}{}
		select {
		case <-held:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("X-ANSWER", r.Method+" "+r.Header.Get("X-Probe"))
	if r.Method == http.MethodPost {
		_, _ = io.Copy(w, r.Body)
		return
	}
	_, _ = fmt.Fprint(w, r.URL.RequestURI())
}
