package test

import (
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

// remove raises the version of a key and removes it.
func (r recorded) remove(g *gcnode.Group, client int, key string) {
	r.version(key).Add(1)
	id := r.Begin(history.Op{Client: client, Kind: history.Remove, Node: r.node, Life: 1, Keys: []string{key}}, nil)
	err := g.Remove(context.Background(), key)
	r.End(id, func(op *history.Op) {
		var failed *gcnode.PeerErrors
		switch {
		case errors.As(err, &failed):
			op.Error = history.Unconfirmed
			for _, e := range failed.Peers {
				op.Unconfirmed = append(op.Unconfirmed, e.Peer)
			}
			slices.Sort(op.Unconfirmed)
		case err != nil:
			op.Error = history.Refused
		}
	})
}

// startThree starts three NATS servers that know each other, of which the third
// reaches the others through proxies only.
func startThree(t *testing.T, change func(*natsserver.Options)) (servers []*natsserver.Server, between []*proxy) {
	t.Helper()
	for i, name := range []string{"a", "b", "c"} {
		servers = append(servers, startServer(t, func(o *natsserver.Options) {
			o.ServerName = name
			o.Cluster = natsserver.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoAdvertise: true, PoolSize: -1}
			o.PingInterval = time.Second
			var routes []string
			for _, other := range servers {
				route := other.ClusterAddr().String()
				if i == 2 {
					p := newProxy(t, route)
					between, route = append(between, p), p.l.Addr().String()
				}
				routes = append(routes, "nats://"+route)
			}
			o.Routes = natsserver.RoutesFromStr(strings.Join(routes, ","))
			if change != nil {
				change(o)
			}
		}))
	}
	eventually(t, func() bool {
		return !slices.ContainsFunc(servers, func(s *natsserver.Server) bool { return s.NumRoutes() < 2 })
	}, "the NATS servers know each other")
	return servers, between
}

// TestFaultsAndHistories has members that read and remove while something
// happens to NATS, and judges what they got by what is promised.
func TestFaultsAndHistories(t *testing.T) {
	type scene struct {
		servers []*natsserver.Server
		between []*proxy
		members []*whole
	}
	tests := map[string]struct {
		change func(*natsserver.Options)
		filler int // bytes in each value
		fault  func(t *testing.T, s *scene, round int)
		heal   func(t *testing.T, s *scene)
	}{
		"connections are interrupted": {fault: func(_ *testing.T, s *scene, round int) {
			_ = s.members[round%len(s.members)].nc.ForceReconnect()
		}},
		"one of three servers is killed": {fault: func(_ *testing.T, s *scene, round int) {
			if round == 1 {
				stopServer(s.servers[1])
			}
		}},
		"servers lose sight of each other": {
			fault: func(_ *testing.T, s *scene, round int) {
				for _, p := range s.between {
					p.set(round%2 == 0)
				}
			},
			heal: func(_ *testing.T, s *scene) {
				for _, p := range s.between {
					p.set(false)
				}
			},
		},
		"broadcasts are not heard": {fault: func(_ *testing.T, s *scene, round int) {
			for i, m := range s.members {
				m.ear.deaf.Store(i == round%len(s.members))
				m.ear.mute.Store(i == (round+1)%len(s.members))
			}
		}},
		"values are large, and messages small": {change: maxPayload(64 << 10), filler: 256 << 10, fault: func(_ *testing.T, s *scene, round int) {
			_ = s.members[round%len(s.members)].nc.ForceReconnect()
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var s scene
			s.servers, s.between = startThree(t, test.change)
			const n, hot = 4, 500 * time.Millisecond
			bounds := history.Bounds{
				Resolution: int64(50 * time.Millisecond), Grace: int64(time.Minute), Copy: int64(hot), Heal: int64(patience),
				Settle: int64(patience), Remember: 0, Again: int64(time.Hour), Memory: int64(time.Minute),
			}
			rec := history.NewRecorder(t.Name(), bounds, nil)
			origin := recorded{Recorder: rec, versions: &sync.Map{}, loads: &atomic.Int64{}, filler: strings.Repeat("v", test.filler)}
			origins := make([]recorded, n)
			s.members = startMembers(t, n, hot, func(i int) *nats.Conn {
				urls := make([]string, 0, len(s.servers))
				for j := range s.servers {
					urls = append(urls, s.servers[(i+j)%len(s.servers)].ClientURL())
				}
				return connect(t, strings.Join(urls, ","), nats.DontRandomize(), nats.PingInterval(time.Second))
			}, func(i int) gcnode.Getter[gcnode.Value] {
				origins[i] = origin
				origins[i].node = fmt.Sprintf("n%d", i)
				return origins[i]
			})
			rec.Event(history.Event{What: history.Fault, Detail: name})
			stop := make(chan struct{})
			var clients sync.WaitGroup
			for i := range 2 * n {
				clients.Go(func() {
					o, g := origins[i%n], s.members[i%n].group
					for round := 0; ; round++ {
						select {
						case <-stop:
							return
						default:
						}
						key := fmt.Sprintf("k%d", rand.IntN(8)) //nolint:gosec // any key will do
						if round%5 == 4 {
							o.remove(g, i, key)
						} else {
							o.get(g, i, key, false)
						}
						time.Sleep(time.Millisecond) // so that the history stays short
					}
				})
			}
			const rounds = 5
			for round := range rounds {
				time.Sleep(*trouble / rounds)
				test.fault(t, &s, round)
			}
			time.Sleep(*trouble / rounds)
			if test.heal != nil {
				test.heal(t, &s)
			}
			for _, m := range s.members {
				m.ear.deaf.Store(false)
				m.ear.mute.Store(false)
			}
			close(stop)
			clients.Wait()
			eventually(t, func() bool {
				return !slices.ContainsFunc(s.members, func(m *whole) bool { return m.node.Stats().Retrying > 0 })
			}, "all have confirmed in the end")
			time.Sleep(2 * hot) // copies that were made while an owner could not be reached
			for i, m := range s.members {
				for k := range 8 {
					origins[i].get(m.group, i, fmt.Sprintf("k%d", k), true)
				}
			}
			report := history.Check(rec.History())
			t.Log(report)
			require.Empty(t, report.Violations)
			require.Positive(t, report.Judged[history.RuleBarrier])
		})
	}
}
