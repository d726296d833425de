package server

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// TestLimitsAreThoseOfTheListenerForNodes has three requests wait, after which
// there is no place for one more.
func TestLimitsAreThoseOfTheListenerForNodes(t *testing.T) {
	limits := config.PeerLimits{MaxRequests: 3, MaxPerStream: 1, MaxRequestBytes: 200 << 20}
	s := &server{cfg: &config.Config{ID: "a", Listen: config.Listen{Peers: ":0"}, PeerLimits: limits}, log: slog.New(slog.DiscardHandler)}
	var err error
	s.node, err = gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "a"}})
	require.NoError(t, err)
	loading, finish := make(chan struct{}, 10), make(chan struct{})
	_, err = s.node.Group("g", gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		loading <- struct{}{}
		<-finish
		return gcnode.Item[gcnode.Value]{}, nil
	}), gcnode.GroupOptions{MaxBytes: 1 << 20})
	require.NoError(t, err)
	require.NoError(t, s.makeStreams())
	require.EqualValues(t, 200<<20, s.handlerOptions().MaxRequestBytes)
	server := httptest.NewServer(s.streams)
	ask := func(client *httptransport.Client, key string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var failed error
		err := client.RoundTrip(ctx, gcnode.Peer{ID: "a", Addr: server.URL},
			&gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{key}}, replies(func(r gcnode.Reply) error {
				if r.Err != nil {
					failed = r.Err
				}
				return nil
			}))
		if err == nil {
			err = failed
		}
		return err
	}
	stream, err := httptransport.NewClient(httptransport.ClientOptions{})
	require.NoError(t, err)
	plain, err := httptransport.NewClient(httptransport.ClientOptions{Plain: true})
	require.NoError(t, err)
	answered := make(chan error, 3)
	for i, client := range []*httptransport.Client{stream, plain, plain} {
		go func() { answered <- ask(client, string(rune('a'+i))) }()
		<-loading
		if i == 0 {
			assert.ErrorContains(t, ask(stream, "x"), "1 requests of this stream are being served")
		}
	}
	assert.ErrorContains(t, ask(plain, "x"), "3 requests are being served")
	close(finish)
	for range cap(answered) {
		assert.NoError(t, <-answered)
	}
	stream.Close()
	plain.Close()
	server.Close()
	s.streams.Close()
	require.NoError(t, s.node.Close(context.WithoutCancel(t.Context())))
}

// replies is a function that is a gcnode.ReplyWriter.
type replies func(gcnode.Reply) error

func (f replies) WriteReply(r gcnode.Reply) error { return f(r) }
