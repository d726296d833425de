package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// origin is where the getter's sources come from: a plain file server with an
// access log. It knows nothing of caches.
type origin struct {
	url      string
	logPath  string
	overlay  string // holds editedPackage, in place of the tree's
	listener net.Listener
	server   *http.Server

	mu  sync.Mutex
	log *os.File
}

// editedPackage is the package whose source the demo changes, in a copy.
const editedPackage = "container/ring"

// startOrigin serves the tree at src on a free port of the loopback; its log
// and its copy of editedPackage are in dir.
func startOrigin(ctx context.Context, src, dir string) (*origin, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("origin: %w", err)
	}
	o := &origin{
		url:      "http://" + listener.Addr().String(),
		logPath:  filepath.Join(dir, "origin-access.log"),
		overlay:  filepath.Join(dir, "overlay"),
		listener: listener,
	}
	if o.log, err = os.Create(o.logPath); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("origin: %w", err)
	}
	if err := o.publish(src, 1); err != nil {
		_ = listener.Close()
		return nil, errors.Join(err, o.log.Close())
	}
	tree, overlay := http.FileServer(http.Dir(src)), http.FileServer(http.Dir(o.overlay))
	o.server = &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			logged := &loggedResponse{ResponseWriter: w, origin: o, request: r}
			if strings.HasPrefix(r.URL.Path, "/"+editedPackage+"/") {
				overlay.ServeHTTP(logged, r)
				return
			}
			tree.ServeHTTP(logged, r)
		}),
	}
	go func() { _ = o.server.Serve(listener) }()
	return o, nil
}

// close ends the origin.
func (o *origin) close() error {
	return errors.Join(o.server.Close(), o.log.Close())
}

// record writes a line of the access log, in the common log format.
func (o *origin) record(r *http.Request, status int) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	line := fmt.Sprintf("%s - - [%s] \"%s %s %s\" %d -\n",
		host, time.Now().Format("02/Jan/2006:15:04:05 -0700"), r.Method, r.RequestURI, r.Proto, status)
	o.mu.Lock()
	defer o.mu.Unlock()
	_, _ = o.log.WriteString(line)
}

// loggedResponse writes the line of the access log before the first byte of
// the answer leaves, so that whoever has the answer finds the line.
type loggedResponse struct {
	http.ResponseWriter

	origin  *origin
	request *http.Request
	logged  bool
}

// WriteHeader implements [http.ResponseWriter].
func (l *loggedResponse) WriteHeader(status int) {
	if !l.logged {
		l.logged = true
		l.origin.record(l.request, status)
	}
	l.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (l *loggedResponse) Write(p []byte) (int, error) {
	if !l.logged {
		l.WriteHeader(http.StatusOK)
	}
	return l.ResponseWriter.Write(p)
}

// traffic is what the access log says.
type traffic struct {
	runs     int // listings of one package's directory: one for each run of the getter
	requests int
}

// trafficOf reads the access log.
func (o *origin) trafficOf(pkg string) (traffic, error) {
	log, err := os.ReadFile(o.logPath)
	if err != nil {
		return traffic{}, fmt.Errorf("read the origin's access log: %w", err)
	}
	listing := fmt.Appendf(nil, "\"GET /%s/ HTTP/", pkg)
	return traffic{runs: bytes.Count(log, listing), requests: bytes.Count(log, []byte("\n"))}, nil
}

// edition is the name of a constant that tells the editions of editedPackage
// apart.
func edition(n int) string { return fmt.Sprintf("EditionNumber%d", n) }

// publish makes the origin serve editedPackage as it is in the tree at src,
// with one file more that holds edition(n).
func (o *origin) publish(src string, n int) error {
	from := filepath.Join(src, filepath.FromSlash(editedPackage))
	to := filepath.Join(o.overlay, filepath.FromSlash(editedPackage))
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("publish %s: %w", editedPackage, err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("publish %s: %w", editedPackage, err)
	}
	text := fmt.Sprintf("package %s\n\n// %s says which edition of the source this is.\nconst %[2]s = %d\n",
		path.Base(editedPackage), edition(n), n)
	if err := os.WriteFile(filepath.Join(to, "edition.go"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("publish %s: %w", editedPackage, err)
	}
	return nil
}

// countFiles counts the files of a tree.
func countFiles(dir string) (int, error) {
	n := 0
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			n++
		}
		return err
	})
	return n, err
}
