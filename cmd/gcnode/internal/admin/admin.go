// Package admin is the HTTP interface of a node for those who run it: is it
// alive, is it ready, and its figures.
package admin

import (
	"net/http"
	"net/http/pprof"
	"sync/atomic"
)

// Readiness says whether applications should be sent to the node. The zero
// value is not ready. It may be used from any goroutine.
type Readiness struct {
	reason atomic.Pointer[func() string] // why not; nil before the first is set
}

// ReadyUnless says that the node serves whenever reason is empty. It is called
// from any goroutine.
func (r *Readiness) ReadyUnless(reason func() string) { r.reason.Store(&reason) }

// NotReady says why the node does not serve.
func (r *Readiness) NotReady(reason string) { r.ReadyUnless(func() string { return reason }) }

// ServeHTTP answers 200 when the node serves, else 503 with the reason.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	reason := "starting"
	if why := r.reason.Load(); why != nil {
		reason = (*why)()
	}
	if reason != "" {
		plain(w, http.StatusServiceUnavailable, "not ready: "+reason+"\n")
		return
	}
	plain(w, http.StatusOK, "ready\n")
}

// plain answers with a line of text.
func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// Options are what the interface serves; all but Pprof are required.
type Options struct {
	Readiness *Readiness
	Metrics   *Metrics
	Stats     http.Handler
	Pprof     bool // Go's profiling endpoints under /debug/pprof/
}

// NewHandler makes the interface.
func NewHandler(opts Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "alive\n") })
	mux.Handle("GET /readyz", opts.Readiness)
	mux.Handle("GET /metrics", opts.Metrics.Handler())
	mux.Handle("GET /v1/stats", opts.Stats)
	if opts.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}
