package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/fstest"
)

// origin is where the godoc getter finds its packages. It keeps a log of what
// was asked of it.
type origin struct {
	*httptest.Server

	mu       sync.Mutex
	packages fstest.MapFS
	asked    map[string]int           // requests by path
	held     map[string]chan struct{} // by path; closed when it is released
	broken   bool
}

// startOrigin starts an origin without packages.
func startOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{packages: fstest.MapFS{}}
	o.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		packages := o.packages
		o.mu.Unlock()
		http.FileServerFS(packages).ServeHTTP(w, r)
	}))
	return o
}

// startTree starts an origin that serves a directory.
func startTree(t *testing.T, dir string) *origin {
	t.Helper()
	o := &origin{}
	o.serve(t, http.FileServer(http.Dir(dir)))
	return o
}

// serve answers requests until the test ends.
func (o *origin) serve(t *testing.T, files http.Handler) {
	t.Helper()
	o.asked, o.held = map[string]int{}, map[string]chan struct{}{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held, broken := o.record(r.URL.Path)
		if held != nil {
			select {
			case <-held:
			case <-r.Context().Done():
				return
			}
		}
		if broken {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		o.release()
		o.Close()
	})
}

// record logs a request, and says what to do with it.
func (o *origin) record(path string) (held <-chan struct{}, broken bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked[path]++
	return o.held[path], o.broken
}

// listings is how often a package was looked up, which is once for each run of
// the getter.
func (o *origin) listings(pkg string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked["/"+pkg+"/"]
}

// publish replaces the source of a package.
func (o *origin) publish(name, doc string) {
	source := fmt.Sprintf("// Package %s is %s.\npackage %[1]s\n", name, doc)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.packages = maps.Clone(o.packages)
	o.packages[name+"/"+name+".go"] = &fstest.MapFile{Data: []byte(source)}
}

// hold keeps look-ups of a package waiting.
func (o *origin) hold(pkg string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held["/"+pkg+"/"] = make(chan struct{})
}

// release answers the look-ups that wait, and does not hold others.
func (o *origin) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, gate := range o.held {
		close(gate)
	}
	clear(o.held)
}

// breaks makes the origin answer everything with an error, or not any more.
func (o *origin) breaks(broken bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = broken
}
