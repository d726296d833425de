package groupcache

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	pb "github.com/gcnode/gcnode/compat/mailgun/groupcachepb"
	gcnode "github.com/gcnode/gcnode/core"
)

// slowPeer owns every key. Its answers are on their way for a while.
type slowPeer struct {
	version atomic.Int64
	travel  time.Duration
	asked   atomic.Int64
}

func (p *slowPeer) PickPeer(string) (ProtoGetter, bool) { return p, true }
func (p *slowPeer) GetAll() []ProtoGetter               { return []ProtoGetter{p} }
func (p *slowPeer) GetURL() string                      { return "slow" }

func (p *slowPeer) Get(ctx context.Context, _ *pb.GetRequest, out *pb.GetResponse) error {
	p.asked.Add(1)
	out.Value = strconv.AppendInt(nil, p.version.Load(), 10)
	select {
	case <-time.After(p.travel):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *slowPeer) Set(context.Context, *pb.SetRequest) error    { return nil }
func (p *slowPeer) Remove(context.Context, *pb.GetRequest) error { return nil }

// amongSlow is a group whose one peer takes so long to answer.
func amongSlow(travel time.Duration) (g *Group, o *origin, p *slowPeer) {
	r := newRegistry()
	p, o = &slowPeer{travel: travel}, newOrigin()
	r.registerPicker(func(string) PeerPicker { return p })
	return r.newGroup("group", 1<<20, o), o, p
}

// A peer that is not told of a removal before it answers sends an older value,
// which is gone when a copy that was asked for at that time would be, however
// long it has taken to arrive.
func TestACopyLivesFromWhenItWasAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, _, p := amongSlow(gcnode.DefaultHotTTL - time.Second)
		get := func() (v ByteView) {
			require.NoError(t, g.Get(t.Context(), "k", ByteViewSink(&v)))
			return v
		}
		asked := time.Now()
		go func() {
			time.Sleep(time.Second)
			p.version.Store(1)
		}()
		v := get()
		assert.Equal(t, "0", v.String())
		assert.False(t, v.Expire().After(asked.Add(gcnode.DefaultHotTTL)), "%v", v.Expire().Sub(asked))
		assert.Equal(t, "0", get().String())
		assert.EqualValues(t, 1, p.asked.Load(), "it is a copy for the rest of its life")
		time.Sleep(time.Until(asked.Add(gcnode.DefaultHotTTL + time.Second)))
		assert.Equal(t, "1", get().String())
	})
}

// It would be older than a copy may be.
func TestAnAnswerThatTakesLongerThanACopyLivesIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, o, p := amongSlow(time.Hour)
		o.write("k", 7)
		begun := time.Now()
		var s string
		require.NoError(t, g.Get(t.Context(), "k", StringSink(&s)))
		assert.Equal(t, "7", s, "loaded here")
		assert.Equal(t, gcnode.DefaultHotTTL, time.Since(begun))
		assert.EqualValues(t, 1, p.asked.Load())
		assert.EqualValues(t, 1, g.Stats.PeerErrors.Get())
	})
}
