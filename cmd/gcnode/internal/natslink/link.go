// Package natslink connects a node with the others over NATS, through servers
// that are there or through one within the node.
package natslink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

const (
	// connectPause is between two attempts to connect at the start, and
	// reconnectPause between two when the connection was lost.
	connectPause   = time.Second
	reconnectPause = 200 * time.Millisecond
	// A server that answers none of these in a row is given up: after 4 to 6 s.
	pingInterval = 2 * time.Second
	maxPings     = 2
	// missedHeartbeats is after how many the others do without a node.
	missedHeartbeats = 3
	// tlsAlert is what crypto/tls calls it that the other side refuses the
	// certificate of this one, or that there is none.
	tlsAlert = "remote error"
	// closeTime bounds what is left to be said when the context has ended.
	closeTime = time.Second
)

// Options are those of [Open]. Routes is optional.
type Options struct {
	// ID is that of the node.
	ID   string
	NATS *config.NATS
	// Listen is where the server within the node listens for those of others.
	Listen string
	// Routes is the TLS between these servers; nil: none.
	Routes *tls.Config
	Logger *slog.Logger
}

// Link connects a node with the others. Its life is Open, Connect, Serve, Leave,
// Shutdown, in one goroutine; the other methods may be called from any.
type Link struct {
	opts   Options
	log    *slog.Logger
	server *embedded // nil: there are others
	events events

	conn       *nats.Conn
	client     *natstransport.Client
	peers      *natstransport.Server
	membership *natstransport.Membership
}

// Open starts the server within the node, if there is to be one. The error names
// the setting.
func Open(ctx context.Context, opts Options) (*Link, error) {
	l := &Link{opts: opts, log: opts.Logger}
	if opts.NATS.Embedded == nil {
		return l, nil
	}
	server, err := startEmbedded(ctx, opts)
	if err != nil {
		return nil, err
	}
	l.server = server
	return l, nil
}

// Failed tells of the end of the server within the node; nil without one.
func (l *Link) Failed() <-chan error {
	if l == nil || l.server == nil {
		return nil
	}
	return l.server.failed
}

// Connect waits for a server, and returns what the node asks others with. It
// fails when a server refuses the node, or ctx ends.
func (l *Link) Connect(ctx context.Context) (gcnode.Transport, error) {
	opts, err := l.options()
	if err != nil {
		return nil, err
	}
	for told := false; l.conn == nil; {
		conn, err := nats.Connect(strings.Join(l.opts.NATS.URLs, ","), opts...)
		switch {
		case err == nil:
			l.conn = conn
			continue
		case refused(err):
			return nil, fmt.Errorf("%s: %w", l.setting(), err)
		case !told:
			told = true
			l.log.LogAttrs(ctx, slog.LevelWarn, "no connection to NATS yet", slog.Any("urls", l.opts.NATS.URLs), slog.String("err", err.Error()))
		}
		select {
		case <-time.After(connectPause):
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w", l.setting(), err)
		}
	}
	l.log.LogAttrs(ctx, slog.LevelInfo, "connected to NATS", l.where(l.conn)...)
	l.client, err = natstransport.NewClient(l.conn, natstransport.ClientOptions{Cluster: l.opts.NATS.Cluster})
	if err != nil || l.opts.NATS.Archive == nil {
		return l.client, err
	}
	kept := l.opts.NATS.Archive
	archive, err := natstransport.NewArchive(l.client, natstransport.ArchiveOptions{
		MaxAge: kept.MaxAge, MaxBytes: kept.MaxBytes, Replicas: kept.Replicas, Logger: l.log,
	})
	if err != nil {
		return nil, fmt.Errorf("nats.archive: %w", err)
	}
	return archive, nil
}

// setting is that which says where NATS is.
func (l *Link) setting() string {
	if l.server != nil {
		return "nats.embedded"
	}
	return "nats.url"
}

// refused reports whether another attempt would fail in the same way.
func refused(err error) bool {
	for _, final := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrSecureConnRequired,
		nats.ErrSecureConnWanted, nats.ErrNkeysNotSupported, nats.ErrMixingWebsocketSchemes,
	} {
		if errors.Is(err, final) {
			return true
		}
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	failed, ok := errors.AsType[*net.OpError](err)
	return untrusted || ok && failed.Op == tlsAlert
}

// Serve lets others ask the node, and announces it. [Link.Members] tells of the
// others from now on.
func (l *Link) Serve(h gcnode.Handler) (err error) {
	n := l.opts.NATS
	l.peers, err = natstransport.Serve(l.conn, h, natstransport.ServerOptions{
		ID: l.opts.ID, Cluster: n.Cluster, Logger: l.log,
	})
	if err != nil {
		return err
	}
	self := gcnode.Peer{ID: l.opts.ID, Addr: l.peers.Addr(), Weight: n.Weight}
	l.membership, err = natstransport.Announce(l.conn, self, natstransport.MembershipOptions{
		Cluster: n.Cluster, Heartbeat: n.Heartbeat, Logger: l.log,
	})
	return err
}

// Members is a discovery.Source of the nodes.
func (l *Link) Members() *natstransport.Membership { return l.membership }

// CutOff says that the connection was lost for so long that the others do
// without the node; empty: it was not.
func (l *Link) CutOff() string {
	since := l.events.lostSince()
	if since.IsZero() || time.Since(since) < missedHeartbeats*l.opts.NATS.Heartbeat {
		return ""
	}
	return "there is no connection to NATS"
}

// Leave says goodbye. The node is closed before, while the others still reach it.
func (l *Link) Leave() {
	if l.membership != nil {
		l.membership.Close()
	}
}

// Shutdown ends everything when what others have asked is answered, or ctx ends;
// then the error says so. A nil Link has nothing to end.
func (l *Link) Shutdown(ctx context.Context) error {
	if l == nil {
		return nil
	}
	var err error
	if l.peers != nil {
		err = l.peers.Shutdown(ctx)
	}
	if l.client != nil {
		l.client.Close()
	}
	if l.conn != nil {
		l.events.expectEnd()
		_ = l.conn.FlushTimeout(closeTime) // the goodbye is on its way, unless there is no connection
		l.conn.Close()
	}
	if l.server != nil {
		l.server.stop()
	}
	return err
}

// options are those of the connection.
func (l *Link) options() ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name("gcnode " + l.opts.ID),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectPause), nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings),
	}
	if l.server != nil {
		opts = append(opts, nats.InProcessServer(l.server.nats))
		if l.server.token != "" {
			opts = append(opts, nats.Token(l.server.token))
		}
	}
	said, err := credentials(l.opts.NATS)
	return append(append(opts, said...), l.handlers()...), err
}

// credentials are the options that say who the node is, and whom it believes.
// Files are read again at each connection.
func credentials(n *config.NATS) ([]nats.Option, error) {
	var opts []nats.Option
	switch {
	case n.User != "":
		opts = append(opts, nats.UserInfo(n.User, n.Password))
	case n.Token != "":
		opts = append(opts, nats.Token(n.Token))
	case n.NKey != "":
		seed, err := nats.NkeyOptionFromSeed(n.NKey)
		if err != nil {
			return nil, fmt.Errorf("nats.nkey: %w", err)
		}
		opts = append(opts, seed)
	case n.Creds != "":
		opts = append(opts, nats.UserCredentials(n.Creds))
	}
	if n.TLS.CA != "" {
		opts = append(opts, nats.RootCAs(n.TLS.CA))
	}
	if n.TLS.Cert != "" {
		opts = append(opts, nats.ClientCert(n.TLS.Cert, n.TLS.Key))
	}
	return opts, nil
}

// where is the server of a connection, for the log.
func (l *Link) where(conn *nats.Conn) []slog.Attr {
	if l.server != nil {
		return []slog.Attr{slog.String("server", "within this node")}
	}
	return []slog.Attr{slog.String("url", plainURL(conn.ConnectedUrl())), slog.String("server", conn.ConnectedServerName())}
}

// plainURL is a URL without secrets.
func plainURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}
