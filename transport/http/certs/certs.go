// Package certs has the certificates of TLS connections in files, which are read
// again when they change.
//
//	member, err := certs.New(certs.Files{Cert: "node.crt", Key: "node.key", CA: "members.crt"}, logger)
//	server := &http.Server{TLSConfig: member.Members(""), …}
//	client, err := httptransport.NewClient(httptransport.ClientOptions{TLS: member.Client})
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Files are certificates in PEM.
type Files struct {
	// Cert is the chain that is shown, and Key its private key.
	Cert, Key string
	// CA has the authorities whose certificates are believed. Empty: of servers
	// those of the system, and of clients none.
	CA string
}

// paths are the files that are there.
func (f Files) paths() []string {
	return slices.DeleteFunc([]string{f.Cert, f.Key, f.CA}, func(p string) bool { return p == "" })
}

// Check reads the files, and fails if they cannot be used.
func (f Files) Check() error {
	_, err := f.load()
	return err
}

// contents are what the files say.
type contents struct {
	cert tls.Certificate
	ca   *x509.CertPool // nil: none
}

func (f Files) load() (*contents, error) {
	if f.Cert == "" || f.Key == "" {
		return nil, errors.New("a certificate and its key are needed")
	}
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate %s with the key %s: %w", f.Cert, f.Key, err)
	}
	if f.CA == "" {
		return &contents{cert: pair}, nil
	}
	pool, err := Authorities(f.CA)
	if err != nil {
		return nil, fmt.Errorf("the authorities: %w", err)
	}
	return &contents{pair, pool}, nil
}

// Authorities reads those of a file in PEM.
func Authorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("there is no certificate in %s", path)
	}
	return pool, nil
}

// Certificates are those of some files as they are. They may be used from any
// goroutine.
type Certificates struct {
	files Files
	log   *slog.Logger

	mu      sync.Mutex
	stamps  []stamp
	current *contents
	retry   time.Time // when files that cannot be used are read again; zero: they can
}

// retryAfter is how long files that cannot be used are left alone, unless they change:
// perhaps they could only not be read at that moment.
const retryAfter = 10 * time.Second

// stamp tells one version of a file from another.
type stamp struct {
	modified time.Time
	size     int64
}

// New reads the files. The logger, which may be nil, is told when they are read
// again, and when they cannot be used.
func New(files Files, logger *slog.Logger) (*Certificates, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	c := &Certificates{files: files, log: logger, stamps: stampsOf(files)}
	var err error
	c.current, err = files.load()
	return c, err
}

// Server is for a listener. Clients may show a certificate of the authorities,
// if there are any.
func (c *Certificates) Server() *tls.Config {
	return c.server(func(cfg *tls.Config) {
		if cfg.ClientCAs != nil {
			cfg.ClientAuth = tls.VerifyClientCertIfGiven
		}
	})
}

// Members is for a listener for members of a cluster: they have to show a
// certificate of the authorities, with the name unless that is empty.
func (c *Certificates) Members(name string) *tls.Config {
	return c.server(func(cfg *tls.Config) {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
		cfg.VerifyConnection = func(state tls.ConnectionState) error {
			if name == "" {
				return nil
			}
			return state.PeerCertificates[0].VerifyHostname(name)
		}
	})
}

// server is for a listener. Each handshake has the certificates of that moment,
// so that none goes on with what an earlier one was.
func (c *Certificates) server(change func(cfg *tls.Config)) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := c.now()
			cfg := &tls.Config{
				MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{now.cert}, NextProtos: []string{"h2", "http/1.1"},
				ClientCAs: now.ca, SessionTicketsDisabled: true,
			}
			change(cfg)
			return cfg, nil
		},
	}
}

// Client is for one connection, to a server whose certificate must have the
// name: what is shown and believed at this moment.
func (c *Certificates) Client(name string) *tls.Config {
	now := c.now()
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{now.cert}, RootCAs: now.ca, ServerName: name}
}

// now is what the files say. While they cannot be used, perhaps because only one
// of them has been replaced yet, it is what they said before.
func (c *Certificates) now() *contents {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamps := stampsOf(c.files)
	if slices.Equal(stamps, c.stamps) && (c.retry.IsZero() || time.Now().Before(c.retry)) {
		return c.current
	}
	c.stamps, c.retry = stamps, time.Time{}
	next, err := c.files.load()
	if err != nil {
		c.retry = time.Now().Add(retryAfter)
		c.log.Error("changed certificates cannot be used; those from before still are", slog.Any("err", err))
		return c.current
	}
	c.log.Info("certificates read again", slog.String("cert", c.files.Cert))
	c.current = next
	return next
}

// stampsOf has the zero value for what is not there.
func stampsOf(f Files) []stamp {
	stamps := make([]stamp, 0, len(f.paths()))
	for _, path := range f.paths() {
		var s stamp
		if info, err := os.Stat(path); err == nil {
			s = stamp{info.ModTime(), info.Size()}
		}
		stamps = append(stamps, s)
	}
	return stamps
}
