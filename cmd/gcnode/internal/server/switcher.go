package server

import (
	"net/http"
	"sync/atomic"
)

// switcher is a handler that can be replaced while requests come in.
type switcher struct {
	current atomic.Pointer[http.Handler]
}

func newSwitcher(h http.Handler) *switcher {
	s := &switcher{}
	s.show(h)
	return s
}

// show makes h answer from now on.
func (s *switcher) show(h http.Handler) { s.current.Store(&h) }

// ServeHTTP implements [http.Handler].
func (s *switcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*s.current.Load()).ServeHTTP(w, r)
}
