package test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// TestService asks for the member as the tools of NATS do.
func TestService(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	server := serve(t, connect(t, url), confirming{}, natstransport.ServerOptions{ID: "node 1", Cluster: "shop", Version: "1.2.3"})
	nc := connect(t, url)
	client := newClient(t, nc, natstransport.ClientOptions{Cluster: "shop"})
	err := client.RoundTrip(t.Context(), gcnode.Peer{ID: "node 1"}, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}, &collect{})
	require.NoError(t, err)

	ask := func(verb micro.Verb, into any) {
		subject, err := micro.ControlSubject(verb, "gcnode-shop", "")
		require.NoError(t, err)
		answer, err := nc.Request(subject, nil, patience)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(answer.Data, into))
	}
	var ping micro.Ping
	ask(micro.PingVerb, &ping)
	require.Equal(t, "gcnode-shop", ping.Name)
	require.Equal(t, "1.2.3", ping.Version)
	require.Equal(t, map[string]string{"cluster": "shop", "node": "node 1", "instance": server.Addr()}, ping.Metadata)

	var info micro.Info
	ask(micro.InfoVerb, &info)
	var endpoints []string
	for _, e := range info.Endpoints {
		endpoints = append(endpoints, e.Name+" "+e.Subject)
	}
	require.Equal(t, []string{"fetch gcnode.shop.node.node=201", "remove gcnode.shop.events.*", "stats gcnode.shop.stats.node=201"}, endpoints)

	req := &gcnode.Request{Op: gcnode.OpRemove, Removals: []gcnode.Removal{{Group: "g", Keys: []string{"k"}}}}
	confirmed := 0
	require.NoError(t, client.Broadcast(t.Context(), []gcnode.Peer{{ID: "node 1"}}, req, func(gcnode.Peer, gcnode.Reply) { confirmed++ }))
	require.Equal(t, 1, confirmed)
	answer, err := nc.Request("gcnode.shop.stats.node=201", nil, patience)
	require.NoError(t, err)
	var figures natstransport.ServerStats
	require.NoError(t, json.Unmarshal(answer.Data, &figures))
	require.Equal(t, natstransport.ServerStats{Streams: 1, StreamsOpened: 1, Requests: 2}, figures)

	var stats micro.Stats
	eventually(t, func() bool { // it counts a request when the answer is on its way
		ask(micro.StatsVerb, &stats)
		return stats.Endpoints[2].NumRequests == 1
	}, "the figures are counted")
	for _, e := range stats.Endpoints {
		require.Positive(t, e.NumRequests, e.Name)
		require.NoError(t, json.Unmarshal(e.Data, &figures))
		require.EqualValues(t, 2, figures.Requests)
	}

	server.Close()
	eventually(t, func() bool {
		_, err := nc.Request("$SRV.PING.gcnode-shop", nil, patience)
		return errors.Is(err, nats.ErrNoResponders)
	}, "nobody is listed any more")
}

// confirming confirms removals, and answers each key with itself.
type confirming struct{}

// ServePeer implements [gcnode.Handler].
func (confirming) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if req.Op == gcnode.OpRemove {
		return w.WriteReply(gcnode.Reply{Ack: &gcnode.Ack{}})
	}
	return echo(ctx, req, w)
}
