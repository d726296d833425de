package cli

import (
	"crypto/tls"
	"os"
	"strings"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/client"
	"github.com/gcnode/gcnode/transport/http/certs"
)

// credentials are what the command shows to the node, and by which it knows the
// node.
func (t *target) credentials() (client.Options, error) {
	opts := client.Options{Token: os.Getenv("GCNODE_TOKEN")}
	if t.TokenFile != "" {
		data, err := os.ReadFile(t.TokenFile)
		if err != nil {
			return opts, usageError("--token-file: %w", err)
		}
		// While a token is changed the file has two; the node knows both.
		opts.Token, _, _ = strings.Cut(strings.TrimSpace(string(data)), "\n")
		if opts.Token = strings.TrimSpace(opts.Token); opts.Token == "" {
			return opts, usageError("--token-file: there is no token in %s", t.TokenFile)
		}
	}
	if t.CA == "" && t.Cert == "" && t.Key == "" {
		return opts, nil
	}
	if !strings.HasPrefix(t.Addr, "https:") {
		return opts, usageError("--ca, --cert and --key are for an address with https, and not %s", t.Addr)
	}
	opts.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		authorities, err := certs.Authorities(t.CA)
		if err != nil {
			return opts, usageError("--ca: %w", err)
		}
		opts.TLS.RootCAs = authorities
	}
	if t.Cert != "" || t.Key != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return opts, usageError("--cert and --key: %w", err)
		}
		opts.TLS.Certificates = []tls.Certificate{pair}
	}
	return opts, nil
}
