package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/e2e/history"
)

// settings are those of the nodes of a world.
type settings struct{ peerTimeout, hotTTL time.Duration }

// forSilence waits shortly for nodes that fall silent, and forDeath, where they
// refuse connections, so long that a busy machine does not make them look dead.
// forRestarts has copies that outlive a change of the list on such a machine.
func forSilence() settings  { return settings{2 * time.Second, 2 * time.Second} }
func forDeath() settings    { return settings{10 * time.Second, 2 * time.Second} }
func forRestarts() settings { return settings{10 * time.Second, 10 * time.Second} }

const worldJoinTimeout = 10 * time.Second

// logDelay is how much later than it is used a new list may be in the log of a
// node: making its ring comes in between.
const logDelay = 500 * time.Millisecond

// world is a cluster with all that happens to it and in it, recorded.
type world struct {
	fabric   fabric
	settings settings
	nodes    cluster
	rec      *history.Recorder
	begun    time.Time
	origin   *versionOrigin
	traffic  traffic
	logs     map[string][]*process // of each node, by its lives
	outages  []outage

	mu     sync.Mutex
	lives  map[string]int   // of each node, counted from 1
	killed map[string]int   // the last life of a node that was ended by killing it
	still  map[string]int64 // until when a node stood still
	out    map[string]bool  // nodes that clients do not ask, by ID
	asking map[string]int   // requests under way to a node
	met    map[string]int   // what has happened, by its name
}

// outage is the time of a fault, until everything works again. It has not ended
// if to is 0.
type outage struct{ from, to int64 }

// newWorld starts a cluster whose nodes have the group versions.
func newWorld(t *testing.T, f fabric, size int, s settings) *world {
	t.Helper()
	w := &world{
		fabric: f, settings: s, begun: time.Now(), lives: map[string]int{}, logs: map[string][]*process{},
		killed: map[string]int{}, still: map[string]int64{}, out: map[string]bool{}, asking: map[string]int{}, met: map[string]int{},
	}
	w.rec = history.NewRecorder(t.Name(), history.Bounds{
		Resolution: int64(time.Second),
		Grace:      int64(2*s.hotTTL - logDelay),
		Heal:       int64(s.hotTTL),
		Settle:     int64(2 * worldJoinTimeout),
		// Whoever is not told of the end of a removal carries it for a minute.
		Again:  int64(time.Minute),
		Memory: int64(time.Minute),
	}, func() int64 { return int64(time.Since(w.begun)) })
	w.origin = startVersions(t, f.host(), w.rec)
	for range startTries {
		w.nodes = nil
		for i := range size {
			w.nodes = append(w.nodes, &node{id: string(rune('a' + i))})
		}
		f.place(t, w.nodes)
		if w.startAll(t) {
			report(t, "%d nodes, connected by %s", size, f.name())
			return w
		}
	}
	require.FailNow(t, "others take all the ports")
	return nil
}

// startAll starts all nodes, and reports false if a port was taken.
func (w *world) startAll(t *testing.T) bool {
	t.Helper()
	for _, n := range w.nodes {
		n.config = filepath.Join(t.TempDir(), n.id+".yaml")
		w.up(t, n)
	}
	ready := true
	for _, n := range w.nodes {
		ready = n.awaitReady(t) && ready
	}
	if ready {
		return true
	}
	for _, n := range w.nodes {
		_ = n.terminate() // one of them is gone already
		n.wait(t)
		w.event(history.Closed, n, "")
	}
	return false
}

// up begins a life of a node.
func (w *world) up(t *testing.T, n *node) {
	t.Helper()
	w.mu.Lock()
	w.lives[n.id]++
	w.mu.Unlock()
	config := fmt.Sprintf(`id: %s
listen: {%s api: %q, admin: %q}
%speer_timeout: %v
hot_ttl: %v
join_timeout: %v
drain_timeout: 1m
compilation_cache: %q
groups:
  versions:
    plugin:
      module: %q
      instances: 32
      allow_fetch: [%q]
      config: {origin: "%[11]s/%[1]s/%[12]d"}
`, n.id, n.listenPeers(), n.api, n.admin, w.fabric.members(n, w.nodes), w.settings.peerTimeout, w.settings.hotTTL, worldJoinTimeout,
		built.compiled, built.versions, w.origin.url, w.life(n))
	require.NoError(t, os.WriteFile(n.config, []byte(config), 0o600))
	w.event(history.Up, n, "")
	n.start(t)
	w.logs[n.id] = append(w.logs[n.id], n.process)
}

// life is the number of the node's life.
func (w *world) life(n *node) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lives[n.id]
}

// again begins another life of a node, and returns when it is ready.
func (w *world) again(t *testing.T, n *node) {
	t.Helper()
	w.up(t, n)
	require.True(t, n.awaitReady(t), "the node's port was taken")
	w.serve(n)
}

func (w *world) event(what string, n *node, detail string) {
	e := history.Event{What: what, Detail: detail}
	if n != nil {
		e.Node, e.Life = n.id, w.life(n)
	}
	w.rec.Event(e)
}

// count counts something that has happened.
func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.met[what]++
}

// counted is how often it has.
func (w *world) counted(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.met[what]
}

// more waits until something has happened some more times.
func (w *world) more(t *testing.T, what string, times int) {
	t.Helper()
	until := w.counted(what) + times
	require.Eventually(t, func() bool { return w.counted(what) >= until }, patience, pollEvery, "%s: not %d more of %d", what, times, until)
}

// spare keeps clients from asking a node from now on; serve ends that.
func (w *world) spare(n *node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out[n.id] = true
}

func (w *world) serve(n *node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.out, n.id)
}

// leave spares a node, and returns when it has answered those who asked it
// before.
func (w *world) leave(t *testing.T, n *node) {
	t.Helper()
	w.spare(n)
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.asking[n.id] == 0
	}, patience, time.Millisecond, "%s does not answer", n.id)
}

// asked are the nodes that clients ask.
func (w *world) asked() cluster {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return w.out[n.id] })
}

// fault begins an outage.
func (w *world) fault(what string, n *node) {
	w.event(history.Fault, n, what)
	w.outages = append(w.outages, outage{from: w.rec.Now()})
	w.count(what)
}

// kill ends a node's life without warning.
func (w *world) kill(t *testing.T, n *node) {
	t.Helper()
	w.fault("kills", n)
	w.event(history.Down, n, "")
	w.spare(n)
	life := w.life(n)
	w.mu.Lock()
	w.killed[n.id] = life
	w.mu.Unlock()
	n.kill(t)
}

// stop makes a node stand still until it goes on.
func (w *world) stop(t *testing.T, n *node) {
	t.Helper()
	w.fault("stops", n)
	w.spare(n)
	n.stop(t)
}

func (w *world) goOn(t *testing.T, n *node) {
	t.Helper()
	now := w.rec.Now()
	w.mu.Lock()
	w.still[n.id] = now
	w.mu.Unlock()
	n.signal(t, syscall.SIGCONT)
	w.serve(n)
}

// heal ends the outage when all nodes use each other again, and no removal
// waits for one of them.
func (w *world) heal(t *testing.T) {
	t.Helper()
	for _, n := range w.nodes {
		n.until(t, func(s stats) bool {
			down := slices.ContainsFunc(s.Peers, func(p peerStats) bool { return p.Down })
			return s.Node.Joined && s.Discovery.Members == len(w.nodes) && len(s.Node.Silent) == 0 && s.Node.RetryingRemovals == 0 && !down
		}, "it does not recover")
	}
	w.event(history.Healed, nil, "")
	w.outages[len(w.outages)-1].to = w.rec.Now()
}

// owner finds a key that a node owns.
func (w *world) owner(t *testing.T, asked, owner *node) string {
	t.Helper()
	for i := range 1000 {
		key := fmt.Sprintf("of-%s-%d", owner.id, i)
		if w.read(t.Context(), asked, key).owner == owner.id {
			return key
		}
	}
	require.FailNow(t, "the node owns next to nothing", owner.id)
	return ""
}

// pass lets time pass.
func (w *world) pass(t *testing.T, d time.Duration) {
	t.Helper()
	until := w.rec.Now() + int64(d)
	require.Eventually(t, func() bool { return w.rec.Now() >= until }, patience, pollEvery)
}

// warning finds in a log when a node dropped everything, or took another for
// dead.
var warning = regexp.MustCompile(`(?m)^time=(\S+) level=WARN msg="(dropping everything|peer is down)".*$`)

// listing finds in a log when a node has taken over a list of members, and how
// it differs from the one before.
var listing = regexp.MustCompile(`(?m)^time=(\S+) level=\S+ msg="(?:list of members|the new list of members [^"]*)" .*?joined="?([^"=]*?)"? left="?([^"=]*?)"?$`)

// lists are events of what the nodes say of their lists of members.
func (w *world) lists(t *testing.T) (events []history.Event) {
	t.Helper()
	for id, lives := range w.logs {
		for i, p := range lives {
			members := map[string]bool{}
			for order, found := range listing.FindAllStringSubmatch(p.log.String(), -1) {
				at, err := time.Parse(time.RFC3339Nano, found[1])
				require.NoError(t, err, found[0])
				for joined := range strings.SplitSeq(found[2], ", ") {
					members[joined] = true
				}
				for left := range strings.SplitSeq(found[3], ", ") {
					delete(members, left)
				}
				delete(members, "")
				events = append(events, history.Event{
					At: int64(at.Sub(w.begun.Round(0))) + int64(order), What: history.List, Node: id, Life: i + 1, Members: slices.Sorted(maps.Keys(members)),
				})
			}
		}
	}
	return events
}

// warnings are events of what the nodes say in their logs. A node that takes
// another for dead while there is no outage is one that was not planned.
func (w *world) warnings(t *testing.T) (events []history.Event) {
	t.Helper()
	for id, lives := range w.logs {
		for i, p := range lives {
			for _, found := range warning.FindAllStringSubmatch(p.log.String(), -1) {
				at, err := time.Parse(time.RFC3339Nano, found[1])
				require.NoError(t, err, found[0])
				e := history.Event{At: int64(at.Sub(w.begun.Round(0))), Node: id, Life: i + 1, Detail: found[0]}
				if found[2] == "dropping everything" {
					e.What = history.Gap
					events = append(events, e)
					w.count("gaps")
					continue
				}
				if !slices.ContainsFunc(w.outages, func(o outage) bool { return o.from <= e.At && (o.to == 0 || e.At <= o.to) }) {
					healed := e
					e.What, healed.What = history.Fault, history.Healed
					events = append(events, e, healed)
					w.count("peers that were too slow")
				}
			}
		}
	}
	return events
}

// judge checks everything that was recorded, and that things have happened
// which must have.
func (w *world) judge(t *testing.T, musts ...string) {
	t.Helper()
	h := w.rec.History()
	h.Events = append(h.Events, w.warnings(t)...)
	if w.fabric.discovers() {
		h.Events = append(h.Events, w.lists(t)...)
	}
	verdict := history.Check(h)
	var met []string
	for _, what := range slices.Sorted(maps.Keys(w.met)) {
		met = append(met, fmt.Sprintf("%s: %d", what, w.met[what]))
	}
	report(t, "%d operations, %d loads; %s", len(h.Ops), len(h.Loads), strings.Join(met, ", "))
	report(t, "judged %v, not judged %v", verdict.Judged, verdict.Unjudged)
	if !assert.Empty(t, verdict.Violations, "%s", verdict) {
		path, err := h.Keep()
		require.NoError(t, err)
		t.Log("the history is in", path)
	}
	assert.Empty(t, w.missing(musts), "what has not happened")
	for _, rule := range []string{history.RuleBarrier, history.RuleLostWrite, history.RuleOrigin, history.RuleConvergence} {
		assert.Positive(t, verdict.Judged[rule], rule)
	}
	if len(w.outages) > 0 {
		assert.Positive(t, verdict.Judged[history.RuleHeal], history.RuleHeal)
	}
}

// tally counts what the nodes and the history tell of.
func (w *world) tally(t *testing.T) {
	t.Helper()
	told := map[string]int{"removals that crossed loads": crossings(w.rec.History())}
	for _, n := range w.nodes {
		g := n.stats(t).group("versions")
		told["hot hits"] += int(g.HotHits)
		told["peeks"] += int(g.Peeks)
		told["inherited"] += int(g.Inherited)
		told["failovers"] += int(g.Failovers)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Copy(w.met, told)
}

// missing are those of some things that have not happened yet.
func (w *world) missing(musts []string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(musts), func(must string) bool { return w.met[must] > 0 })
}

// crossings is how many changes ran beside a load of one of their keys.
func crossings(h *history.History) (n int) {
	loads := map[string][]history.Load{}
	for _, l := range h.Loads {
		loads[l.Key] = append(loads[l.Key], l)
	}
	for _, op := range h.Ops {
		if op.Kind != history.Remove && op.Kind != history.Set {
			continue
		}
		if slices.ContainsFunc(op.Keys, func(key string) bool {
			return slices.ContainsFunc(loads[key], func(l history.Load) bool {
				return l.Begin < op.Start && (l.End == 0 || l.End > op.Start)
			})
		}) {
			n++
		}
	}
	return n
}

// finish lets traffic go on for some time after everything is healed, and until
// everything has happened that must have. When it has ended and older copies
// have, too, it reads all keys from all nodes for the last time, and judges.
func (w *world) finish(t *testing.T, stopTraffic func(), keys []string, musts ...string) {
	t.Helper()
	if len(w.outages) > 0 {
		w.pass(t, w.settings.hotTTL+w.settings.hotTTL/2)
	}
	w.more(t, "answers", 100) // to which the bounds apply
	musts = append(musts, "answers", "removals that crossed loads", "hot hits")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); w.more(t, "answers", 10) {
		w.cross(t.Context(), w.nodes[0], 0, w.traffic.written[0])
		w.tally(t)
		if len(w.missing(musts)) == 0 {
			break
		}
	}
	stopTraffic()
	w.pass(t, w.settings.hotTTL+w.settings.hotTTL/2)
	for range 2 {
		for _, n := range w.nodes {
			for _, key := range keys {
				got := w.lastRead(t.Context(), n, key)
				require.Equal(t, http.StatusOK, got.status, "%s from %s: %s", key, n.id, got.body)
			}
		}
	}
	w.judge(t, musts...)
}
