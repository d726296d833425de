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

	files func() http.Handler // serves what is published at the moment of the call

	mu       sync.Mutex
	packages fstest.MapFS
	asked    map[string]int // requests by path
	held     map[string]bool
	gate     chan struct{} // closed when requests that are held may go on
	broken   bool
}

// startOrigin starts an origin without packages.
func startOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{packages: fstest.MapFS{}}
	o.files = func() http.Handler { return http.FileServerFS(o.packages) }
	o.serve(t)
	return o
}

// startTree starts an origin that serves a directory.
func startTree(t *testing.T, dir string) *origin {
	t.Helper()
	tree := http.FileServer(http.Dir(dir))
	o := &origin{files: func() http.Handler { return tree }}
	o.serve(t)
	return o
}

// serve answers requests until the test ends.
func (o *origin) serve(t *testing.T) {
	t.Helper()
	o.asked, o.held, o.gate = map[string]int{}, map[string]bool{}, make(chan struct{})
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		files, wait := o.record(r.URL.Path)
		if wait != nil {
			select {
			case <-wait:
			case <-r.Context().Done():
				return
			}
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		o.release()
		o.Close()
	})
}

// record logs a request, and returns what answers it and what to wait for
// before.
func (o *origin) record(path string) (http.Handler, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked[path]++
	if o.broken {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "out of order", http.StatusInternalServerError)
		}), nil
	}
	if !o.held[path] {
		return o.files(), nil
	}
	delete(o.held, path)
	return o.files(), o.gate
}

// requests is how often a path was asked for.
func (o *origin) requests(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked[path]
}

// listings is how often a package was looked up, which is once for each run of
// the getter.
func (o *origin) listings(pkg string) int { return o.requests("/" + pkg + "/") }

// publish replaces the source of a package.
func (o *origin) publish(name, doc string) {
	source := fmt.Sprintf("// Package %s is %s.\npackage %[1]s\n", name, doc)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.packages = maps.Clone(o.packages)
	o.packages[name+"/"+name+".go"] = &fstest.MapFile{Data: []byte(source)}
}

// hold keeps the next request for a path waiting. Its answer is what is
// published when it comes in.
func (o *origin) hold(path string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held[path] = true
}

// release answers the requests that wait, and does not hold others.
func (o *origin) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.gate)
	clear(o.held)
	o.gate = make(chan struct{})
}

// breaks makes the origin answer everything with an error, or not any more.
func (o *origin) breaks(broken bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = broken
}
