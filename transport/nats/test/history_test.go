package test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/e2e/history"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// trouble is for how long members are kept busy while faults happen.
var trouble = flag.Duration("trouble", 2*time.Second, "for how long faults happen in TestFaultsAndHistories")

// recorded is an origin that takes note of its loads. Each key has a version,
// which is raised before the key is removed.
type recorded struct {
	*history.Recorder

	node     string
	versions *sync.Map // of *atomic.Int64 by key
	loads    *atomic.Int64
	filler   string
}

func (r recorded) version(key string) *atomic.Int64 {
	v, _ := r.versions.LoadOrStore(key, &atomic.Int64{})
	return v.(*atomic.Int64)
}

func (r recorded) GetItem(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	id := fmt.Sprintf("%s#%d", r.node, r.loads.Add(1))
	load := history.Load{ID: id, Node: r.node, Life: 1, Key: key}
	load.Version = int(r.version(key).Load())
	v := history.Value{Key: key, Load: id, Version: load.Version, Begin: r.BeginLoad(load)}
	defer r.EndLoad(id, nil)
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(v.String() + " " + r.filler)}, nil
}

// get reads a key, and takes note of what comes.
func (r recorded) get(g *gcnode.Group, client int, key string, final bool) {
	id := r.Begin(history.Op{Client: client, Kind: history.Get, Node: r.node, Life: 1, Keys: []string{key}, Final: final}, nil)
	a := history.Answer{Key: key}
	v, err := g.Get(context.Background(), key)
	if err != nil {
		a.Error = gcnode.KindOf(err).String()
	} else {
		a.Value = v.String()
	}
	r.Answer(id, a)
	r.End(id, func(op *history.Op) { op.Excused = err != nil && !final })
}

// write does what takes older values out, and takes note of who has confirmed
// it.
func (r recorded) write(op history.Op, name func(id int) string, do func(id int) error) {
	op.Node, op.Life = r.node, 1
	id := r.Begin(op, name)
	err := do(id)
	r.End(id, func(op *history.Op) {
		var failed *gcnode.PeerErrors
		switch {
		case errors.As(err, &failed):
			op.Error = history.Unconfirmed
			for _, e := range failed.Peers {
				op.Unconfirmed = append(op.Unconfirmed, e.Peer)
			}
			slices.Sort(op.Unconfirmed)
		case errors.Is(err, gcnode.ErrTimeout): // all have confirmed, too late
			op.Error = gcnode.KindTimeout.String()
		case err != nil:
			op.Error = history.Refused
		}
	})
}

// remove raises the version of a key and removes it.
func (r recorded) remove(g *gcnode.Group, client int, key string) {
	r.version(key).Add(1)
	r.write(history.Op{Client: client, Kind: history.Remove, Keys: []string{key}}, nil, func(int) error {
		return g.Remove(context.Background(), key)
	})
}

// clear raises the versions of all keys and removes everything.
func (r recorded) clear(g *gcnode.Group, client int, keys []string) {
	for _, key := range keys {
		r.version(key).Add(1)
	}
	r.write(history.Op{Client: client, Kind: history.Clear}, nil, func(int) error { return g.Clear(context.Background()) })
}

// set sets a value, which the origin knows nothing of.
func (r recorded) set(g *gcnode.Group, client int, key string) {
	value := func(id int) string { return history.Value{Key: key, Set: id}.String() }
	r.write(history.Op{Client: client, Kind: history.Set, Keys: []string{key}}, value, func(id int) error {
		it := gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(value(id) + " " + r.filler), Keep: gcnode.Forever}
		return g.Set(context.Background(), key, it)
	})
}

// act does one of the things that a client does.
func (r recorded) act(g *gcnode.Group, client int, keys []string) {
	key := keys[rand.IntN(len(keys))] //nolint:gosec // any key will do
	switch what := rand.IntN(100); {  //nolint:gosec // as above
	case what < 10:
		r.remove(g, client, key)
	case what < 18:
		r.set(g, client, key)
	case what < 20:
		r.clear(g, client, keys)
	default:
		r.get(g, client, key, false)
	}
}

// listed is a node whose lists are recorded, once it goes by them.
type listed struct {
	*gcnode.Node

	rec *history.Recorder
}

func (l listed) SetPeers(peers []gcnode.Peer) error {
	err := l.Node.SetPeers(peers)
	if err == nil {
		e := history.Event{What: history.List, Node: l.Self().ID, Life: 1}
		for _, p := range peers {
			e.Members = append(e.Members, p.ID)
		}
		l.rec.Event(e)
	}
	return err
}

// findEachOther lets members find each other, and returns when they have joined.
func findEachOther(t *testing.T, members []*whole, rec *history.Recorder) {
	t.Helper()
	for _, m := range members {
		self, err := natstransport.Announce(m.nc, gcnode.Peer{ID: m.node.Self().ID, Addr: m.server.Addr()}, natstransport.MembershipOptions{Heartbeat: 2 * heartbeat})
		require.NoError(t, err)
		t.Cleanup(self.Close)
		follow(t, listed{m.node, rec}, self)
	}
	allKnowAll(t, members)
}

// allKnowAll waits until all members are on all lists, and have joined.
func allKnowAll(t *testing.T, members []*whole) {
	t.Helper()
	eventually(t, func() bool {
		return !slices.ContainsFunc(members, func(m *whole) bool { return len(m.node.Peers()) != len(members) })
	}, "all know all")
	for _, m := range members {
		require.NoError(t, m.node.Joined(t.Context()))
	}
}

// confirmed waits until a write of a kind that begins from now on is confirmed,
// so that the last reads are judged by it whatever came of earlier ones.
func confirmed(t *testing.T, rec *history.Recorder, kind history.Kind) {
	t.Helper()
	now := rec.Now()
	eventually(t, func() bool {
		return slices.ContainsFunc(rec.History().Ops, func(op history.Op) bool {
			return op.Kind == kind && op.Start > now && op.End > 0 && op.Error == ""
		})
	}, string(kind)+": none is confirmed")
}

// settled waits until no list has changed for some time: until then a former
// owner may have what another one has loaded anew.
func settled(t *testing.T, members []*whole, rec *history.Recorder, quiet time.Duration) {
	t.Helper()
	eventually(t, func() bool {
		since := rec.Now() - int64(quiet)
		return !slices.ContainsFunc(rec.History().Events, func(e history.Event) bool { return e.What == history.List && e.At > since })
	}, "lists do not change any more")
	allKnowAll(t, members)
}

// lastReads reads all keys on all members, until it was not disturbed: where a list
// changes, or a member does not answer in time, another one loads anew, and who is
// asked next returns what the owner has all the same. The last reads of the history
// are those of the round that was not.
func lastReads(t *testing.T, members []*whole, origins []recorded, keys []string, quiet time.Duration) *history.History {
	t.Helper()
	rec := origins[0].Recorder
	disturbed := func() (n uint64) {
		for _, e := range rec.History().Events {
			if e.What == history.List {
				n++
			}
		}
		for _, m := range members {
			n += m.group.Stats().Failovers
		}
		return n
	}
	for begun := time.Now(); ; time.Sleep(quiet) {
		require.Less(t, time.Since(begun), patience, "the last reads are disturbed again and again")
		settled(t, members, rec, quiet)
		before, first := disturbed(), rec.Now()
		for _, key := range keys {
			for i, m := range members {
				origins[i].get(m.group, i, key, true)
			}
		}
		if disturbed() > before {
			continue
		}
		h := rec.History()
		for i := range h.Ops {
			h.Ops[i].Final = h.Ops[i].Final && h.Ops[i].Start > first
		}
		return h
	}
}

// scene is where faults happen.
type scene struct {
	*mesh

	members []*whole
}

// TestFaultsAndHistories has members that read, remove, set and clear while
// something happens to NATS, and judges what they got by what is promised.
func TestFaultsAndHistories(t *testing.T) {
	interrupt := func(_ *testing.T, s *scene, round int) { _ = s.members[round%len(s.members)].nc.ForceReconnect() }
	kill := func(_ *testing.T, s *scene, round int) {
		if round == 1 {
			stopServer(s.servers[1])
		}
	}
	part := func(_ *testing.T, s *scene, round int) { s.part(2, round < 4) }
	mute := func(_ *testing.T, s *scene, round int) {
		if round < 4 {
			s.mute(2)
		} else {
			s.unmute(2)
		}
	}
	quickDuck := func(o *natsserver.Options) {
		o.LameDuckDuration, o.LameDuckGracePeriod = 100*time.Millisecond, 50*time.Millisecond
	}
	tests := map[string]struct {
		servers int // 0: three
		change  func(*natsserver.Options)
		filler  int  // bytes in each value
		pending int  // bytes that a member may have without having looked at them; 0: the default
		finds   bool // members find each other, and have no list
		fault   func(t *testing.T, s *scene, round int)
	}{
		"connections are interrupted":                          {fault: interrupt},
		"one of three servers is killed, without lists":        {fault: kill, finds: true},
		"servers lose sight of each other":                     {fault: part},
		"servers lose sight of each other, without lists":      {fault: part, finds: true},
		"one server is not heard by the others, without lists": {fault: mute, finds: true},
		"broadcasts are not heard": {fault: func(_ *testing.T, s *scene, round int) {
			for i, m := range s.members {
				m.ear.deaf.Store(i == round%len(s.members))
				m.ear.mute.Store(i == (round+1)%len(s.members))
			}
		}},
		"the only server restarts": {servers: 1, fault: func(t *testing.T, s *scene, round int) {
			t.Helper()
			if round%2 == 0 {
				s.servers[0] = restart(t, s.servers[0], nil)
			}
		}},
		"a server is taken out of service": {change: quickDuck, fault: func(_ *testing.T, s *scene, round int) {
			if round == 1 {
				s.servers[1].LameDuckShutdown()
			}
		}},
		"members are slow consumers": {pending: leastPending, fault: func(t *testing.T, s *scene, round int) {
			t.Helper()
			for i, m := range s.members {
				m.ear.slow.Store(i%2 == round%2)
			}
			for range 10 { // nothing that anybody understands
				require.NoError(t, s.members[0].nc.Publish("gcnode.default.events.removals", make([]byte, leastPending/4)))
			}
		}},
		"values are large, and messages small": {change: maxPayload(64 << 10), filler: 256 << 10, fault: interrupt},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := scene{mesh: startMesh(t, cmp.Or(test.servers, 3), test.change)}
			const n = 4
			hot := 500 * time.Millisecond
			if test.finds {
				hot = time.Second // which has to be longer than a new list takes
			}
			bounds := history.Bounds{
				Resolution: int64(50 * time.Millisecond), Grace: int64(time.Minute), Copy: int64(hot), Heal: int64(patience),
				Settle: int64(patience), Remember: 0, Again: int64(time.Hour), Memory: int64(time.Minute),
			}
			if test.finds {
				bounds.Grace = int64(hot) // half of what is left when a list is recorded
			}
			rec := history.NewRecorder(t.Name(), bounds, nil)
			origin := recorded{Recorder: rec, versions: &sync.Map{}, loads: &atomic.Int64{}, filler: strings.Repeat("v", test.filler)}
			origins := make([]recorded, n)
			var thrownAway atomic.Int64
			s.members = startAlone(t, n, hot, test.pending, func(i int) *nats.Conn {
				urls := make([]string, 0, len(s.servers))
				for j := range s.servers {
					urls = append(urls, s.servers[(i+j)%len(s.servers)].ClientURL())
				}
				return connect(t, strings.Join(urls, ","), nats.DontRandomize(), nats.PingInterval(time.Second),
					nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
						if errors.Is(err, nats.ErrSlowConsumer) {
							thrownAway.Add(1)
						}
					}))
			}, func(i int) gcnode.Getter[gcnode.Value] {
				origins[i] = origin
				origins[i].node = fmt.Sprintf("n%d", i)
				return origins[i]
			})
			if test.finds {
				findEachOther(t, s.members, rec)
			} else {
				meet(t, s.members, peersOf(s.members))
			}
			rec.Event(history.Event{What: history.Fault, Detail: name})
			keys := make([]string, 8)
			for i := range keys {
				keys[i] = fmt.Sprintf("k%d", i)
			}
			stop := make(chan struct{})
			var done atomic.Int64 // by clients
			more := func() {      // also on a busy machine
				until := done.Load() + 50
				eventually(t, func() bool { return done.Load() >= until }, "clients get on")
			}
			var clients sync.WaitGroup
			for i := range 2 * n {
				clients.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						origins[i%n].act(s.members[i%n].group, i, keys)
						done.Add(1)
						time.Sleep(time.Millisecond) // so that the history stays short
					}
				})
			}
			const rounds = 5
			for round := range rounds {
				time.Sleep(*trouble / rounds)
				more()
				test.fault(t, &s, round)
			}
			time.Sleep(*trouble / rounds)
			more()
			s.part(2, false)
			s.unmute(2)
			for _, m := range s.members {
				m.ear.deaf.Store(false)
				m.ear.mute.Store(false)
				m.ear.slow.Store(false)
			}
			allKnowAll(t, s.members)
			confirmed(t, rec, history.Remove)
			confirmed(t, rec, history.Set)
			close(stop)
			clients.Wait()
			eventually(t, func() bool {
				return !slices.ContainsFunc(s.members, func(m *whole) bool { return m.node.Stats().Retrying > 0 })
			}, "all have confirmed in the end")
			time.Sleep(2 * hot) // copies that were made while an owner could not be reached
			h := lastReads(t, s.members, origins, keys, 2*hot)
			report := history.Check(h)
			t.Log(report)
			if len(report.Violations) > 0 {
				path, err := h.Keep()
				require.NoError(t, err)
				t.Log("the history is in", path)
			}
			require.Empty(t, report.Violations)
			require.Equal(t, test.pending > 0, thrownAway.Load() > 0, "something was thrown away")
			require.Positive(t, report.Judged[history.RuleBarrier])
			require.Positive(t, report.Judged[history.RuleLostWrite])
		})
	}
}
