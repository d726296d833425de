// Package server runs a node: listeners, plugins, the node itself, and the
// way out.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/access"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/admin"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/api"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/build"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/natslink"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/status"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/tracing"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/http/certs"
)

// server is a node on its way from the configuration to the exit.
type server struct {
	cfg       *config.Config
	log       *slog.Logger
	started   time.Time
	readiness *admin.Readiness
	metrics   *admin.Metrics
	fronts    fronts
	guard     *access.Guard
	member    *certs.Certificates    // nil: members do not talk over TLS
	secrets   *httptransport.Secrets // nil: members sign nothing
	access    *httptransport.Access  // nil: who reaches the peer listener may do everything
	// What the listeners show, once it is there.
	apiHandler, peerHandler, statsHandler *switcher

	node    *gcnode.Node
	members *members
	client  *httptransport.Client  // nil without a peer listener, and over NATS
	streams *httptransport.Handler // beside client
	link    *natslink.Link         // nil over HTTP
	plugins map[string]*plugin     // by group
	// exchanges end when the modules that were exchanged are closed.
	exchanges sync.WaitGroup
}

// Run serves until ctx ends and then drains. It returns nil when everything
// that was running could finish. Errors at the start name the setting. What
// comes through configs replaces what cfg says of the members.
func Run(ctx context.Context, cfg *config.Config, configs <-chan *config.Config, log *slog.Logger) error {
	metrics, err := admin.NewMetrics()
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	s := &server{
		cfg:          cfg,
		log:          log,
		started:      time.Now(),
		readiness:    &admin.Readiness{},
		metrics:      metrics,
		guard:        &access.Guard{},
		apiHandler:   newSwitcher(api.Starting()),
		peerHandler:  newSwitcher(api.Starting()),
		statsHandler: newSwitcher(api.Starting()),
		plugins:      map[string]*plugin{},
	}
	s.admit(cfg)
	if err := s.shareSecrets(cfg); err != nil {
		return err
	}
	if err := errors.Join(s.openFronts(ctx), s.openLink(ctx)); err != nil {
		s.fronts.close()
		return errors.Join(err, s.link.Shutdown(ctx))
	}
	failed := s.fronts.serve()
	err = s.start(ctx, failed, configs)
	if err == nil {
		s.announce(ctx)
		err = s.serve(ctx, failed, configs)
	} else if ctx.Err() != nil {
		err = nil // told to stop while it was starting
	}
	return errors.Join(err, s.drain(context.WithoutCancel(ctx)))
}

// serve takes over new configurations until ctx ends or a listener breaks.
func (s *server) serve(ctx context.Context, failed <-chan error, configs <-chan *config.Config) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case err := <-s.link.Failed():
			return err
		case cfg := <-configs:
			s.reload(ctx, cfg)
		}
	}
}

// openFronts binds the listeners, so that an address in use is known before
// anything else is done.
func (s *server) openFronts(ctx context.Context) error {
	adminHandler := admin.NewHandler(admin.Options{
		Readiness: s.readiness, Metrics: s.metrics, Stats: api.Named(s.cfg.ID, s.statsHandler), Pprof: s.cfg.Pprof,
	})
	apiTLS, err := s.readCertificates()
	if err != nil {
		return err
	}
	apiHandler := api.Named(s.cfg.ID, api.Limit(s.cfg.MaxRequests, s.apiHandler))
	specs := []frontSpec{
		{name: frontAdmin, address: s.cfg.Listen.Admin, handler: adminHandler, write: adminWriteTimeout, headerBytes: smallHeaderBytes},
		{name: frontAPI, address: s.cfg.Listen.API, handler: s.metrics.Instrument(traced(apiHandler)), write: s.apiWriteTimeout(), headerBytes: apiHeaderBytes, tls: apiTLS},
	}
	if s.overHTTP() {
		spec := frontSpec{name: frontPeers, address: s.cfg.Listen.Peers, handler: s.peerHandler, headerBytes: smallHeaderBytes}
		if s.member != nil {
			spec.tls = s.member.Members(s.cfg.PeerTLS.Name)
		}
		specs = append(specs, spec)
	}
	s.fronts, err = openFronts(ctx, specs, s.log)
	return err
}

// readCertificates reads those of this member, and those of the interface for
// applications, which has none if the result is nil.
func (s *server) readCertificates() (*tls.Config, error) {
	if s.cfg.PeerTLS.On() {
		member, err := certs.New(s.cfg.PeerTLS.Files, s.log)
		if err != nil {
			return nil, fmt.Errorf("peer_tls: %w", err)
		}
		s.member = member
	}
	if s.cfg.TLS.Cert == "" {
		return nil, nil //nolint:nilnil // none
	}
	certificates, err := certs.New(s.cfg.TLS, s.log)
	if err != nil {
		return nil, fmt.Errorf("api.tls: %w", err)
	}
	return certificates.Server(), nil
}

// admit takes over who may use the interface for applications.
func (s *server) admit(cfg *config.Config) {
	s.guard.Set(access.Policy{Tokens: cfg.Tokens, Certificates: cfg.TLS.CA != "", Rules: cfg.Access})
}

// shareSecrets makes what members and their clients are known by.
func (s *server) shareSecrets(cfg *config.Config) error {
	if len(cfg.PeerSecrets) > 0 {
		secrets, err := httptransport.NewSecrets(cfg.PeerSecrets...)
		if err != nil {
			return fmt.Errorf("peer_secrets: %w", err)
		}
		secrets.AcceptUnsigned(cfg.PeerAcceptUnsigned)
		s.secrets = secrets
	}
	if cfg.PeerAccess != nil {
		s.access = httptransport.NewAccess(cfg.PeerAccess)
	}
	return nil
}

// replaceSecrets takes over those of a new configuration, and what their owners
// may do. Whether there are any at all needs a restart to change.
func (s *server) replaceSecrets(now, next *config.Config) {
	if s.secrets != nil && len(next.PeerSecrets) > 0 && s.secrets.Set(next.PeerSecrets...) == nil {
		s.secrets.AcceptUnsigned(next.PeerAcceptUnsigned)
		now.PeerSecrets, now.PeerAcceptUnsigned = next.PeerSecrets, next.PeerAcceptUnsigned
	}
	if s.access != nil && next.PeerAccess != nil {
		s.access.Set(next.PeerAccess)
		now.PeerAccess = next.PeerAccess
	}
}

// apiWriteTimeout is the longest load of any group, on the way to which some
// peers may be silent, and time to hand the answer over.
func (s *server) apiWriteTimeout() time.Duration {
	var longest time.Duration
	for _, g := range s.cfg.Groups {
		longest = max(longest, g.LoadTimeout)
	}
	return longest + silentPeers*s.cfg.PeerTimeout + apiTransferTime
}

// start loads the plugins, makes the node, waits until it knows the members
// and shows it to the listeners.
func (s *server) start(ctx context.Context, failed <-chan error, configs <-chan *config.Config) error {
	if err := s.loadPlugins(ctx); err != nil {
		return err
	}
	if err := s.makeNode(ctx); err != nil {
		return err
	}
	if err := s.makeStreams(); err != nil {
		return err
	}
	s.members = &members{node: s.node, log: s.log}
	source := &status.Source{
		Node: s.node, Members: s.members.status, Client: s.client, Streams: s.streams, Plugin: s.plugin,
		Build: build.Current(), Started: s.started,
	}
	if s.link != nil {
		if err := s.link.Serve(tracing.Handler(s.node, carried())); err != nil {
			return err
		}
		s.members.found, source.NATS = s.link.Members(), s.link.Figures
	}
	if err := s.metrics.Observe(source); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	s.statsHandler.show(source.Handler())
	if err := s.members.follow(ctx, s.cfg); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	s.readiness.NotReady("there is no list of members yet")
	if err := s.waitFor(ctx, failed, configs, s.members.await); err != nil {
		return err
	}
	contentTypes := make(map[string]string, len(s.cfg.Groups))
	for _, g := range s.cfg.Groups {
		contentTypes[g.Name] = g.ContentType
	}
	apiHandler, err := api.NewHandler(api.Options{
		Node: s.node, ContentTypes: contentTypes, Stats: source.Handler(), MaxBodyBytes: s.cfg.MaxBodyBytes, Guard: s.guard, Logger: s.log,
	})
	if err != nil {
		return err
	}
	if s.streams != nil {
		s.peerHandler.show(s.streams)
	}
	s.apiHandler.show(apiHandler)
	s.readiness.ReadyUnless(s.unready(time.Now().Add(s.cfg.JoinTimeout)))
	return nil
}

// unready says why the node should not be asked, if there is a reason: it has
// not joined yet, or it has lost its connection.
func (s *server) unready(joinUntil time.Time) func() string {
	join := joining(s.node, joinUntil)
	if s.link == nil {
		return join
	}
	return func() string { return cmp.Or(join(), s.link.CutOff()) }
}

// joining says, until the time for it is over, that the node has not joined its
// cluster. It serves meanwhile, but keeps nothing, and what the one before it has
// left is not fetched yet: whoever replaces the nodes of a cluster one by one
// should wait. Not for longer, since a node whose list is not that of the others
// joins when they have it too.
func joining(node *gcnode.Node, until time.Time) func() string {
	return func() string {
		if time.Now().Before(until) && !node.Stats().Joined {
			return "joining"
		}
		return ""
	}
}

// makeNode makes the node with its groups.
func (s *server) makeNode(ctx context.Context) error {
	cfg := gcnode.Config{
		Self:            gcnode.Peer{ID: s.cfg.ID},
		Logger:          s.log,
		PeerTimeout:     s.cfg.PeerTimeout,
		HotTTL:          s.cfg.HotTTL,
		JoinTimeout:     s.cfg.JoinTimeout,
		HedgeAfter:      s.cfg.HedgeAfter,
		ClockResolution: s.cfg.ClockResolution,
	}
	for _, p := range s.cfg.Peers {
		if p.ID == s.cfg.ID {
			cfg.Self = p
		}
	}
	if s.link != nil {
		s.readiness.NotReady("there is no connection to NATS yet")
		transport, err := s.link.Connect(ctx)
		if err != nil {
			return err
		}
		cfg.Transport = tracing.Transport(transport, carried())
	}
	if s.overHTTP() {
		client, err := httptransport.NewClient(s.clientOptions())
		if err != nil {
			return fmt.Errorf("peer client: %w", err)
		}
		s.client, cfg.Transport = client, tracing.Transport(client, carried())
	}
	node, err := gcnode.NewNode(cfg)
	if err != nil {
		return err
	}
	s.node = node
	var errs []error
	for _, g := range s.cfg.Groups {
		_, err := node.Group(g.Name, s.plugins[g.Name], g.Options())
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// makeStreams makes what answers other nodes, if this one listens to them.
func (s *server) makeStreams() error {
	if s.cfg.Listen.Peers == "" {
		return nil
	}
	handler, err := httptransport.NewHandler(tracing.Handler(s.node, carried()), s.handlerOptions())
	if err != nil {
		return fmt.Errorf("peer listener: %w", err)
	}
	s.streams = handler
	return nil
}

// handlerOptions are those of what answers other nodes.
func (s *server) handlerOptions() httptransport.HandlerOptions {
	limits := s.cfg.PeerLimits
	return httptransport.HandlerOptions{
		MaxConcurrent: limits.MaxRequests, MaxPerStream: limits.MaxPerStream, MaxRequestBytes: limits.MaxRequestBytes,
		Self: s.cfg.ID, Secrets: s.secrets, Access: s.access, Logger: s.log,
	}
}

// clientOptions are those of the client for other nodes.
func (s *server) clientOptions() httptransport.ClientOptions {
	opts := httptransport.ClientOptions{Secrets: s.secrets}
	if s.member != nil {
		opts.TLS = func(host string) *tls.Config { return s.member.Client(cmp.Or(s.cfg.PeerTLS.Name, host)) }
	}
	return opts
}

// announce logs where the node serves, and what whoever runs it should know.
func (s *server) announce(ctx context.Context) {
	s.log.LogAttrs(ctx, slog.LevelInfo, "serving",
		slog.String("id", s.cfg.ID), slog.Int("groups", len(s.cfg.Groups)), slog.Int("peers", max(len(s.node.Peers())-1, 0)),
		slog.String("version", build.Current().Version), slog.Duration("start", time.Since(s.started).Round(time.Millisecond)))
	s.warnOfLink(ctx)
	if peers := s.fronts.find(frontPeers); peers != nil && !peers.loopback() && s.member == nil && s.secrets == nil {
		s.log.LogAttrs(ctx, slog.LevelWarn,
			"whoever reaches this address can read, set and remove values; set peer_tls or peer_secrets, or bind it to a private network",
			slog.String("setting", "listen.peers"), slog.String("addr", peers.address()))
	}
	s.warnUnsigned(ctx)
	if front := s.fronts.find(frontAPI); !front.loopback() && len(s.cfg.Tokens) == 0 && s.cfg.TLS.CA == "" {
		s.log.LogAttrs(ctx, slog.LevelWarn,
			"whoever reaches this address can read, set and remove values; set api.tokens or api.tls.client_ca, with access, or bind it to a private network",
			slog.String("setting", "listen.api"), slog.String("addr", front.address()))
	}
}

// warnUnsigned logs that nodes are let in that are not known by a secret.
func (s *server) warnUnsigned(ctx context.Context) {
	if s.cfg.PeerAcceptUnsigned {
		s.log.LogAttrs(ctx, slog.LevelWarn,
			"nodes are let in that sign nothing, as is whoever reaches this node; take the setting out when all nodes have peer_secrets",
			slog.String("setting", "peer_accept_unsigned"))
	}
}

// drain ends everything in an order that lets what is running finish: first
// no new work from applications, then none from peers.
func (s *server) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DrainTimeout)
	defer cancel()
	begun := time.Now()
	s.readiness.NotReady("draining")
	s.log.LogAttrs(ctx, slog.LevelInfo, "draining", slog.Duration("timeout", s.cfg.DrainTimeout))
	errs := []error{s.fronts.shutdown(ctx, frontAPI)}
	if s.members != nil {
		s.members.stop() // or it might put the node back on a list that it leaves
	}
	if s.node != nil {
		errs = append(errs, s.node.Close(ctx))
	}
	if s.link != nil {
		s.link.Leave()
		errs = append(errs, s.link.Shutdown(ctx))
	}
	errs = append(errs, s.fronts.shutdown(ctx, frontPeers))
	if s.streams != nil {
		errs = append(errs, s.streams.Shutdown(ctx))
	}
	if s.client != nil {
		s.client.Close()
	}
	errs = append(errs, s.closePlugins(ctx), s.fronts.shutdown(ctx, frontAdmin))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("drain: not everything could finish within %v: %w", s.cfg.DrainTimeout, err)
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "stopped", slog.Duration("drain", time.Since(begun).Round(time.Millisecond)))
	return nil
}
