package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/natslink"
)

// overHTTP reports whether other nodes reach this one by HTTP.
func (s *server) overHTTP() bool { return s.cfg.NATS == nil && s.cfg.Listen.Peers != "" }

// openLink starts what connects the node with the others over NATS, if that is
// what they talk over.
func (s *server) openLink(ctx context.Context) error {
	switch {
	case s.cfg.NATS == nil:
		return nil
	case s.cfg.PeerTLS.On() && s.member == nil:
		return nil // its certificates are reported
	}
	link, err := natslink.Open(ctx, natslink.Options{
		ID: s.cfg.ID, NATS: s.cfg.NATS, Listen: s.cfg.Listen.Peers, Routes: s.routes(), Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.link = link
	return nil
}

// routes is the TLS between the servers within nodes, on both sides of a
// connection; nil: none. Which authorities are believed is what the file says at
// the start for the side that connects.
func (s *server) routes() *tls.Config {
	if s.member == nil {
		return nil
	}
	both, client := s.member.Members(s.cfg.PeerTLS.Name), s.member.Client(s.cfg.PeerTLS.Name)
	both.RootCAs, both.ServerName = client.RootCAs, client.ServerName
	both.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		now := s.member.Client(s.cfg.PeerTLS.Name).Certificates
		if len(now) == 0 {
			return nil, fmt.Errorf("peer_tls: there is no certificate in %s", s.cfg.PeerTLS.Cert)
		}
		return &now[0], nil
	}
	return both
}

// warnOfLink logs where strangers may reach the nodes over NATS.
func (s *server) warnOfLink(ctx context.Context) {
	if s.link == nil {
		return
	}
	exposed := s.link.Exposed()
	for _, setting := range slices.Sorted(maps.Keys(exposed)) {
		missing := map[string]string{
			"listen.peers": "nats.secret or peer_tls", "nats.clients": "nats.user or nats.token", "nats.url": "nats.user and the like, and the same at the server",
		}[setting]
		s.log.LogAttrs(ctx, slog.LevelWarn,
			"whoever reaches this address can read, set and remove values; set what is missing, or bind it to a private network",
			slog.String("setting", setting), slog.String("addr", exposed[setting]), slog.String("missing", missing))
	}
}
