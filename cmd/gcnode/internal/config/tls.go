package config

import (
	"fmt"
	"strings"

	"github.com/gcnode/gcnode/transport/http/certs"
)

// PeerTLS are the certificates by which members know each other.
type PeerTLS struct {
	certs.Files

	// Name is what the certificate of each member is for; empty: that of a
	// server is for the host of its URL, and any of the authorities' is a member.
	Name string
}

// On reports whether members talk over TLS.
func (p PeerTLS) On() bool { return p.Cert != "" }

// certificates reads the files of a section, in which the authorities have a
// key of their own.
func (r *reader) certificates(in *section, ca string, f *certs.Files) {
	for _, one := range []struct {
		key, what string
		dst       *string
	}{
		{"cert", "a file with the certificate that is shown, such as node.crt", &f.Cert},
		{"key", "a file with the key of the certificate, such as node.key", &f.Key},
		{ca, "a file with the authorities that are believed, such as ca.crt", &f.CA},
	} {
		if _, ok := in.text(one.key, one.what, one.dst); ok {
			*one.dst = r.path(*one.dst)
		}
	}
	if len(in.entries) == 0 || in.broken {
		return
	}
	for _, key := range []string{"cert", "key"} {
		if in.find(key) == nil {
			in.missing(key, "TLS needs a certificate and its key")
		}
	}
	if f.Cert == "" || f.Key == "" {
		return
	}
	if err := f.Check(); err != nil {
		in.problems.add(in.file, in.line, in.path, "%s", err)
	}
}

// peerTLS reads the certificates by which members know each other.
func (r *reader) peerTLS(in *section, cfg *Config) {
	r.certificates(in, "ca", &cfg.PeerTLS.Files)
	if len(in.entries) > 0 && in.find("ca") == nil {
		in.missing("ca", "members need an authority whose certificates they all have")
	}
	if t, ok := in.text("name", "the name that the certificate of every member is for, such as cache.internal", &cfg.PeerTLS.Name); ok {
		if strings.ContainsFunc(cfg.PeerTLS.Name, func(c rune) bool { return c <= ' ' || c > '~' || c == '*' }) {
			t.wrong("%q must be a name such as cache.internal", cfg.PeerTLS.Name)
		}
	}
	in.close()
	cfg.Discovery.TLS = cfg.PeerTLS.On()
}

// checkSchemes reports peers that are not reached over TLS where all are.
func (r *reader) checkSchemes(file *section, cfg *Config) {
	if !cfg.PeerTLS.On() {
		return
	}
	for _, p := range cfg.Peers {
		if strings.HasPrefix(p.Addr, "http:") {
			file.wrongKey("peer_tls", fmt.Sprintf("the url of the peer %q is %s; with TLS it begins with https", p.ID, p.Addr))
		}
	}
}
