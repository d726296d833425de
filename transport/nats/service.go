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

// addService makes the member a NATS micro service: the tools of NATS list it,
// its endpoint for streams answers the other members, and that for figures
// whoever asks.
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
	open := micro.HandlerFunc(func(r micro.Request) { s.open(r.Reply()) })
	err = service.AddEndpoint("streams", open, micro.WithEndpointSubject(s.subjects.node(s.opts.ID)), micro.WithEndpointQueueGroup(queueGroup),
		micro.WithEndpointMetadata(map[string]string{"format": "gcnode.peer.v1.Packet", "for": "members, which open streams here"}))
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", s.subjects.node(s.opts.ID), err)
	}
	stats := micro.HandlerFunc(func(r micro.Request) {
		_ = r.RespondJSON(s.Stats()) // or nobody is there to take it
	})
	err = service.AddEndpoint("stats", stats, micro.WithEndpointSubject(s.subjects.stats(s.opts.ID)), micro.WithEndpointQueueGroup(queueGroup),
		micro.WithEndpointMetadata(map[string]string{"format": "JSON"}))
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", s.subjects.stats(s.opts.ID), err)
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
