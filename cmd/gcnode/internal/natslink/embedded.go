package natslink

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"syscall"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	natstransport "github.com/gcnode/gcnode/transport/nats"
)

const (
	// readyTime is how long a server may take to start; JetStream reads what it
	// has stored.
	readyTime = time.Minute
	readyLook = 25 * time.Millisecond
	// routeUser is what the servers call each other.
	routeUser = "gcnode"
	// leastMemory is what streams in memory may take: that is for the cache, and
	// 0 would be the server's own choice.
	leastMemory = 1
)

// embedded is a NATS server within the node.
type embedded struct {
	nats   *natsserver.Server
	token  string // that lets the node in where nobody else is to come; empty: NATS.User and the like do
	failed chan error
}

// startEmbedded starts the server, and returns when it is there.
func startEmbedded(ctx context.Context, opts Options) (*embedded, error) {
	server := opts.NATS.Embedded
	for _, one := range []struct{ setting, address string }{{"listen.peers", opts.Listen}, {"nats.clients", server.Clients}} {
		if err := free(ctx, one.address); err != nil {
			return nil, fmt.Errorf("%s: cannot listen on %s: %w", one.setting, one.address, err)
		}
	}
	settings, err := serverOptions(opts)
	if err != nil {
		return nil, fmt.Errorf("nats.embedded: %w", err)
	}
	e := &embedded{failed: make(chan error, 1)}
	if server.Clients == "" {
		e.token = rand.Text()
		settings.Authorization = e.token
	}
	s, err := natsserver.NewServer(settings)
	if err != nil {
		return nil, fmt.Errorf("nats.embedded: %w", err)
	}
	e.nats = s
	s.SetLoggerV2(&serverLog{opts.Logger, e.failed}, false, false, false)
	s.Start()
	for begun := time.Now(); !s.ReadyForConnections(readyLook); {
		select {
		case err := <-e.failed:
			return nil, err // it cannot be stopped: it counts on the end of the process
		case <-ctx.Done():
			e.stop()
			return nil, ctx.Err()
		default:
		}
		if time.Since(begun) > readyTime {
			e.stop()
			return nil, fmt.Errorf("nats.embedded: the server is not there after %v", readyTime)
		}
	}
	opts.Logger.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("listener", "listen.peers"),
		slog.String("addr", s.ClusterAddr().String()), slog.Bool("tls", settings.Cluster.TLSConfig != nil))
	if server.Clients != "" {
		opts.Logger.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("listener", "nats.clients"), slog.String("addr", s.Addr().String()))
	}
	return e, nil
}

// free looks whether an address can be had: the server would try for ever. An
// empty one is not asked for.
func free(ctx context.Context, address string) error {
	if address == "" {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	if err != nil {
		return err
	}
	return listener.Close()
}

// serverOptions are those of the server.
func serverOptions(opts Options) (*natsserver.Options, error) {
	n := opts.NATS
	host, port, err := hostPort(opts.Listen)
	if err != nil {
		return nil, err
	}
	cluster := cmp.Or(n.Cluster, natstransport.DefaultCluster)
	o := &natsserver.Options{
		ServerName: opts.ID, NoSigs: true,
		// A server of a cluster does not do without a listener for clients.
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT,
		Username: n.User, Password: n.Password, Authorization: n.Token,
		Cluster: natsserver.ClusterOpts{
			Name: "gcnode-" + cluster, Host: host, Port: port, TLSConfig: opts.Routes,
			PingInterval: pingInterval, MaxPingsOut: maxPings, NoAdvertise: true,
		},
		DisableJetStreamBanner: true,
	}
	var user *url.Userinfo
	if secret := n.Embedded.Secret; secret != "" {
		o.Cluster.Username, o.Cluster.Password = routeUser, secret
		user = url.UserPassword(routeUser, secret)
	}
	for _, route := range n.Embedded.Routes {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", User: user, Host: route})
	}
	if n.Embedded.Clients != "" {
		if o.Host, o.Port, err = hostPort(n.Embedded.Clients); err != nil {
			return nil, err
		}
	}
	if n.Embedded.StoreDir != "" {
		o.JetStream, o.StoreDir, o.JetStreamMaxStore, o.JetStreamMaxMemory = true, n.Embedded.StoreDir, n.Embedded.MaxStore, leastMemory
	}
	return o, nil
}

// hostPort splits an address to listen on as the server wants to have it.
func hostPort(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0, err
	}
	if port == 0 {
		port = natsserver.RANDOM_PORT
	}
	return cmp.Or(host, natsserver.DEFAULT_HOST), port, nil
}

// stop ends the server, and returns when nothing of it is left.
func (e *embedded) stop() {
	e.nats.Shutdown()
	e.nats.WaitForShutdown()
}

// Exposed are the addresses of servers that others reach without a secret or a
// certificate, by their settings.
func (l *Link) Exposed() map[string]string {
	found, n := map[string]string{}, l.opts.NATS
	if l.server == nil {
		address := l.conn.ConnectedAddr()
		if !l.conn.AuthRequired() && n.TLS.Cert == "" && !loopback(address) {
			found["nats.url"] = address
		}
		return found
	}
	if routes := l.server.nats.ClusterAddr().String(); n.Embedded.Secret == "" && l.opts.Routes == nil && !loopback(routes) {
		found["listen.peers"] = routes
	}
	if n.Embedded.Clients != "" && !n.Authenticated() {
		if clients := l.server.nats.Addr().String(); !loopback(clients) {
			found["nats.clients"] = clients
		}
	}
	return found
}

// loopback reports whether only this machine reaches an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// serverLog is where the server logs.
type serverLog struct {
	log    *slog.Logger
	failed chan<- error
}

func (l *serverLog) write(level slog.Level, format string, v []any) {
	if ctx := context.Background(); l.log.Enabled(ctx, level) {
		l.log.LogAttrs(ctx, level, "the NATS server within the node", slog.String("said", fmt.Sprintf(format, v...)))
	}
}

// Noticef and what follows implement the server's Logger. Of what it notices
// nothing is news to who runs a node; its errors are such as routes to nodes
// that are not there, which it tries again.
func (l *serverLog) Noticef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }

// Warnf implements the server's Logger.
func (l *serverLog) Warnf(format string, v ...any) { l.write(slog.LevelWarn, format, v) }

// Errorf implements the server's Logger.
func (l *serverLog) Errorf(format string, v ...any) { l.write(slog.LevelWarn, format, v) }

// Debugf implements the server's Logger.
func (l *serverLog) Debugf(format string, v ...any) { l.write(slog.LevelDebug, format, v) }

// Tracef implements the server's Logger.
func (l *serverLog) Tracef(format string, v ...any) { l.write(slog.LevelDebug, format, v) }

// Fatalf implements the server's Logger: a server that cannot go on is the end
// of the node.
func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.failed <- fmt.Errorf("nats.embedded: "+format, v...):
	default:
	}
}
