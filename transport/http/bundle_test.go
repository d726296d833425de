package httptransport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

// library is a member that has at once what does not begin with "slow", and lets
// go of what does with the test.
type library struct {
	begun, ended chan string // slow keys
	release      chan struct{}
	value        func(key string) gcnode.Value
	asked        atomic.Int32 // at once
}

func newLibrary() *library {
	return &library{
		begun: make(chan string, 1000), ended: make(chan string, 1000), release: make(chan struct{}), value: gcnode.StringValue,
	}
}

func (l *library) AnswerNow(req *gcnode.Request) (gcnode.Reply, bool) {
	l.asked.Add(1)
	switch key := req.Keys[0]; {
	case key == "panic":
		panic("boom")
	case key == "none":
		return gcnode.Reply{Err: &gcnode.Error{Kind: gcnode.KindNotFound}}, true
	case strings.HasPrefix(key, "slow"):
		return gcnode.Reply{}, false
	default:
		return gcnode.Reply{Value: l.value(key)}, true
	}
}

func (l *library) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	key := req.Keys[0]
	if strings.HasPrefix(key, "slow") {
		l.begun <- key
		defer func() { l.ended <- key }()
		select {
		case <-l.release:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return w.WriteReply(gcnode.Reply{Value: l.value(key)})
}

// noStreams is a member behind something that lets no Upgrade through.
func noStreams(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Upgrade")
		h.ServeHTTP(w, r)
	})
}

// result is what a fetch has come to.
type result struct {
	reply gcnode.Reply
	err   error
}

// ask asks for a key in the background.
func (p *piped) ask(ctx context.Context, key string) chan result {
	done := make(chan result, 1)
	go func() {
		got, err := fetch(ctx, p.client, p.url, key)
		var r result
		if r.err = err; len(got) == 1 {
			r.reply = got[0]
		}
		done <- r
	}()
	return done
}

// hold asks for two slow keys, one after the other, and leaves no turn for others.
func (p *piped) hold(t *testing.T) []chan result {
	t.Helper()
	var held []chan result
	for range 2 {
		held = append(held, p.ask(t.Context(), "slow"))
		synctest.Wait()
	}
	return held
}

// inTurn runs a test with a member that offers no streams, of which two slow keys
// are asked for, so that others go together. They are answered in the end.
func inTurn(t *testing.T, l *library, test func(t *testing.T, p *piped)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l.begun, l.ended, l.release = make(chan string, 1000), make(chan string, 1000), make(chan struct{})
		p := newPiped(t, l, noStreams)
		require.NoError(t, (<-p.ask(t.Context(), "first")).err)
		held := p.hold(t)
		require.Len(t, l.begun, 2)
		test(t, p)
		close(l.release)
		for _, slow := range held {
			require.NoError(t, (<-slow).err)
		}
		p.stop()
	})
}

// TestFetchesGoTogether has five fetches that come while two are under way.
func TestFetchesGoTogether(t *testing.T) {
	l := newLibrary()
	inTurn(t, l, func(t *testing.T, p *piped) {
		t.Helper()
		begun := time.Now()
		var asked []chan result
		for i := range 5 {
			asked = append(asked, p.ask(t.Context(), strconv.Itoa(i)))
		}
		for i, done := range asked {
			got := <-done
			require.NoError(t, got.err)
			require.Equal(t, strconv.Itoa(i), got.reply.Value.String())
		}
		require.Equal(t, time.Millisecond, time.Since(begun), "they wait for a turn no longer")
		stats := statsOf(t, p.client)
		require.EqualValues(t, 1, stats.Bundles)
		require.EqualValues(t, 5, stats.Bundled)
		require.EqualValues(t, 3, stats.Posts)
		require.Empty(t, l.ended)
		// What has been under way for longer keeps nobody waiting.
		time.Sleep(2 * time.Millisecond)
		begun = time.Now()
		require.NoError(t, (<-p.ask(t.Context(), "k")).err)
		require.Equal(t, begun, time.Now())
		require.EqualValues(t, 4, statsOf(t, p.client).Posts)
	})
}

// TestASlowKeyHoldsUpNobody has one among those that go together, and a large
// value: both are asked for alone then.
func TestASlowKeyHoldsUpNobody(t *testing.T) {
	l := newLibrary()
	large := strings.Repeat("v", 20<<10)
	l.value = func(key string) gcnode.Value {
		if key == "large" {
			key = large
		}
		return gcnode.StringValue(key)
	}
	inTurn(t, l, func(t *testing.T, p *piped) {
		t.Helper()
		slow, small, big, none := p.ask(t.Context(), "slow"), p.ask(t.Context(), "small"), p.ask(t.Context(), "large"), p.ask(t.Context(), "none")
		require.Equal(t, "small", (<-small).reply.Value.String())
		require.True(t, (<-big).reply.Value.String() == large)
		require.ErrorIs(t, (<-none).reply.Err, gcnode.ErrNotFound)
		stats := statsOf(t, p.client)
		require.EqualValues(t, 1, stats.Bundles)
		require.EqualValues(t, 2, stats.Bundled)
		synctest.Wait()
		require.Len(t, l.begun, 3)
		require.Empty(t, slow)
		l.release <- struct{}{} // to one of the three
		l.release <- struct{}{}
		l.release <- struct{}{}
		require.Equal(t, "slow", (<-slow).reply.Value.String())
	})
}

// TestWhoLeavesABundleTakesNobodyAlong has a caller that leaves while it waits for
// others.
func TestWhoLeavesABundleTakesNobodyAlong(t *testing.T) {
	l := newLibrary()
	inTurn(t, l, func(t *testing.T, p *piped) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		early, other, late := p.ask(ctx, "early"), p.ask(t.Context(), "stays"), p.ask(t.Context(), "slow")
		synctest.Wait()
		cancel()
		require.ErrorIs(t, (<-early).err, context.Canceled)
		require.Equal(t, "stays", (<-other).reply.Value.String())
		synctest.Wait()
		require.Len(t, l.begun, 3)
		require.Empty(t, late)
		require.EqualValues(t, 2, statsOf(t, p.client).Bundled, "the first one is answered in vain")
	})
}

// TestABundleEndsWithItsLastCaller has a peer that takes it and says nothing.
func TestABundleEndsWithItsLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLibrary()
		taken, gone := make(chan struct{}), make(chan struct{})
		p := newPiped(t, l, bundlesTo(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			close(taken)
			<-r.Context().Done()
			close(gone)
		}))
		require.NoError(t, (<-p.ask(t.Context(), "first")).err)
		held := p.hold(t)
		ctx, cancel := context.WithCancel(t.Context())
		one := p.ask(ctx, "one")
		two, cancelTwo := context.WithCancel(t.Context())
		x := transporttest.NewQueue()
		ticket, ok := p.client.Begin(two, gcnode.Peer{ID: "server", Addr: p.url}, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"two"}}, x)
		require.True(t, ok)
		cancelTwo() // which says nothing of a fetch that was begun
		<-taken
		cancel()
		require.ErrorIs(t, (<-one).err, context.Canceled)
		synctest.Wait()
		select {
		case <-gone:
			t.Fatal("the other one is there")
		default:
		}
		ticket.Cancel()
		_, err := x.Wait(t)
		require.ErrorIs(t, err, gcnode.ErrUnreachable)
		<-gone
		close(l.release)
		for _, slow := range held {
			require.NoError(t, (<-slow).err)
		}
		p.stop()
	})
}

// TestACancelledFetchIsNotServed has one that was begun and goes alone.
func TestACancelledFetchIsNotServed(t *testing.T) {
	l := newLibrary()
	inTurn(t, l, func(t *testing.T, p *piped) {
		t.Helper()
		x := transporttest.NewQueue()
		req := &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"slow"}}
		ticket, ok := p.client.Begin(t.Context(), gcnode.Peer{ID: "server", Addr: p.url}, req, x)
		require.True(t, ok)
		for len(l.begun) < 3 {
			time.Sleep(time.Millisecond)
		}
		ticket.Cancel()
		_, err := x.Wait(t)
		require.Error(t, err)
		require.Equal(t, "slow", <-l.ended)
		ticket.Cancel()
	})
}

// TestAPeerWithoutBundlesIsAskedAsBefore has something that answers a bundle as no
// peer does: that is remembered, and everybody has their answer.
func TestAPeerWithoutBundlesIsAskedAsBefore(t *testing.T) {
	for name, test := range map[string]struct {
		says  http.HandlerFunc
		lasts time.Duration
	}{
		"older member": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnsupportedMediaType) }, time.Minute},
		"proxy":        {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusNotFound) }, time.Minute},
		"other server": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }, time.Minute},
		"ill proxy":    {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLibrary()
				var refused atomic.Int32
				p := newPiped(t, l, bundlesTo(func(w http.ResponseWriter, r *http.Request) {
					refused.Add(1)
					test.says(w, r)
				}))
				ask := func() {
					held := p.hold(t)
					one, two := p.ask(t.Context(), "one"), p.ask(t.Context(), "two")
					require.Equal(t, "one", (<-one).reply.Value.String())
					require.Equal(t, "two", (<-two).reply.Value.String())
					for _, slow := range held {
						l.release <- struct{}{}
						require.NoError(t, (<-slow).err)
					}
				}
				require.NoError(t, (<-p.ask(t.Context(), "first")).err)
				ask()
				ask()
				require.EqualValues(t, 1, refused.Load())
				time.Sleep(test.lasts)
				ask()
				require.EqualValues(t, 2, refused.Load())
				require.Zero(t, statsOf(t, p.client).Bundled)
				p.stop()
			})
		})
	}
}

// TestAMemberThatAnswersNothingAtOnceTakesNoBundles is about a member that answers nothing at once.
func TestAMemberThatAnswersNothingAtOnceTakesNoBundles(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	status, text := postBundle(t, server.URL, "")
	require.Equal(t, http.StatusUnsupportedMediaType, status)
	require.Contains(t, text, "takes no bundles")
}

// TestAPanicInABundleIsAnsweredAlone has a member that panics.
func TestAPanicInABundleIsAnsweredAlone(t *testing.T) {
	inTurn(t, newLibrary(), func(t *testing.T, p *piped) {
		t.Helper()
		bad, good := p.ask(t.Context(), "panic"), p.ask(t.Context(), "good")
		require.Equal(t, "good", (<-good).reply.Value.String())
		require.Equal(t, gcnode.KindInternal, (<-bad).reply.Err.Kind)
		require.EqualValues(t, 2, statsOf(t, p.client).Bundled)
	})
}

// TestClientRefusesReturnsOfABundle has peers that answer the first call of two,
// and then what no peer says.
func TestClientRefusesReturnsOfABundle(t *testing.T) {
	reply := func(id uint64, r gcnode.Reply) string {
		out, err := wire.AppendReply(nil, id, &r)
		require.NoError(t, err)
		return string(out.Head) + out.Data
	}
	good := reply(1, gcnode.Reply{Value: gcnode.StringValue("v")})
	cause := &gcnode.Error{Kind: gcnode.KindOverloaded, RetryAfter: time.Second}
	for name, test := range map[string]struct{ more, says string }{
		"nothing":         {"", "the peer has left out an answer"},
		"the same again":  {good, "call 1 was not asked, or is answered twice"},
		"another call":    {reply(3, gcnode.Reply{}), "call 3 was not asked"},
		"no call":         {reply(0, gcnode.Reply{}), "what is returned for call 0 is no answer"},
		"a sign of life":  {reply(2, gcnode.Reply{Pending: true}), "what is returned for call 2 is no answer"},
		"another key":     {reply(2, gcnode.Reply{Key: 1}), "what is returned for call 2 is no answer"},
		"part of a value": {reply(2, gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("v", 300<<10))}), "at most 32768"},
		"an end":          {string(wire.AppendEnd(nil, 2, nil)), "EOF"},
		"half of it":      {reply(2, gcnode.Reply{Value: gcnode.StringValue("v")})[:5], "unexpected EOF"},
		"garbage":         {"\x05hello", "malformed"},
		"a refusal":       {string(wire.AppendRefusal(nil, 0, cause)), ""},
		"a newer kind":    {"\x03\x9a\x3f\x00" + string(wire.AppendApart(nil, 0)) + string(wire.AppendRefusal(nil, 2, cause)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLibrary()
				p := newPiped(t, l, bundlesTo(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", bundleType)
					_, _ = io.WriteString(w, good+test.more)
				}))
				require.NoError(t, (<-p.ask(t.Context(), "first")).err)
				held := p.hold(t)
				one := p.ask(t.Context(), "one")
				synctest.Wait()
				two := p.ask(t.Context(), "two")
				require.Equal(t, "v", (<-one).reply.Value.String())
				got := <-two
				if test.says == "" {
					require.NoError(t, got.err)
					require.ErrorIs(t, got.reply.Err, gcnode.ErrOverloaded)
					require.Equal(t, time.Second, got.reply.Err.RetryAfter)
				} else {
					require.ErrorIs(t, got.err, gcnode.ErrUnreachable)
					require.ErrorContains(t, got.err, test.says)
				}
				close(l.release)
				for _, slow := range held {
					require.NoError(t, (<-slow).err)
				}
				p.stop()
			})
		})
	}
}

// bundlesTo is a member without streams, in whose place another one answers
// bundles.
func bundlesTo(other http.HandlerFunc) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Content-Type") == bundleType {
				other(w, r)
				return
			}
			noStreams(h).ServeHTTP(w, r)
		})
	}
}

var errEnough = errors.New("enough")

// TestAnErrorOfTheWriterIsItsOwn has a caller that does not want its reply.
func TestAnErrorOfTheWriterIsItsOwn(t *testing.T) {
	inTurn(t, newLibrary(), func(t *testing.T, p *piped) {
		t.Helper()
		good := p.ask(t.Context(), "good")
		err := p.client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: p.url},
			&gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"bad"}}, writeFunc(func(gcnode.Reply) error { return errEnough }))
		require.Equal(t, errEnough, err)
		require.Equal(t, "good", (<-good).reply.Value.String())
	})
}
