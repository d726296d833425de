package test

import (
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
	server := serve(t, connect(t, url), handlerFunc(echo), natstransport.ServerOptions{ID: "node 1", Cluster: "shop", Version: "1.2.3"})
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
	require.Len(t, info.Endpoints, 2)
	require.Equal(t, "gcnode.shop.node.node=201", info.Endpoints[0].Subject)

	var stats micro.Stats
	ask(micro.StatsVerb, &stats)
	require.Len(t, stats.Endpoints, 2)
	require.Equal(t, 1, stats.Endpoints[0].NumRequests)
	var figures natstransport.ServerStats
	require.NoError(t, json.Unmarshal(stats.Endpoints[0].Data, &figures))
	require.Equal(t, natstransport.ServerStats{Streams: 1, StreamsOpened: 1, Requests: 1}, figures)

	answer, err := nc.Request("gcnode.shop.stats.node=201", nil, patience)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(answer.Data, &figures))
	require.EqualValues(t, 1, figures.Requests)

	server.Close()
	eventually(t, func() bool {
		_, err := nc.Request("$SRV.PING.gcnode-shop", nil, patience)
		return errors.Is(err, nats.ErrNoResponders)
	}, "nobody is listed any more")
}
