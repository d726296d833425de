package sim

import (
	"fmt"
	"slices"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// troubles plans what goes wrong.
func (p *plan) troubles() {
	w := p.world
	f := &p.net.faults
	f.Late = w.between(100*time.Millisecond, 4*time.Second)
	if p.has(lossy) {
		f.Drop, f.Hang = pick(w, []float64{0, 0.02, 0.1}), pick(w, []float64{0, 0.02, 0.1})
		f.Twice, f.Long = pick(w, []float64{0, 0.05, 0.2}), pick(w, []float64{0, 0.02, 0.1})
	}
	if p.has(slowOrigin) {
		p.origin.slow, p.origin.fail = 0.3, pick(w, []float64{0, 0, 0.1})
	}
	if p.has(partitioned) {
		for range 1 + w.rng.IntN(3) {
			p.at(w.between(0, p.window), p.partition)
		}
	}
	if p.has(crashing) {
		for range 1 + w.rng.IntN(3) {
			p.at(w.between(30*time.Millisecond, p.window), func() { p.crashOne(nil) })
		}
	}
	if p.has(churning) {
		for range 1 + w.rng.IntN(4) {
			p.at(w.between(30*time.Millisecond, p.window), p.churn)
		}
	}
	if p.has(jumping) {
		for range 1 + w.rng.IntN(4) {
			p.at(w.between(0, p.window), p.jump)
		}
	}
	p.steer()
}

// partition parts some members from the others for a while, in one direction or
// both.
func (p *plan) partition() {
	w := p.world
	var links []link
	ids := slices.Clone(p.everyone)
	if len(ids) < 2 {
		return
	}
	w.rng.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	cut := 1 + w.rng.IntN(len(ids)-1)
	kind := pick(w, []string{"partitions", "one-way partitions", "broken links"})
	for _, a := range ids[:cut] {
		for _, b := range ids[cut:] {
			switch kind {
			case "partitions":
				links = append(links, link{a, b}, link{b, a})
			case "one-way partitions":
				links = append(links, link{a, b})
			}
		}
	}
	if kind == "broken links" {
		links = []link{{ids[0], ids[1]}, {ids[1], ids[0]}}[:1+w.rng.IntN(2)]
	}
	w.counts[kind]++
	w.note(fmt.Sprintf("%s %v", kind, links))
	for _, l := range links {
		p.net.blocked[l] = true
	}
	p.after(w.between(20*time.Millisecond, 3*time.Second), func() {
		w.note(fmt.Sprintf("%s end %v", kind, links))
		for _, l := range links {
			delete(p.net.blocked, l)
		}
	})
}

// crashOne crashes a member, or any, which comes back or not.
func (p *plan) crashOne(l *life) {
	w := p.world
	if l == nil {
		up := p.up()
		if len(up) < 2 {
			return
		}
		l = pick(w, up)
	}
	if l.dead.Load() || p.now() >= p.window {
		return
	}
	w.counts["crashes"]++
	p.crash(l)
	switch {
	case !slices.Contains(p.movable, l.id) || w.chance(0.6): // the same again
		p.after(w.between(time.Millisecond, time.Second), func() { p.comeBack(l.id) })
	case w.chance(0.7): // it is taken off the lists
		p.after(w.between(time.Millisecond, time.Second), func() { p.change(without(p.target, l.id)) })
	}
}

// comeBack starts a member that is not there.
func (p *plan) comeBack(id string) {
	if p.alive(id) != nil || p.now() >= p.window {
		return
	}
	list := slices.Clone(p.target)
	if !slices.Contains(list, id) {
		list = append(list, id)
	}
	p.start(id, &p.settings, list)
	p.change(list)
}

// change gives all members a new list, at different times.
func (p *plan) change(list []string) {
	w := p.world
	slices.Sort(list)
	if len(list) == 0 || p.now() >= p.window {
		return
	}
	p.target = list
	w.counts["list changes"]++
	spread := pick(w, []time.Duration{time.Millisecond, 30 * time.Millisecond, time.Second})
	for _, l := range p.up() {
		if !slices.Contains(list, l.id) && w.chance(0.5) {
			continue // it is not told
		}
		p.after(w.between(0, spread), func() { p.mislead(l, list) })
	}
}

// mislead gives a member a list, unless all have got the last one.
func (p *plan) mislead(l *life, list []string) {
	if p.now() < p.window {
		p.tell(l, list)
	}
}

// churn is a change of the members.
func (p *plan) churn() {
	w := p.world
	if p.now() >= p.window {
		return
	}
	switch n := w.rng.IntN(4); {
	case n == 0 && p.spare != "" && p.alive(p.spare) == nil: // one comes
		w.counts["joins"]++
		p.comeBack(p.spare)
	case n <= 2: // one leaves, and perhaps comes back
		l := p.alive(pick(w, p.movable))
		if l == nil || l.closing || len(p.up()) < 2 {
			return
		}
		p.goodbye(l, w.between(10*time.Millisecond, 2*time.Second))
		if w.chance(0.5) {
			p.after(w.between(0, 200*time.Millisecond), func() { p.change(without(p.target, l.id)) })
		}
		if w.chance(0.5) {
			p.after(w.between(10*time.Millisecond, time.Second), func() { p.comeBack(l.id) })
		}
	default: // lists that differ for a while: one member is not on all of them
		id := pick(w, p.movable)
		was := slices.Clone(p.target)
		p.change(without(p.target, id))
		p.after(w.between(time.Millisecond, time.Second), func() { p.change(was) })
	}
}

// jump sets the wall clock of a member.
func (p *plan) jump() {
	w := p.world
	if up := p.up(); len(up) > 0 {
		l := pick(w, up)
		far := pick(w, []time.Duration{time.Millisecond, time.Second, time.Hour})
		l.skew.Add(int64(w.between(-far, far)))
		w.counts["clock jumps"]++
	}
}

func without(list []string, id string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(m string) bool { return m == id })
}

// steered are the operations whose messages are steered.
var steered = []gcnode.Op{ //nolint:gochecknoglobals // a constant
	gcnode.OpFetch, gcnode.OpRemove, gcnode.OpSet, gcnode.OpPeek, gcnode.OpHello, gcnode.OpSync, gcnode.OpKeys, gcnode.OpGoodbye, gcnode.OpFinish,
}

// target is one message: the n-th of an operation.
type target struct {
	op    gcnode.Op
	reply bool
	n     int
	do    func(m *Message) Fate
}

// steer plans what happens to single messages.
func (p *plan) steer() {
	w := p.world
	var targets []*target
	aim := func(trouble, most int, do func(m *Message) Fate) {
		if !p.has(trouble) {
			return
		}
		for range 1 + w.rng.IntN(most) {
			targets = append(targets, &target{
				op: pick(w, append(steered[:3:3], steered...)), reply: w.chance(0.5), n: w.rng.IntN(12), do: do,
			})
		}
	}
	aim(oneMessage, 3, func(*Message) Fate {
		w.counts["messages held"]++
		return Fate{Delay: w.between(50*time.Millisecond, 5*time.Second)}
	})
	aim(viewMid, 3, func(m *Message) Fate {
		if p.now() >= p.window {
			return Fate{}
		}
		w.counts["lists changed mid-call"]++
		list := pick(w, p.lists())
		if len(p.ids) > fewNodes {
			list = pick(w, [][]string{p.ids, without(p.ids, p.movable[0])})
		}
		was := slices.Clone(p.target)
		for _, id := range []string{m.From, m.To}[w.rng.IntN(2):] {
			if l := p.alive(id); l != nil {
				p.after(w.between(0, time.Millisecond), func() { p.mislead(l, list) })
			}
		}
		p.after(w.between(time.Millisecond, time.Second), func() { p.change(was) })
		return Fate{Delay: w.between(0, 5*time.Millisecond)}
	})
	aim(crashMid, 2, func(m *Message) Fate {
		if l := p.alive(pick(w, []string{m.From, m.To})); l != nil && len(p.up()) > 1 && p.now() < p.window {
			w.counts["crashes mid-call"]++
			p.after(w.between(0, time.Millisecond), func() { p.crashOne(l) })
		}
		return Fate{Delay: w.between(0, 2*time.Millisecond)}
	})
	from, op := pick(w, p.ids), pick(w, steered)
	begin := w.between(0, p.window)
	end := begin + w.between(10*time.Millisecond, 2*time.Second)
	p.net.steer = func(m *Message) (fate Fate) {
		for _, t := range targets {
			if t.op != m.Request.Op || t.reply != (m.Reply != nil) {
				continue
			}
			if t.n--; t.n == -1 {
				f := t.do(m)
				fate.Delay += f.Delay
			}
		}
		if now := p.now(); p.has(ackPause) && m.Reply != nil && m.From == from && m.Request.Op == op && now >= begin && now < end {
			w.counts["acks paused"]++
			fate.Delay += end - now
		}
		return fate
	}
}
