package test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
	"github.com/gcnode/gcnode/transport/wire"
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

// Answers that are known wait, as others do, for a client that takes nothing.
func TestAnswersAtOnceWaitForTheClient(t *testing.T) {
	url := startServer(t, nil).ClientURL()
	const asked = 200 // of 8 KiB each, in one packet
	value := gcnode.StringValue(strings.Repeat("v", 8<<10))
	member := knowing{handlerFunc(echo), gcnode.Reply{Value: value}}
	server := serve(t, connect(t, url), member, natstransport.ServerOptions{})
	s := newStranger(t, url)
	var calls []byte
	for i := range asked {
		calls = append(calls, call(t, uint64(i+1))...)
	}
	s.send(wire.Packet{Number: 2, Data: calls})
	got := 0
	for got < wire.StreamWindow {
		got += len(s.next().Data)
	}
	stats := server.Stats()
	require.EqualValues(t, asked, stats.Requests)
	require.Greater(t, stats.Running, 10, "some have a place, and are not in memory once more")
	s.send(wire.Packet{Number: 3, Taken: wire.StreamWindow})
	for end := len(wire.AppendEnd(nil, asked, nil)); got < asked*(value.Len()+end); {
		got += len(s.next().Data)
	}
	eventually(t, func() bool { return server.Stats().Running == 0 }, "all is answered")
}

// knowing answers all at once.
type knowing struct {
	gcnode.Handler

	reply gcnode.Reply
}

// AnswerNow implements [gcnode.PromptHandler].
func (k knowing) AnswerNow(*gcnode.Request) (gcnode.Reply, bool) { return k.reply, true }

// A fetch of what the owner has in memory allocates no more than a plain request
// of NATS: both sides, and the server between.
func TestAFetchAllocatesNoMoreThanAPlainRequest(t *testing.T) {
	if racing {
		t.Skip("pools give back less with the race detector")
	}
	url := startServer(t, nil).ClientURL()
	const size = 128
	getter := gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(strings.Repeat("v", size))}, nil
	})
	start := func(id string) (*gcnode.Node, *gcnode.Group, *nats.Conn) {
		nc := connect(t, url)
		// The shortest HotTTL there is means that no copy is kept.
		node, err := gcnode.NewNode(gcnode.Config{
			Self: gcnode.Peer{ID: id}, Transport: newClient(t, nc, natstransport.ClientOptions{}), HotTTL: time.Nanosecond,
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, node.Close(context.Background())) })
		g, err := node.Group("g", getter, gcnode.GroupOptions{MaxBytes: 1 << 20})
		require.NoError(t, err)
		return node, g, nc
	}
	owner, _, theirs := start("server")
	asker, group, ours := start("asker")
	serve(t, theirs, owner, natstransport.ServerOptions{})
	peers := []gcnode.Peer{{ID: "server"}}
	require.NoError(t, owner.SetPeers(peers))
	require.NoError(t, asker.SetPeers(peers))
	_, err := theirs.Subscribe("plain", func(m *nats.Msg) { _ = m.Respond(make([]byte, size)) })
	require.NoError(t, err)
	require.NoError(t, theirs.Flush())
	const runs = 2000
	fetch := testing.AllocsPerRun(runs, func() {
		if v, err := group.Get(t.Context(), "a key"); err != nil || v.Len() != size {
			t.Errorf("got %d bytes, %v", v.Len(), err)
		}
	})
	plain := testing.AllocsPerRun(runs, func() {
		if answer, err := ours.RequestWithContext(t.Context(), "plain", []byte("a key")); err != nil || len(answer.Data) != size {
			t.Error(err)
		}
	})
	t.Logf("a fetch allocates %v times, a plain request %v times", fetch, plain)
	require.LessOrEqual(t, fetch, plain)
}
