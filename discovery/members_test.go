package discovery_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/discovery"
)

// peers is members with these IDs.
func peers(ids string) []gcnode.Peer {
	var list []gcnode.Peer
	for id := range strings.FieldsSeq(ids) {
		list = append(list, gcnode.Peer{ID: id, Addr: "http://" + id + "/", Weight: 1})
	}
	return list
}

// ids is the opposite of peers.
func ids(list []gcnode.Peer) string {
	names := make([]string, 0, len(list))
	for _, p := range list {
		names = append(names, p.ID)
	}
	return strings.Join(names, " ")
}

// node records the lists that it is given.
type node struct {
	mu     sync.Mutex
	list   []gcnode.Peer
	given  []string
	refuse error
}

func (n *node) SetPeers(list []gcnode.Peer) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse != nil {
		return n.refuse
	}
	n.list = list
	n.given = append(n.given, ids(list))
	return nil
}

func (n *node) Peers() []gcnode.Peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}

// lists are all lists that the node was given.
func (n *node) lists() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.given)
}

// script is a source that says what the test tells it to.
type script struct{ report func([]gcnode.Peer, error) }

func (s *script) Watch(ctx context.Context, report func([]gcnode.Peer, error)) {
	s.report = report
	<-ctx.Done()
}

func (s *script) String() string { return "script" }

// says gives a list, or an error when it begins with "!".
func (s *script) says(list string) {
	if message, ok := strings.CutPrefix(list, "!"); ok {
		s.report(nil, errors.New(message))
		return
	}
	s.report(peers(list), nil)
}

// follow runs members in the bubble of the test until it ends.
func follow(t *testing.T, n discovery.Node, source discovery.Source, opts discovery.Options) *discovery.Members {
	t.Helper()
	if !opts.Client {
		opts.Self = "a"
	}
	m, err := discovery.New(n, source, opts)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	synctest.Wait()
	return m
}

func TestTheNodeIsGivenWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{}, &script{}
		m := follow(t, n, s, discovery.Options{})
		for _, list := range []string{"b a", "a b", "a b c", "c b a", "a c"} {
			s.says(list)
		}
		assert.Equal(t, []string{"a b", "a b c", "a c"}, n.lists())
		assert.Equal(t, uint64(3), m.Status().Changes)
		assert.Equal(t, 2, m.Status().Members)

		moved := peers("a c")
		moved[1].Addr = "http://elsewhere/"
		s.report(moved, nil)
		assert.Equal(t, moved, n.Peers(), "a member with another address")
		moved[1].Weight = 7
		s.report(slices.Clone(moved), nil)
		assert.Equal(t, moved, n.Peers(), "a member with another weight")
		moved[0].Weight = 0
		s.report(moved, nil)
		assert.Equal(t, uint64(5), m.Status().Changes, "a weight of 0 is 1")
	})
}

func TestARealNodeFollowsAFixedList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "a"}})
		require.NoError(t, err)
		defer func() { assert.NoError(t, n.Close(t.Context())) }()
		m := follow(t, n, discovery.Static(peers("a")), discovery.Options{})
		require.NoError(t, m.Await(t.Context()))
		assert.Equal(t, peers("a"), n.Peers())
		assert.Equal(t, "fixed list of 1", m.Status().Source)
	})
}

func TestWhatCannotBeTheListChangesNothing(t *testing.T) {
	twice := append(peers("a b"), gcnode.Peer{ID: "b", Addr: "http://elsewhere/"})
	for name, c := range map[string]struct {
		list []gcnode.Peer
		err  error
		is   error
		says string
	}{
		"an error":              {err: context.DeadlineExceeded, is: context.DeadlineExceeded, says: "deadline exceeded"},
		"nothing":               {is: discovery.ErrEmpty, says: "the list of members is empty"},
		"a list without us":     {list: peers("b c"), is: discovery.ErrNotListed, says: `its ID is "a", those on the list are "b", "c"`},
		"a long one without":    {list: peers("b c d e f g h i j k l m"), is: discovery.ErrNotListed, says: `"k" and 2 more`},
		"a member twice":        {list: twice, says: `the member "b" is there twice`},
		"a list and an error":   {list: peers("a"), err: context.Canceled, is: context.Canceled, says: "canceled"},
		"what the node refuses": {list: peers("a z"), says: "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, s := &node{}, &script{}
				m := follow(t, n, s, discovery.Options{})
				s.says("a b c")
				good := m.Status()
				require.NoError(t, good.Err)
				time.Sleep(time.Minute)
				n.refuse = errors.New("refused")
				s.report(c.list, c.err)
				n.refuse = nil

				assert.Equal(t, []string{"a b c"}, n.lists())
				st := m.Status()
				require.ErrorContains(t, st.Err, c.says)
				if c.is != nil {
					require.ErrorIs(t, st.Err, c.is)
				}
				assert.Equal(t, time.Now(), st.Failed)
				assert.Equal(t, uint64(1), st.Errors)
				assert.Equal(t, good.Changed, st.Changed)
				assert.Equal(t, 3, st.Members)

				s.says("a b c")
				st = m.Status()
				require.NoError(t, st.Err)
				assert.Equal(t, time.Now(), st.Answered)
				assert.Equal(t, uint64(1), st.Errors)
				assert.Len(t, n.lists(), 1)
			})
		})
	}
}

func TestAClientNeedsNoPlaceOnTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{}, &script{}
		follow(t, n, s, discovery.Options{Client: true})
		s.says("b c")
		assert.Equal(t, []string{"b c"}, n.lists())
	})
}

// losses records the losses that are reported.
type losses []discovery.Loss

func (l *losses) add(loss discovery.Loss) { *l = append(*l, loss) }

func TestALossOfMoreThanHalfIsReported(t *testing.T) {
	for _, c := range []struct {
		before, after, lost string
	}{
		{"a b c d", "a b", ""},
		{"a b c d", "a", "b c d"},
		{"a b c", "a", "b c"},
		{"a b", "a", ""},
		{"a b c", "a x y z", "b c"}, // replaced, not fewer
		{"a b c d e", "a b c x", ""},
		{"a b c d e", "a b", "c d e"},
	} {
		t.Run(c.before+" to "+c.after, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, s := &node{}, &script{}
				var seen losses
				m := follow(t, n, s, discovery.Options{Lost: seen.add})
				s.says(c.before)
				s.says(c.after)
				assert.Equal(t, []string{c.before, c.after}, n.lists(), "nothing is held back unless asked for")
				if c.lost == "" {
					assert.Empty(t, seen)
					assert.Zero(t, m.Status().Losses)
					return
				}
				assert.Equal(t, losses{{Before: peers(c.before), After: peers(c.after), Lost: peers(c.lost)}}, seen)
				assert.Equal(t, uint64(1), m.Status().Losses)
			})
		})
	}
}

func TestALossIsHeldBackUntilEnoughAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{}, &script{}
		var seen losses
		m := follow(t, n, s, discovery.Options{HoldBack: discovery.HoldBack{Answers: 3}, Lost: seen.add})
		s.says("a b c d e")
		s.says("a")
		s.says("a")
		st := m.Status()
		assert.True(t, st.Held)
		assert.Equal(t, 1, st.Waiting)
		assert.Equal(t, 5, st.Members)
		for _, other := range []string{"a b", "!broken", "a b c d e", "a b c d"} {
			s.says(other)
			s.says("a")
			s.says("a")
			assert.NotContains(t, n.lists(), "a", "after %q two answers are too few", other)
		}
		time.Sleep(24 * time.Hour)
		assert.NotContains(t, n.lists(), "a", "time was not asked to confirm it")
		s.says("a")
		assert.Equal(t, []string{"a b c d e", "a b c d", "a"}, n.lists())
		assert.False(t, m.Status().Held)
		for _, loss := range seen {
			assert.True(t, loss.Held)
		}
		assert.Equal(t, []string{"a", "a b", "a", "a"}, func() (after []string) {
			for _, loss := range seen {
				after = append(after, ids(loss.After))
			}
			return after
		}(), "each is reported once in a row")
	})
}

func TestALossIsHeldBackForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{}, &script{}
		m := follow(t, n, s, discovery.Options{HoldBack: discovery.HoldBack{For: time.Minute}})
		s.says("a b c d e")
		s.says("a")
		begun := time.Now()
		time.Sleep(40 * time.Second)
		s.says("a")
		assert.Equal(t, begun, m.Status().Since)
		time.Sleep(20*time.Second - 1)
		assert.Len(t, n.lists(), 1)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, []string{"a b c d e", "a"}, n.lists(), "no further answer is needed")
	})
}

func TestAnErrorEndsTheTimeThatConfirms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{}, &script{}
		follow(t, n, s, discovery.Options{HoldBack: discovery.HoldBack{For: time.Minute}})
		s.says("a b c d e")
		s.says("a")
		time.Sleep(59 * time.Second)
		s.says("!broken")
		time.Sleep(time.Hour)
		assert.Len(t, n.lists(), 1, "a source that fails is not to be believed")
		s.says("a")
		time.Sleep(59 * time.Second)
		assert.Len(t, n.lists(), 1, "the time begins anew")
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"a b c d e", "a"}, n.lists())
	})
}

func TestTheFirstOfTwoConfirmationsCounts(t *testing.T) {
	for name, answers := range map[string]int{"answers": 3, "time": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, s := &node{}, &script{}
				follow(t, n, s, discovery.Options{HoldBack: discovery.HoldBack{Answers: 3, For: time.Minute}})
				s.says("a b c d e")
				for range answers {
					s.says("a")
				}
				if name == "time" {
					assert.Len(t, n.lists(), 1)
					time.Sleep(time.Minute)
					synctest.Wait()
				}
				assert.Equal(t, []string{"a b c d e", "a"}, n.lists())
			})
		})
	}
}

func TestAListThatIsHeldBackCanBeAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{}, &script{}
		m := follow(t, n, s, discovery.Options{HoldBack: discovery.HoldBack{Answers: 1000, For: time.Hour}})
		assert.False(t, m.Accept(), "there is none yet")
		s.says("a b c d e")
		assert.False(t, m.Accept())
		s.says("a")
		assert.True(t, m.Accept())
		assert.False(t, m.Accept())
		assert.Equal(t, []string{"a b c d e", "a"}, n.lists())
	})
}

func TestAcceptFromTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{}, &script{}
		var m *discovery.Members
		accept := func(loss discovery.Loss) { assert.True(t, m.Accept()) }
		m = follow(t, n, s, discovery.Options{HoldBack: discovery.HoldBack{Answers: 1000}, Lost: accept})
		s.says("a b c d e")
		s.says("a")
		assert.Equal(t, []string{"a b c d e", "a"}, n.lists())
	})
}

func TestASourceThatGoesBackAndForthMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{}, &script{}
		follow(t, n, s, discovery.Options{Confirm: 2})
		s.says("a b c d")
		for range 10 {
			s.says("a b c")
			s.says("a b c d")
			s.says("a b c d e")
		}
		assert.Equal(t, []string{"a b c d"}, n.lists(), "the first list needs no confirmation, the others had none")
		s.says("a b c d e")
		assert.Equal(t, []string{"a b c d", "a b c d e"}, n.lists())
	})
}

func TestTheListThatTheNodeHasIsComparedWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{list: peers("a b c d e")}, &script{}
		m := follow(t, n, s, discovery.Options{HoldBack: discovery.HoldBack{Answers: 2}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s.says("a")
		assert.Empty(t, n.lists(), "another source had given five")
		require.ErrorIs(t, m.Await(ctx), context.DeadlineExceeded)
		s.says("a b c d e")
		require.NoError(t, m.Await(t.Context()))
		s.says("a b c d e")
		assert.Equal(t, []string{"a b c d e"}, n.lists(), "given once, since the node may have dropped who said goodbye")
	})
}

func TestTheListThatANodeIsMadeWithIsNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{list: peers("c")}, &script{}
		follow(t, n, s, discovery.Options{Client: true, Confirm: 2, HoldBack: discovery.HoldBack{Answers: 2}})
		s.says("a b")
		assert.Equal(t, []string{"a b"}, n.lists())
	})
}

func TestAwaitSaysWhyThereIsNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{}, &script{}
		m := follow(t, n, s, discovery.Options{})
		s.says("b c")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := m.Await(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, discovery.ErrNotListed)
		require.ErrorContains(t, err, "no list of members from script")
		s.says("a b c")
		require.NoError(t, m.Await(ctx))
	})
}

func TestNothingHappensAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := &node{}, &script{}
		m, err := discovery.New(n, s, discovery.Options{Self: "a", HoldBack: discovery.HoldBack{For: time.Minute}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		synctest.Wait()
		s.says("a b c d e")
		s.says("a")
		cancel()
		require.NoError(t, <-done)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.False(t, m.Accept())
		assert.Len(t, n.lists(), 1)
		assert.ErrorContains(t, m.Run(ctx), "Run was called before")
	})
}

func TestWrongOptionsAreRefusedTogether(t *testing.T) {
	_, err := discovery.New(nil, nil, discovery.Options{Confirm: -1, HoldBack: discovery.HoldBack{For: -1}})
	for _, says := range []string{"no node", "no source", "Self", "Confirm is -1", "HoldBack, 0 answers and -1ns"} {
		require.ErrorContains(t, err, says)
	}
	_, err = discovery.New(&node{}, &script{}, discovery.Options{Self: "a", Client: true})
	require.ErrorContains(t, err, "not both")
}

func TestTheLogTellsOfAnErrorOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		n, s := &node{}, &script{}
		follow(t, n, s, discovery.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for _, list := range []string{"a b c", "!broken", "!broken", "!otherwise", "a b c", "!otherwise", "a"} {
			s.says(list)
		}
		assert.Equal(t, 1, strings.Count(log.String(), "err=broken"))
		assert.Equal(t, 2, strings.Count(log.String(), "err=otherwise"))
		assert.Equal(t, 2, strings.Count(log.String(), "the source of members answers again"))
		assert.Contains(t, log.String(), "level=WARN msg=\"the new list of members loses more than half of the old one\" source=script held_back=false before=3 after=1")
		assert.Contains(t, log.String(), `level=INFO msg="list of members" source=script members=1 joined="" left="b, c"`)
	})
}
