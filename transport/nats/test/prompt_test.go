package test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// prompt answers at once what begins with "now", with the key as the value, and
// panics at "now panic".
type prompt struct {
	handlerFunc

	answered atomic.Int32
}

// AnswerNow implements [gcnode.PromptHandler].
func (p *prompt) AnswerNow(req *gcnode.Request) (gcnode.Reply, bool) {
	switch key := req.Keys[0]; {
	case key == "now panic":
		panic("boom")
	case strings.HasPrefix(key, "now"):
		p.answered.Add(1)
		return gcnode.Reply{Value: gcnode.StringValue(strings.Clone(key))}, true
	default:
		return gcnode.Reply{}, false
	}
}

func TestWhatIsKnownIsAnsweredWithoutAPlace(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	busy, free := make(chan struct{}), make(chan struct{})
	member := &prompt{handlerFunc: func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if req.Keys[0] == "slow" {
			close(busy)
			<-free
		}
		return echo(ctx, req, w)
	}}
	server := serve(t, connect(t, url), member, natstransport.ServerOptions{MaxConcurrent: 1})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	slow := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), client, "slow")
		slow <- err
	}()
	<-busy
	for range 1000 {
		replies, err := fetch(t.Context(), client, "now")
		require.NoError(t, err)
		require.Equal(t, "now", replies[0].Value.String())
	}
	replies, err := fetch(t.Context(), client, "later")
	require.NoError(t, err)
	require.ErrorIs(t, replies[0].Err, gcnode.ErrOverloaded)
	close(free)
	require.NoError(t, <-slow)
	require.EqualValues(t, 1000, member.answered.Load())
	require.EqualValues(t, 1001, server.Stats().Requests)
}

// A large answer that is known takes a goroutine to be written, and holds up
// nobody.
func TestALargeAnswerAtOnceHoldsUpNobody(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	serve(t, connect(t, url), &prompt{handlerFunc: echo}, natstransport.ServerOptions{MaxConcurrent: 1})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	large := "now" + strings.Repeat("x", 60<<10)
	for _, key := range []string{large, "now", "later", large} {
		replies, err := fetch(t.Context(), client, key)
		require.NoError(t, err)
		require.Equal(t, key, replies[0].Value.String())
	}
}

func TestAPanicAtOnceIsAnInternalError(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	serve(t, connect(t, url), &prompt{handlerFunc: echo}, natstransport.ServerOptions{})
	client := newClient(t, connect(t, url), natstransport.ClientOptions{})
	replies, err := fetch(t.Context(), client, "now panic")
	require.NoError(t, err)
	require.Equal(t, gcnode.KindInternal, replies[0].Err.Kind)
	replies, err = fetch(t.Context(), client, "now")
	require.NoError(t, err)
	require.Equal(t, "now", replies[0].Value.String())
}
