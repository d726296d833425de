package natstransport

import (
	"fmt"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/nats-io/nats.go/micro"
)

const (
	// serviceName is that of the micro service, before the name of the cluster.
	serviceName = "gcnode-"
	// unknownVersion is that of a program which does not know its own.
	unknownVersion = "0.0.0-devel"
	modulePath     = "github.com/gcnode/gcnode/transport/nats"
)

// addService makes the member a NATS micro service: the tools of NATS list it
// and count what comes to its endpoints.
func (s *Server) addService() error {
	id := s.opts.ID
	if !utf8.ValidString(id) {
		id = token(id)
	}
	config := micro.Config{
		Name:        serviceName + s.subjects.cluster(),
		Version:     s.opts.Version,
		Description: "a member of a gcnode cluster, a distributed read-through cache",
		Metadata:    map[string]string{"node": id, "instance": s.instance, "cluster": s.subjects.cluster()},
		StatsHandler: func(*micro.Endpoint) any {
			return s.Stats()
		},
	}
	if config.Version == "" {
		config.Version = moduleVersion()
	}
	service, err := micro.AddService(s.nc, config)
	if err != nil {
		return fmt.Errorf("add the NATS micro service: %w", err)
	}
	s.service = service
	l := newListener(s)
	one := []micro.EndpointOpt{micro.WithEndpointQueueGroup(queueGroup)}
	all := []micro.EndpointOpt{micro.WithEndpointQueueGroupDisabled(), micro.WithEndpointPendingLimits(-1, s.opts.MaxPendingBytes)}
	for _, e := range []struct {
		name, subject, use, format string
		serve                      micro.HandlerFunc
		opts                       []micro.EndpointOpt
	}{
		{"fetch", s.subjects.node(s.opts.ID), "members open streams of requests", "gcnode.peer.v1.Packet", func(r micro.Request) { s.open(r.Reply()) }, one},
		{"remove", s.subjects.event("*"), "members broadcast removals, and what they know of them", "gcnode.peer.v1.Request", func(r micro.Request) { l.hear(r.Subject(), r.Reply(), r.Data()) }, all},
		{"stats", s.subjects.stats(s.opts.ID), "figures for whoever asks", "JSON", func(r micro.Request) { _ = r.RespondJSON(s.Stats()) }, one},
	} {
		opts := append(e.opts, micro.WithEndpointSubject(e.subject), micro.WithEndpointMetadata(map[string]string{"use": e.use, "format": e.format}))
		if err := service.AddEndpoint(e.name, e.serve, opts...); err != nil {
			return fmt.Errorf("subscribe to %s: %w", e.subject, err)
		}
	}
	return nil
}

// moduleVersion is that of this module in the program.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unknownVersion
	}
	for _, dep := range info.Deps {
		if version, ok := strings.CutPrefix(dep.Version, "v"); ok && dep.Path == modulePath && dep.Replace == nil {
			return version
		}
	}
	return unknownVersion
}
