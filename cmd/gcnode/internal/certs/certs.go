// Package certs serves TLS with certificates that are read again when their
// files change.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Files are the certificates of a listener, in PEM.
type Files struct {
	// Cert is the chain of the listener, and Key its private key.
	Cert, Key string
	// ClientCA has the authorities whose certificates callers may show. Empty:
	// callers are not asked for any.
	ClientCA string
}

// On reports whether there are any.
func (f Files) On() bool { return f.Cert != "" }

// paths are the files that are there.
func (f Files) paths() []string {
	return slices.DeleteFunc([]string{f.Cert, f.Key, f.ClientCA}, func(p string) bool { return p == "" })
}

// Load reads the files. Callers that show a certificate must have it from one
// of the authorities.
func (f Files) Load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s: %w", f.Cert, f.Key, err)
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"},
	}
	if f.ClientCA == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("the authorities of clients: %w", err)
	}
	cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
	if !cfg.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the authorities of clients: there is no certificate in %s", f.ClientCA)
	}
	return cfg, nil
}

// Reloader has the certificates of some files as they are.
type Reloader struct {
	files Files
	log   *slog.Logger

	mu      sync.Mutex
	stamps  []stamp
	current *tls.Config
}

// stamp tells one version of a file from another.
type stamp struct {
	modified time.Time
	size     int64
	there    bool
}

// NewReloader reads the files.
func NewReloader(files Files, log *slog.Logger) (*Reloader, error) {
	if !files.On() || files.Key == "" {
		return nil, errors.New("a certificate and its key are needed")
	}
	r := &Reloader{files: files, log: log, stamps: stampsOf(files)}
	var err error
	r.current, err = files.Load()
	return r, err
}

// Config is for a listener. Each handshake has the certificates of that moment.
func (r *Reloader) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.now(), nil },
	}
}

// now is what the files say. While they cannot be read, perhaps because only one
// of them has been replaced yet, it is what they said before.
func (r *Reloader) now() *tls.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	stamps := stampsOf(r.files)
	if slices.Equal(stamps, r.stamps) {
		return r.current
	}
	r.stamps = stamps
	next, err := r.files.Load()
	if err != nil {
		r.log.Error("changed certificates cannot be used; those from before still are", slog.Any("err", err))
		return r.current
	}
	r.log.Info("certificates read again", slog.String("cert", r.files.Cert))
	r.current = next
	return next
}

func stampsOf(f Files) []stamp {
	var stamps []stamp
	for _, path := range f.paths() {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		stamps = append(stamps, stampOf(info))
	}
	return stamps
}

func stampOf(info fs.FileInfo) stamp {
	if info == nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size(), true}
}
