package test

import (
	"strconv"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// BenchmarkFetch fetches a value of 128 bytes through the bare transport, beside
// plain requests of NATS that carry as much.
func BenchmarkFetch(b *testing.B) {
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true})
	require.NoError(b, err)
	s.Start()
	defer stopServer(s)
	require.True(b, s.ReadyForConnections(patience))
	theirs, err := nats.Connect(s.ClientURL())
	require.NoError(b, err)
	defer theirs.Close()
	ours, err := nats.Connect(s.ClientURL())
	require.NoError(b, err)
	defer ours.Close()
	key := string(make([]byte, 128))
	server, err := natstransport.Serve(theirs, handlerFunc(echo), natstransport.ServerOptions{ID: "server"})
	require.NoError(b, err)
	defer server.Close()
	client, err := natstransport.NewClient(ours, natstransport.ClientOptions{})
	require.NoError(b, err)
	defer client.Close()
	_, err = theirs.Subscribe("plain", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	require.NoError(b, err)
	require.NoError(b, theirs.Flush())

	for _, impl := range []struct {
		name string
		call func() error
	}{
		{"ours", func() error {
			return client.RoundTrip(b.Context(), gcnode.Peer{ID: "server"}, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{key}}, &collect{})
		}},
		{"plain", func() error {
			_, err := ours.Request("plain", []byte(key), patience)
			return err
		}},
	} {
		for _, callers := range []int{1, 128} {
			b.Run("impl="+impl.name+"/callers="+strconv.Itoa(callers), func(b *testing.B) {
				b.ReportAllocs()
				if callers == 1 {
					for b.Loop() {
						require.NoError(b, impl.call())
					}
					return
				}
				b.SetParallelism(callers)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := impl.call(); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
