package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/e2e/history"
)

// The kinds of trouble that a run may have, as bits.
const (
	lossy = 1 << iota
	partitioned
	crashing
	churning
	jumping // clocks
	slowOrigin
	oneMessage // is held for long
	ackPause   // between apply and ack
	viewMid    // a list changes in the middle of a call
	crashMid   // a member crashes there
	troubles
)

var troubleNames = []string{ //nolint:gochecknoglobals // a constant
	"lossy", "partitions", "crashes", "churn", "clock jumps", "slow origin",
	"one message held", "acks paused", "lists change mid-call", "crash mid-call",
}

// plan is one run: what its seed says about it.
type plan struct {
	*world
	cast
	settings
	trouble int
	keys    []string
	window  time.Duration // how long clients call and things go wrong
	forEver bool          // what is set has no end
	wait    time.Duration // before clients call
	apart   bool          // no two reads wait on one member at a time
	target  []string      // the list that all should have
	sets    map[int]*call
	done    bool
}

// bounds are what holds for the runs.
func (p *plan) bounds() history.Bounds {
	b := history.Bounds{
		Resolution: int64(max(p.config.ClockResolution, 0)),
		Grace:      int64(2 * p.config.HotTTL),
		Copy:       int64(p.config.HotTTL),
		Heal:       int64(7 * time.Second),
		Settle:     int64(p.config.JoinTimeout + 4*p.config.PeerTimeout + time.Second),
		Remember:   int64(500 * time.Millisecond),
		Again:      int64(75 * time.Second),
		Memory:     int64(time.Minute),
		Hedged:     p.config.HedgeAfter > 0,
	}
	if p.config.ClockResolution == 0 {
		b.Resolution = int64(gcnode.DefaultClockResolution)
	}
	return b
}

// newPlan draws the plan of a seed.
func newPlan(seed uint64) *plan {
	p := &plan{cast: castOf(seed), sets: map[int]*call{}, world: newWorld(seed, fmt.Sprintf("seed %d", seed), history.Bounds{})}
	w := p.world
	switch w.rng.IntN(10) {
	case 0: // nothing goes wrong
		p.trouble = pick(w, []int{0, slowOrigin})
	case 1, 2, 3: // anything
		p.trouble = w.rng.IntN(troubles)
	default: // one or two things
		for range 2 {
			p.trouble |= 1 << w.rng.IntN(len(troubleNames))
		}
	}
	for i := range 1 + w.rng.IntN(3) {
		p.keys = append(p.keys, fmt.Sprintf("k%d", i))
	}
	p.window = w.between(500*time.Millisecond, 4*time.Second)
	p.config = gcnode.Config{
		PeerTimeout:     w.between(50*time.Millisecond, 300*time.Millisecond),
		HotTTL:          w.between(time.Second, 3*time.Second),
		JoinTimeout:     w.between(200*time.Millisecond, time.Second),
		ClockResolution: pick(w, []time.Duration{-1, 0, 20 * time.Millisecond}),
	}
	if w.chance(0.25) { // so short that members are out of everybody's grace for a part of the run
		p.config.HotTTL = w.between(150*time.Millisecond, 400*time.Millisecond)
	}
	if w.chance(0.2) {
		p.config.HedgeAfter = w.between(time.Millisecond, 30*time.Millisecond)
	}
	p.options = gcnode.GroupOptions{
		MaxBytes: gcnode.MinBytes, HotAfter: pick(w, []int{0, 1, 1, 2}), LoadTimeout: 2 * time.Second,
	}
	p.batches = w.chance(0.5)
	p.broadcasts = rand.New(rand.NewPCG(seed, 0x62726f6164)).IntN(3) == 0
	w.origin.takes = w.between(100*time.Microsecond, 5*time.Millisecond)
	w.origin.slowest = w.between(10*time.Millisecond, 400*time.Millisecond)
	if w.chance(0.5) {
		w.origin.keep = w.between(100*time.Millisecond, 3*time.Second)
	}
	if w.chance(0.3) {
		w.origin.pad = 100 + w.rng.IntN(200)
	}
	if w.chance(0.3) {
		w.origin.nothing = 0.3
	}
	w.net.faults.Delay = w.between(200*time.Microsecond, 5*time.Millisecond)
	b := p.bounds()
	w.rec = history.NewRecorder(fmt.Sprintf("seed %d, %d members%s", seed, len(p.ids), p.describe()), b, func() int64 { return int64(w.now()) })
	return p
}

func (p *plan) describe() string {
	var b strings.Builder
	for i, name := range troubleNames {
		if p.trouble>>i&1 == 1 {
			b.WriteString(", " + name)
		}
	}
	if p.broadcasts {
		b.WriteString(", broadcasts")
	}
	return b.String()
}

func (p *plan) has(trouble int) bool { return p.trouble&trouble != 0 }

// run lets it all happen.
func (p *plan) run() {
	p.target = slices.Clone(p.ids)
	for _, id := range p.ids {
		p.at(p.between(0, 20*time.Millisecond), func() { p.start(id, &p.settings, p.ids) })
	}
	for range 4 + p.rng.IntN(12) {
		p.at(p.between(p.wait, p.wait+p.window), p.burst)
	}
	if p.trouble&^slowOrigin != 0 {
		p.rec.Event(history.Event{What: history.Fault, Detail: p.describe()})
	}
	p.troubles()
	p.at(p.wait+p.window, p.heal)
	p.world.run(10*time.Minute, func() bool { return p.done })
}

// heal ends all trouble, and begins the wait for the last reads.
func (p *plan) heal() {
	p.net.heal()
	p.origin.slow, p.origin.fail = 0, 0
	if len(p.up()) == 0 {
		p.start(p.ids[0], &p.settings, nil)
	}
	up := p.up()
	p.target = nil
	for _, l := range up {
		p.target = append(p.target, l.id)
	}
	for _, l := range up {
		p.after(p.between(0, 100*time.Millisecond), func() { p.tell(l, p.target) })
	}
	// A message that is late is trouble, too: it may bring a copy.
	late := p.net.latest - p.now() + p.config.HotTTL
	wait := max(time.Duration(p.bounds().Heal), late)
	p.after(150*time.Millisecond, func() { p.rec.Event(history.Event{What: history.Healed}) })
	p.after(wait+200*time.Millisecond, p.lastReads)
}

// lastReads waits until nobody has called for so long that no copy is left of
// what was found then.
func (p *plan) lastReads() {
	rest := p.asked + p.config.HotTTL - p.now()
	if slices.ContainsFunc(p.up(), func(l *life) bool { return l.open > 0 }) {
		rest = p.config.HotTTL
	}
	if rest > 0 {
		p.after(rest, p.lastReads)
		return
	}
	p.last(0)
}

// last does the last reads, one after the other: all keys on all members, and
// again when the copies of the first round have had their time.
func (p *plan) last(n int) {
	up := p.up()
	if n == 2*len(up)*len(p.keys) {
		p.done = true
		return
	}
	wait := p.between(1, time.Millisecond)
	if n+1 == len(up)*len(p.keys) {
		wait += p.config.HotTTL + 2*p.config.PeerTimeout
	}
	key, l := p.keys[n/len(up)%len(p.keys)], up[n%len(up)]
	p.issue(&call{Op: history.Op{Kind: history.Get, Keys: []string{key}, Final: true}, on: l, then: func(*call) {
		p.after(wait, func() { p.last(n + 1) })
	}})
}

// tell gives a member a list, if it is still there.
func (p *plan) tell(l *life, list []string) {
	if !l.dead.Load() && !l.closing {
		p.setPeers(l, list)
	}
}

// burst is some operations at about the same time and about the same key.
func (p *plan) burst() {
	key := pick(p.world, p.keys)
	spread := pick(p.world, []time.Duration{300 * time.Microsecond, 3 * time.Millisecond, 30 * time.Millisecond})
	soon := func(from float64, f func()) {
		p.after(time.Duration(from*float64(spread))+p.between(0, spread), f)
	}
	gets := func(n int, from float64) {
		for range n {
			soon(from, func() { p.get(nil, key) })
		}
	}
	switch p.rng.IntN(7) {
	case 0:
		gets(2+p.rng.IntN(5), 0)
	case 1: // a load is under way when the key is removed
		gets(1+p.rng.IntN(3), 0)
		soon(0.3, func() { p.publish(key) })
		soon(0.3, func() { p.remove(key) })
		gets(1+p.rng.IntN(3), 0.5)
	case 2: // writes race
		gets(1, 0)
		for range 1 + p.rng.IntN(3) {
			soon(0.2, func() { p.set(key) })
		}
		if p.chance(0.5) {
			soon(0.2, func() { p.remove(key) })
		}
		gets(2, 0.5)
	case 3: // everything goes
		for range 2 {
			gets(1, 0)
			soon(0, func() { p.set(pick(p.world, p.keys)) })
		}
		soon(0.3, p.clear)
		gets(2, 0.5)
	case 4: // many keys at once
		for range 1 + p.rng.IntN(3) {
			soon(0, p.getMany)
		}
		soon(0.2, func() { p.publish(key) })
		soon(0.2, func() { p.remove(p.keys...) })
		soon(0.5, p.getMany)
	case 5: // copies are made, and then removed from elsewhere
		if up := p.up(); len(up) > 0 {
			l := pick(p.world, up)
			for i := range 3 {
				soon(float64(i), func() { p.get(l, key) })
			}
		}
		soon(3, func() { p.publish(key) })
		soon(3, func() { p.remove(key) })
		gets(2, 3)
	case 6: // several removals
		gets(2, 0)
		for range 2 + p.rng.IntN(2) {
			soon(0.2, func() { p.publish(key) })
			soon(0.2, func() { p.remove(key) })
		}
		gets(2, 0.5)
	}
}

// readers are the members that a client may read from.
func (p *plan) readers() []*life {
	return slices.DeleteFunc(p.ready(), func(l *life) bool { return p.apart && l.open > 0 })
}

// get reads on a member, or on any.
func (p *plan) get(on *life, key string) {
	up := p.readers()
	if len(up) == 0 {
		return
	}
	if !slices.Contains(up, on) {
		on = pick(p.world, up)
	}
	c := &call{Op: history.Op{Kind: history.Get, Keys: []string{key}}, on: on, plain: p.chance(0.3)}
	if p.chance(0.1) {
		c.within = p.between(100*time.Microsecond, 50*time.Millisecond)
	}
	if p.chance(0.5) {
		c.then = p.atItsEnd
	}
	p.issue(c)
}

// atItsEnd reads again just when the life of what a read has returned has
// ended.
func (p *plan) atItsEnd(c *call) {
	ends := p.origin.ends[c.got.Load]
	if set := p.sets[c.got.Set]; set != nil && set.over && set.Keep > 0 {
		ends = set.ended + time.Duration(set.Keep)
	}
	if ends == 0 || ends >= p.wait+p.window {
		return
	}
	p.at(ends+time.Duration(p.bounds().Resolution)+p.between(1, 2*p.net.faults.Delay), func() { p.get(c.on, c.Keys[0]) })
}

func (p *plan) getMany() {
	if up := p.readers(); len(up) > 0 {
		p.issue(&call{Op: history.Op{Kind: history.GetMany, Keys: p.keys}, on: pick(p.world, up)})
	}
}

// write is a write, after which members are asked.
func (p *plan) write(op history.Op) {
	up := p.ready()
	if len(up) == 0 {
		return
	}
	c := &call{Op: op, on: pick(p.world, up), pad: p.origin.pad}
	if p.chance(0.05) {
		c.within = p.between(time.Millisecond, 300*time.Millisecond)
	}
	keys := op.Keys
	if len(keys) == 0 {
		keys = p.keys
	}
	c.then = func(*call) {
		for range p.rng.IntN(4) {
			key := pick(p.world, keys)
			p.after(p.between(1, pick(p.world, []time.Duration{10, time.Millisecond, 20 * time.Millisecond})), func() { p.get(nil, key) })
		}
	}
	p.issue(c)
	p.sets[c.ID] = c
}

func (p *plan) remove(keys ...string) { p.write(history.Op{Kind: history.Remove, Keys: keys}) }
func (p *plan) clear()                { p.write(history.Op{Kind: history.Clear}) }

func (p *plan) set(key string) {
	op := history.Op{Kind: history.Set, Keys: []string{key}}
	if !p.forEver && p.chance(0.3) {
		op.Keep = int64(p.between(50*time.Millisecond, 3*time.Second))
	}
	p.write(op)
}
