package server

import (
	"context"
	"log/slog"
	"reflect"
	"sync"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/discovery"
)

// members keeps the member list of the node as the configuration says.
type members struct {
	node  *gcnode.Node
	found discovery.Source // the members find each other; nil: the configuration says where they come from
	log   *slog.Logger

	mu      sync.Mutex
	current *discovery.Members // nil: the node is alone
	end     func()             // of current; returns when nothing runs any more
}

// alone reports whether the configuration names no members.
func alone(cfg *config.Config) bool {
	return len(cfg.Peers) == 0 && !cfg.Discovery.On() && cfg.NATS == nil
}

// follow begins to follow the list of a configuration, instead of the one that
// was followed before.
func (m *members) follow(ctx context.Context, cfg *config.Config) error {
	if alone(cfg) {
		return nil
	}
	source, opts := discovery.Static(cfg.Peers), discovery.Options{Self: cfg.ID, Logger: m.log}
	d := cfg.Discovery
	switch {
	case m.found != nil:
		source = m.found
	case d.On():
		found, err := d.Source()
		if err != nil {
			return err
		}
		source = found
	}
	opts.Confirm, opts.HoldBack = d.Confirm, d.HoldBack
	next, err := discovery.New(m.node, source, opts)
	if err != nil {
		return err
	}
	m.stop()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current, m.end = next, func() { cancel(); <-done }
	go func() {
		defer close(done)
		_ = next.Run(ctx) // it fails only when it is called twice
	}()
	return nil
}

// stop ends following.
func (m *members) stop() {
	m.mu.Lock()
	end := m.end
	m.end = nil
	m.mu.Unlock()
	if end != nil {
		end()
	}
}

// followed is what is followed, nil when the node is alone.
func (m *members) followed() *discovery.Members {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current
}

// status is what is known of the source; false: the node is alone.
func (m *members) status() (discovery.Status, bool) {
	if current := m.followed(); current != nil {
		return current.Status(), true
	}
	return discovery.Status{}, false
}

// await waits until the node has its first list.
func (m *members) await(ctx context.Context) error {
	if current := m.followed(); current != nil {
		return current.Await(ctx)
	}
	return nil
}

// waitFor waits for something on the node's way to its cluster, which a new
// configuration may be needed for.
func (s *server) waitFor(ctx context.Context, failed <-chan error, configs <-chan *config.Config, what func(context.Context) error) error {
	for {
		waiting, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- what(waiting) }()
		select {
		case err := <-done:
			cancel()
			return err
		case err := <-failed:
			cancel()
			return err
		case cfg := <-configs:
			cancel()
			s.reload(ctx, cfg)
		}
	}
}

// reload takes over what a new configuration says of the members, of plugins and
// of who may use the interface for applications. A list that is held back is
// taken: whoever asks for it has looked.
func (s *server) reload(ctx context.Context, next *config.Config) {
	now := *s.cfg
	switch {
	case next.ID != now.ID || next.Listen != now.Listen:
		s.refuse(ctx, "the id or the listeners are others than before, which needs a restart")
		return
	case (next.NATS == nil) != (now.NATS == nil):
		s.refuse(ctx, "the transport is another than before, which needs a restart")
		return
	case alone(next) != alone(&now):
		s.refuse(ctx, "a node that is alone becomes a member, or the other way round, only with a restart")
		return
	}
	if reflect.DeepEqual(next.Peers, now.Peers) && next.Discovery == now.Discovery {
		if current := s.members.followed(); current != nil {
			current.Accept()
		}
	}
	if err := s.members.follow(ctx, next); err != nil {
		s.refuse(ctx, err.Error())
		return
	}
	now.Peers, now.Discovery = next.Peers, next.Discovery
	now.Tokens, now.Access = next.Tokens, next.Access
	s.replaceSecrets(&now, next)
	now.Groups = s.exchangePlugins(ctx, next.Groups)
	s.cfg = &now
	s.admit(&now)
	s.warnUnsigned(ctx)
	s.log.LogAttrs(ctx, slog.LevelInfo, "configuration read again: the list of members is looked up anew")
	if !reflect.DeepEqual(withoutPlugins(&now), withoutPlugins(next)) {
		s.log.LogAttrs(ctx, slog.LevelWarn,
			"other settings than peers, discovery, peer_secrets, peer_accept_unsigned, peer_access, api.tokens, access and the plugins of groups have changed; they need a restart")
	}
}

// refuse says why a new configuration changes nothing.
func (s *server) refuse(ctx context.Context, why string) {
	s.log.LogAttrs(ctx, slog.LevelError, "configuration read again: nothing is changed", slog.String("err", why))
}
