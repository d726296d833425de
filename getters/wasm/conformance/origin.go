package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// origin is the server that probes fetch from.
type origin struct {
	url  string
	gone string // the URL of a server that is not there

	server  *http.Server
	serving sync.WaitGroup

	mu      sync.Mutex
	held    chan struct{} // requests under /held wait until it is closed
	arrived chan struct{} // one for each of them
}

func newOrigin() (*origin, error) {
	o := &origin{arrived: make(chan struct{}, 10_000)}
	gone, err := listen()
	if err != nil {
		return nil, err
	}
	listener, err := listen()
	if err := errors.Join(err, gone.Close()); err != nil {
		return nil, err
	}
	o.gone, o.url = "http://"+gone.Addr().String(), "http://"+listener.Addr().String()
	o.server = &http.Server{Handler: o, ReadHeaderTimeout: patience}
	o.serving.Go(func() { _ = o.server.Serve(listener) }) // until it is closed
	return o, nil
}

func listen() (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
}

// close ends the server and what it is doing.
func (o *origin) close() {
	_ = o.server.Close()
	o.serving.Wait()
}

// hold lets requests under /held wait until the result is called.
func (o *origin) hold(t T) (release func()) {
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
func (o *origin) arrivals(t T, n int) {
	t.Helper()
	timeout := time.After(patience)
	for i := range n {
		select {
		case <-o.arrived:
		case <-t.Context().Done():
			require.Fail(t, "given up", "%d of %d requests have arrived", i, n)
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
