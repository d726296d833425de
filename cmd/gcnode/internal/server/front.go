package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// Names of the listeners, which are those of their settings.
const (
	frontPeers = "listen.peers"
	frontAPI   = "listen.api"
	frontAdmin = "listen.admin"
)

// Limits of the listeners.
const (
	// apiHeaderBytes leaves room for the longest key with every byte
	// percent-encoded (192 KiB), and for one that is so much too long that
	// it gets a better answer than "header too large".
	apiHeaderBytes   = 256 << 10
	smallHeaderBytes = 16 << 10

	headerTimeout     = 10 * time.Second // for the whole header to arrive
	readTimeout       = time.Minute      // for the whole request to arrive
	idleTimeout       = 2 * time.Minute  // between requests
	adminWriteTimeout = 2 * time.Minute
	apiTransferTime   = time.Minute // for the application to take its answer
	// silentPeers is how many peer timeouts a request may spend on peers that
	// do not answer before somebody loads the value.
	silentPeers = 8
)

// front is a listener and the HTTP server behind it.
type front struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// frontSpec describes a front.
type frontSpec struct {
	name, address string
	handler       http.Handler
	write         time.Duration // from the header's end to the answer's; 0: no limit
	headerBytes   int
	tls           *tls.Config // nil: none
}

// fronts are all listeners of a node.
type fronts []*front

// openFronts binds all addresses, or none; the error names those that cannot
// be had.
func openFronts(ctx context.Context, specs []frontSpec, log *slog.Logger) (fronts, error) {
	var (
		opened fronts
		errs   []error
	)
	for _, spec := range specs {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", spec.address)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: cannot listen on %s: %w", spec.name, spec.address, listenCause(err)))
			continue
		}
		opened = append(opened, &front{
			name:     spec.name,
			listener: listener,
			server: &http.Server{
				Handler:           spec.handler,
				ReadHeaderTimeout: headerTimeout,
				ReadTimeout:       readTimeout,
				WriteTimeout:      spec.write,
				IdleTimeout:       idleTimeout,
				MaxHeaderBytes:    spec.headerBytes,
				TLSConfig:         spec.tls,
				ErrorLog:          slog.NewLogLogger(log.With(slog.String("listener", spec.name)).Handler(), slog.LevelDebug),
			},
		})
		log.LogAttrs(ctx, slog.LevelInfo, "listening",
			slog.String("listener", spec.name), slog.String("addr", listener.Addr().String()), slog.Bool("tls", spec.tls != nil))
	}
	if len(errs) > 0 {
		opened.close()
		return nil, errors.Join(errs...)
	}
	return opened, nil
}

// listenCause leaves out of an error what the message around it says.
func listenCause(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// serve answers requests until shutdown. A listener that breaks before is
// reported.
func (fs fronts) serve() <-chan error {
	failed := make(chan error, len(fs))
	for _, f := range fs {
		go func() {
			if err := f.run(); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: %w", f.name, err)
			}
		}()
	}
	return failed
}

// run answers requests until shutdown.
func (f *front) run() error {
	if f.server.TLSConfig != nil {
		return f.server.ServeTLS(f.listener, "", "")
	}
	return f.server.Serve(f.listener)
}

// find is the front of that name, nil when there is none.
func (fs fronts) find(name string) *front {
	i := slices.IndexFunc(fs, func(f *front) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return fs[i]
}

// shutdown closes the front's listener and waits for its requests, until ctx
// ends; then it drops their connections.
func (fs fronts) shutdown(ctx context.Context, name string) error {
	f := fs.find(name)
	if f == nil {
		return nil
	}
	if err := f.server.Shutdown(ctx); err != nil {
		_ = f.server.Close()
		return fmt.Errorf("%s: requests were still running: %w", name, err)
	}
	return nil
}

// close drops everything, for fronts that are not served.
func (fs fronts) close() {
	for _, f := range fs {
		_ = f.listener.Close()
	}
}

// address is where the front listens.
func (f *front) address() string { return f.listener.Addr().String() }

// loopback reports whether only this machine reaches the front.
func (f *front) loopback() bool {
	addr, ok := f.listener.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}
