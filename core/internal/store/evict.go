package store

import (
	"slices"

	"github.com/gcnode/gcnode/core/internal/policy"
)

const (
	// maxExpiredPercent is the part of a shard's bytes that expired entries
	// may hold while live ones are evicted.
	maxExpiredPercent = 5
	// garbageShare is the part of a slab that has to be of no use for it to be
	// worth copying the rest.
	garbageShare = 4
	// scanShare is the part of a shard that has to be of no use for it to be
	// worth looking for such slabs.
	scanShare = 16
	// patience is how many slabs are taken apart for one entry, and one in so
	// many of the shard's, before what is in use goes too.
	patience = 8
)

// evict gives up one slab, or as much of one as is of no use: where there is
// enough of that, no live entry goes. The slab that was written to last stays,
// so that what has just been stored is there. It reports false if there is no
// other. What comes to the end of the main queue goes without exception if
// force is set.
func (sh *shard) evict(force bool) bool {
	now := sh.store.now() - sh.store.grace
	if q, i := sh.garbage(now); q != nil {
		sh.compact(q, i, now)
		return true
	}
	sh.fit()
	first, second := &sh.main, &sh.small
	if sh.policy.Next(sh.fill()) == policy.Small {
		first, second = second, first
	}
	for _, q := range []*queue{first, second} {
		for i, sl := range q.slabs[:min(len(q.slabs), 2)] {
			if sl != sh.latest {
				sh.takeApart(q.pop(i), now, force)
				return true
			}
		}
	}
	return false
}

// fit tells the policy how many entries there are.
func (sh *shard) fit() {
	before := sh.policy.Bytes()
	sh.policy.Fit(sh.live)
	sh.account(sh.policy.Bytes() - before)
}

// garbage finds the slab with the most bytes that are of no use, if it is
// worth to make use of them; otherwise its queue is nil.
func (sh *shard) garbage(now int64) (*queue, int) {
	data := int(sh.small.bytes + sh.main.bytes)
	if now < sh.earliest && sh.dead < data/scanShare {
		return nil, 0
	}
	type found struct {
		queue *queue
		at    int
		bytes int
	}
	var worst, stale found
	expired := 0
	sh.earliest = Never
	for _, q := range []*queue{&sh.small, &sh.main} {
		for i, sl := range q.slabs {
			bytes, next := sl.expired(now)
			sh.earliest = min(sh.earliest, next)
			expired += bytes
			if sl == q.open {
				continue
			}
			if bytes > stale.bytes {
				stale = found{q, i, bytes}
			}
			if bytes += sl.dead; bytes > worst.bytes && bytes*garbageShare >= sl.filled {
				worst = found{q, i, bytes}
			}
		}
	}
	if int64(expired)*100 >= int64(data)*maxExpiredPercent {
		worst = stale
	}
	if worst.queue != nil {
		sh.earliest = now // there may be more
	}
	return worst.queue, worst.at
}

// compact gives up the i-th slab of the queue. If it has live records, a
// smaller one takes its place. A few of them go to the end of the queue: small
// blocks would share spans of memory that stay in use for one of them.
func (sh *shard) compact(q *queue, i int, now int64) {
	old := q.pop(i)
	bytes, _ := old.expired(now)
	left := old.filled - old.dead - bytes
	var fresh *slab
	sh.each(old, now, func(ix *index, slot int, w word, r record) {
		sl := fresh
		switch {
		case left <= wholeSpan:
			sl = sh.open(q, len(r))
		case fresh == nil:
			fresh = sh.makeSlab(left)
			fresh.inMain, fresh.since = old.inMain, old.since
			sl = fresh
		}
		at := sl.take(len(r), r.expires())
		copy(sl.block[at:], r)
		ix.slots[slot].Store(uint64(w.moved(sl.id, at)))
		if old == sh.latest {
			sh.latest = sl
		}
	})
	if fresh != nil {
		q.slabs = slices.Insert(q.slabs, i, fresh)
		q.bytes += fresh.cost()
	}
	sh.giveUp(old)
}

// takeApart gives up a slab that has come to the end of its queue. The policy
// says which of its records go on in the main queue.
func (sh *shard) takeApart(old *slab, now int64, force bool) {
	inMain, kept := old.inMain, false
	sh.each(old, now, func(ix *index, slot int, w word, r record) {
		var to policy.Queue
		var uses uint8
		switch {
		case inMain && force:
			to = policy.Out
		case inMain:
			to, uses = sh.policy.LeaveMain(w.uses())
		default:
			to = sh.policy.LeaveSmall(sh.hash(r), w.uses())
		}
		switch {
		case to == policy.Out:
			sh.evicted++
			sh.drop(ix, slot)
		case len(r) > sh.store.layout.large: // alone in its slab, which need not be copied
			kept = true
			sh.enqueue(&sh.main, old)
			ix.slots[slot].Store(uint64(w.used(uses)))
		default:
			sl := sh.open(&sh.main, len(r))
			at := sl.take(len(r), r.expires())
			sh.earliest = min(sh.earliest, r.expires()) // its span may end before its old one
			copy(sl.block[at:], r)
			ix.slots[slot].Store(uint64(w.moved(sl.id, at).used(uses)))
		}
	})
	if !kept {
		sh.giveUp(old)
	}
	if ix := sh.index.Load(); sh.live*100 < len(ix.slots)*minFillPercent && len(ix.slots) > 2*minSlots {
		sh.rebuild(ix)
	}
}

// each calls visit for every live record of the slab, with its word and the
// slot of the word. Records that have expired by now are dropped.
func (sh *shard) each(sl *slab, now int64, visit func(ix *index, slot int, w word, r record)) {
	ix := sh.index.Load() // it may get a larger table meanwhile, but keeps its slots
	var r record
	for at := 0; at < sl.filled; at += len(r) {
		r = sl.block[at:]
		r = r[:r.size()]
		slot, w := ix.findPlace(sh.hash(r), makeWord(0, sl.id, at).place())
		switch {
		case slot < 0: // removed or replaced
		case r.expires() <= now && r.expires() != Never:
			sh.expired++
			sh.drop(ix, slot)
		default:
			visit(ix, slot, w, r)
		}
	}
}
