package gcnode

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// maxAhead bounds how many removals of one life are remembered that came
	// before earlier ones.
	maxAhead = 10_000
	// silentLife and forgottenLife are for how long after the last sign of a
	// life its number is told to others, and remembered: the second is much
	// longer, so that nobody takes for new what another has not forgotten yet.
	silentLife    = 24 * time.Hour
	forgottenLife = 2 * silentLife
	// maxLives bounds the lives that are remembered.
	maxLives = MaxPeers
)

// knowledge is which removals this node has applied completely, for each life
// of each member. The numbers of a life leave no gap, so that one that was lost
// is found out by comparing with others, also when it was the last.
type knowledge struct {
	now func() int64

	mu    sync.Mutex
	lives map[Sender]*track
}

// track is what is known of one life.
type track struct {
	upTo  uint64 // all removals up to here
	told  uint64 // up to here others have said so
	ahead map[uint64]struct{}
	seen  int64 // the last sign of it, on the node's clock
}

func newKnowledge(now func() int64) *knowledge {
	return &knowledge{now: now, lives: map[Sender]*track{}}
}

// track is that of the life. knowledge.mu is held.
func (k *knowledge) track(of Sender) *track {
	t := k.lives[of]
	if t == nil {
		if len(k.lives) >= maxLives {
			k.prune()
		}
		t = &track{seen: k.now()}
		k.lives[of] = t
	}
	return t
}

// see takes note of a sign of a life.
func (k *knowledge) see(of Sender) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := k.lives[of]; t != nil {
		t.seen = k.now()
	}
}

// prune forgets lives of which nothing was heard for long, and if there is none
// the one of which nothing was heard for the longest time.
func (k *knowledge) prune() {
	oldest, before := Sender{}, k.now()
	maps.DeleteFunc(k.lives, func(s Sender, t *track) bool {
		if t.seen <= before {
			oldest, before = s, t.seen
		}
		return k.now()-t.seen > int64(forgottenLife)
	})
	if len(k.lives) >= maxLives {
		delete(k.lives, oldest)
	}
}

// applied takes note of a removal that was applied with all its keys.
func (k *knowledge) applied(id RemovalID) {
	if id.Seq == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.track(Sender{id.Sender, id.Incarnation})
	t.seen = k.now()
	switch {
	case id.Seq <= t.upTo:
		return
	case id.Seq > t.upTo+1:
		if len(t.ahead) < maxAhead { // otherwise it counts as missed
			if t.ahead == nil {
				t.ahead = map[uint64]struct{}{}
			}
			t.ahead[id.Seq] = struct{}{}
		}
		return
	}
	t.upTo++
	t.catchUp()
}

// catchUp counts what came ahead of what was missing.
func (t *track) catchUp() {
	for {
		if _, ok := t.ahead[t.upTo+1]; !ok {
			return
		}
		delete(t.ahead, t.upTo+1)
		t.upTo++
	}
}

// has reports whether this node itself has applied the removal with all its
// keys.
func (k *knowledge) has(id RemovalID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.lives[Sender{id.Sender, id.Incarnation}]
	if t == nil {
		return false
	}
	_, ahead := t.ahead[id.Seq]
	return ahead || id.Seq > t.told && id.Seq <= t.upTo
}

// lacks reports whether another member that knows this has applied a removal
// that this node has not.
func (k *knowledge) lacks(known []Known) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(known, func(o Known) bool {
		t := k.lives[o.Sender]
		return o.Seq > 0 && (t == nil || t.upTo < o.Seq)
	})
}

// covered reports whether another member that knows this knows all that this
// node knows.
func (k *knowledge) covered(known []Known) bool { return covers(known, k.known()) }

// covers reports whether one list knows all that another knows.
func covers(known, other []Known) bool {
	has := bySender(known)
	return !slices.ContainsFunc(other, func(o Known) bool { return has[o.Sender] < o.Seq })
}

// accept takes over what another member knows.
func (k *knowledge) accept(known []Known) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, o := range known {
		t := k.track(o.Sender)
		if o.Seq <= t.upTo {
			continue
		}
		t.upTo, t.told = o.Seq, o.Seq
		maps.DeleteFunc(t.ahead, func(seq uint64, _ struct{}) bool { return seq <= t.upTo })
		t.catchUp()
	}
}

// known is what this node knows, ordered by member. Lives of which nothing was
// heard for long are left out.
func (k *knowledge) known() []Known {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := make([]Known, 0, len(k.lives))
	now := k.now()
	for s, t := range k.lives {
		if t.upTo > 0 && now-t.seen <= int64(silentLife) {
			list = append(list, Known{s, t.upTo})
		}
	}
	slices.SortFunc(list, func(a, b Known) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Incarnation, b.Incarnation))
	})
	return list
}

// lacks reports whether somebody who knows this has not applied the removal.
func lacks(known map[Sender]uint64, id RemovalID) bool {
	return known[Sender{id.Sender, id.Incarnation}] < id.Seq
}

// bySender is the list as a map.
func bySender(list []Known) map[Sender]uint64 {
	m := make(map[Sender]uint64, len(list))
	for _, k := range list {
		m[k.Sender] = max(m[k.Sender], k.Seq)
	}
	return m
}

// syncInterval is how often members compare what they know: a removal that was
// lost is noticed before a copy that it concerns would be asked for anew, and
// long before it is forgotten.
func (n *Node) syncInterval() time.Duration {
	return min(max(n.cfg.HotTTL/2, 100*time.Millisecond), removalMemory/4)
}

// evenFor is for how long two members that knew the same may go on without
// having compared again. What one of them has learned since, it still remembers.
const evenFor = int64(removalMemory / 2)
