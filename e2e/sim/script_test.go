package sim

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/e2e/history"
)

// script is a world in which nothing happens but what a test says.
type script struct {
	*world
	settings
	t *testing.T
}

const (
	scriptPeerTimeout = 200 * time.Millisecond
	scriptHotTTL      = time.Second
	scriptJoinTimeout = 500 * time.Millisecond
)

// scenario runs a script in a bubble, and checks its history.
func scenario(t *testing.T, run func(s *script)) {
	t.Helper()
	for _, list := range subsets([]string{"a", "b", "c", "d"}) {
		require.NoError(t, Rings.keep(list))
	}
	synctest.Test(t, func(t *testing.T) {
		bounds := history.Bounds{
			Grace: int64(2 * scriptHotTTL), Copy: int64(scriptHotTTL), Heal: int64(7 * time.Second), Settle: int64(2 * time.Second),
			Remember: int64(500 * time.Millisecond), Again: int64(75 * time.Second), Memory: int64(time.Minute),
		}
		s := &script{world: newWorld(1, t.Name(), bounds), t: t}
		s.config = gcnode.Config{PeerTimeout: scriptPeerTimeout, HotTTL: scriptHotTTL, JoinTimeout: scriptJoinTimeout, ClockResolution: -1}
		s.options = gcnode.GroupOptions{MaxBytes: gcnode.MinBytes, LoadTimeout: 5 * time.Second, HotAfter: 1}
		s.net.faults.Delay = 100 * time.Microsecond
		s.origin.takes = 100 * time.Microsecond
		defer func() {
			r := s.conclude()
			require.NoError(t, r.Err)
			assert.Empty(t, r.Report.Violations)
			if t.Failed() {
				t.Logf("%s", r.Lines())
				for _, line := range r.Log {
					t.Log(line)
				}
			}
		}()
		run(s)
	})
}

// pass lets things happen for some time.
func (s *script) pass(d time.Duration) { s.run(s.now()+d, func() bool { return false }) }

// cluster starts members that know each other.
func (s *script) cluster(ids ...string) {
	for _, id := range ids {
		s.start(id, &s.settings, ids)
	}
	s.pass(50 * time.Millisecond)
	for _, id := range ids {
		require.True(s.t, s.alive(id).node.Stats().Joined, "%s has not joined", id)
	}
}

// list gives a list to members.
func (s *script) list(list []string, to ...string) {
	for _, id := range to {
		s.setPeers(s.alive(id), list)
		s.pass(time.Microsecond)
	}
}

// keyOf is a key that comes to the members in this order by the list of the
// first.
func (s *script) keyOf(owner string, by ...string) string {
	for i := range 1000 {
		key := fmt.Sprintf("key%d", i)
		if s.alive(by[0]).group.Owner(key).ID == owner {
			return key
		}
	}
	s.t.Fatalf("no key is of %s", owner)
	return ""
}

// begin lets a client call an operation.
func (s *script) begin(node string, op history.Op) *call {
	c := &call{Op: op, on: s.alive(node), pad: s.origin.pad}
	s.issue(c)
	s.settle()
	return c
}

// end waits until an operation has ended, and returns what is in the history.
func (s *script) end(c *call) history.Op {
	s.t.Helper()
	require.True(s.t, s.run(s.now()+40*time.Second, func() bool { return c.over }), "%s at %s does not end", c.Kind, c.Node)
	s.pass(1) // what follows begins later
	h := s.rec.History()
	i := slices.IndexFunc(h.Ops, func(op history.Op) bool { return op.ID == c.ID })
	return h.Ops[i]
}

func (s *script) beginGet(node, key string) *call {
	return s.begin(node, history.Op{Kind: history.Get, Keys: []string{key}})
}

func (s *script) beginRemove(node string, keys ...string) *call {
	return s.begin(node, history.Op{Kind: history.Remove, Keys: keys})
}

func (s *script) beginSet(node, key string) *call {
	return s.begin(node, history.Op{Kind: history.Set, Keys: []string{key}})
}

// get is what a member says about a key.
func (s *script) get(node, key string) history.Answer {
	s.t.Helper()
	op := s.end(s.beginGet(node, key))
	require.Len(s.t, op.Answers, 1)
	require.Empty(s.t, op.Answers[0].Error)
	return op.Answers[0]
}

// ok wants an operation to end with nil.
func (s *script) ok(c *call) {
	s.t.Helper()
	require.Empty(s.t, s.end(c).Error, "%s at %s", c.Kind, c.Node)
}

// same wants all members to say the same, without another load, and returns it.
func (s *script) same(key string, nodes ...string) string {
	s.t.Helper()
	want := s.get(nodes[0], key).Value
	for _, id := range nodes[1:] {
		assert.Equal(s.t, want, s.get(id, key).Value, "at %s", id)
	}
	return want
}

// setValue is the value of a Set.
func setValue(c *call) string { return history.Value{Key: c.Keys[0], Set: c.ID}.String() }

// hold holds the messages that match.
func (s *script) hold(match func(m *Message) bool) *Hold {
	h := &Hold{w: s.world}
	before := s.net.steer
	s.net.steer = func(m *Message) Fate {
		var fate Fate
		if before != nil {
			fate = before(m)
		}
		if !h.over && match(m) {
			fate.By = h
		}
		return fate
	}
	return h
}

// refuse loses the messages that match, and tells their senders, until it is
// called off.
func (s *script) refuse(match func(m *Message) bool) (end func()) {
	before, over := s.net.steer, false
	s.net.steer = func(m *Message) Fate {
		var fate Fate
		if before != nil {
			fate = before(m)
		}
		fate.Refuse = fate.Refuse || !over && match(m)
		return fate
	}
	return func() { over = true }
}

// requests match those for an operation from one member to another.
func requests(op gcnode.Op, from, to string) func(*Message) bool {
	return func(m *Message) bool {
		return m.Request.Op == op && m.From == from && m.To == to && m.Reply == nil && !m.Last
	}
}

// replies match those to requests of the second member to the first.
func replies(op gcnode.Op, from, to string) func(*Message) bool {
	return func(m *Message) bool {
		return m.Request.Op == op && m.From == from && m.To == to && (m.Reply != nil || m.Last)
	}
}

// twice delivers the requests that match a second time, when that is released.
func (s *script) twice(match func(*Message) bool) *Hold {
	h := &Hold{w: s.world}
	s.net.again = func(m *Message) *Hold {
		if match(m) {
			return h
		}
		return nil
	}
	return h
}
