// Package policy decides what a cache keeps whose entries lie in FIFO queues.
//
// It knows hashes, counts and times, and nothing about how entries are stored,
// so that an engine over logs of bytes and one over pointers can share it.
//
// The frame is S3-FIFO (Yang et al., "FIFO queues are all you need for cache
// eviction", SOSP 2023): new keys go through a small queue, those that are
// asked for again reach the main one, and a ghost table remembers the keys
// that left small. S3-FIFO is helpless on loops longer than the cache, where
// admission by frequency (TinyLFU: Einziger et al., ACM ToS 2017) shines. Two
// rules close the gap without a frequency sketch:
//
//   - A gate. A key that comes back goes to main only if it stayed away for
//     less time than main's oldest entries have had to earn a hit. This is
//     the test of LIRS (Jiang and Zhang, SIGMETRICS 2002), made at a miss
//     instead of at every hit. In a loop longer than the cache nobody passes,
//     and what lies in main stays and is hit.
//   - A small queue that adapts, as ARC's does (Megiddo and Modha, FAST 2003):
//     keys that come back soon make it larger, entries that earn their place
//     in main make it smaller.
package policy

import "math/bits"

// Queue is where an entry goes.
type Queue uint8

const (
	// Out is no queue: the entry is evicted.
	Out Queue = iota
	// Small is the queue of entries on probation.
	Small
	// Main is the queue of entries that were asked for again.
	Main
)

// These figures lie inside ranges in which hit ratios hardly change.
const (
	whole      = 1 << 32 // the unit of shares
	startShare = whole / 10
	minShare   = whole / 100
	maxShare   = whole / 2

	promoteHits = 2  // hits in small that lead to main
	keptHits    = 1  // hits that an entry keeps, at most, when it stays in main
	soonPart    = 4  // to come back soon is to come back while a quarter of all entries is replaced
	keptPerSoon = 8  // entries that stay in main weigh as much as one key that comes back soon
	inspectPart = 64 // one entry of main is inspected for every 64 keys inserted, or more
	patience    = 16 // main is not searched further when a sixteenth of all entries stayed in a row
)

// Policy is the state of one shard; see [New]. Its methods are called under
// the shard's lock. None is called for a hit, which only adds one to a counter
// of the entry that ends at three.
type Policy struct {
	ghosts  ghosts
	now     uint32 // keys inserted, modulo 2^32: time, as far as the policy knows it
	entries int    // that the shard can hold, 0 until Fit
	share   int64  // of the small queue
	step    int64  // the share of one entry
	proven  int    // entries of small that were hit, less those that made it larger
	overdue int64  // keys inserted for which no entry of main was inspected
	kept    int    // entries of main that stayed since one was evicted
}

// Fill says how full a shard is, in bytes or in any other unit.
type Fill struct {
	Small, Main int64 // in the queues, now
	Max         int64 // that both may hold together
	Slab        int64 // that leaves a queue at once, about
	// Oldest is what [Policy.Now] was when the oldest slab of main got its
	// first entry. It has no meaning while main is empty.
	Oldest uint32
}

// New makes the state of an empty shard.
func New() *Policy { return &Policy{share: startShare} }

// Now is the time that a slab of main remembers when it gets its first entry;
// see [Fill].
func (p *Policy) Now() uint32 { return p.now }

// Fit tells how many entries the shard holds when it is full. It is called
// before a slab leaves a queue, with the number of entries at that time; the
// ghost table is made by the first call, and made anew when the number has
// changed much.
func (p *Policy) Fit(entries int) {
	entries = max(entries, 1)
	if p.entries*3/5 <= entries && entries <= p.entries*5/4 {
		return
	}
	p.ghosts.resize(entries, p.now)
	p.proven = min(p.proven, entries)
	p.overdue = -int64(entries)
	p.entries = entries
	p.step = whole / int64(entries)
}

// Insert says which queue a missing key goes to with an entry of this size. It
// is none for an entry that is larger than the small queue should be: it would
// drive out all of that before anything is known of it. A value that is kept
// in place of another one of the same key is no missing key, and stays in its
// queue.
func (p *Policy) Insert(hash uint64, size int64, f Fill) Queue {
	p.now++
	p.overdue++
	away, ghost := p.ghosts.take(hash, p.now)
	if ghost && p.proven > 0 && int64(away)*soonPart < int64(p.entries) {
		p.proven--
		p.share = min(p.share+p.step, maxShare)
	}
	small := p.small(f)
	if f.Small >= small && f.Main+max(size, f.Slab) < f.Max-small {
		return Main // there is room that nobody has to leave for it
	}
	if ghost && int64(away)*4 <= int64(p.now-f.Oldest)*3 { // a margin, for away is not exact
		return Main
	}
	if size > small && f.Small+f.Main+size > f.Max {
		p.ghosts.add(hash, p.now)
		return Out
	}
	return Small
}

// Next says which queue is to give up its oldest slab when the shard is over
// its limit: one that is not empty. Where its only slab is the one that is
// being filled, that one goes.
func (p *Policy) Next(f Fill) Queue {
	if p.kept > p.entries/patience && f.Small > 0 {
		p.kept = 0
		return Small // nothing in main is worth less, and looking on costs time
	}
	if f.Main > 0 && (f.Small <= p.small(f) || p.overdue > 0) {
		return Main
	}
	return Small
}

// LeaveSmall says where an entry goes that has come to the end of small with
// so many hits: to main, where its counter starts at 0, or out.
func (p *Policy) LeaveSmall(hash uint64, hits uint8) Queue {
	if hits > 0 {
		// A loop that is a little longer than the cache brings every key back
		// soon, and would be as long with any small queue. It is told from
		// keys that a larger one would have kept by the hits it gets in the
		// one there is.
		p.proven = min(p.proven+1, p.entries/10+1)
	}
	if hits >= promoteHits {
		return Main
	}
	p.ghosts.add(hash, p.now)
	return Out
}

// LeaveMain says where an entry goes that has come to the end of main with so
// many hits: to its beginning, where its counter starts at kept, or out.
func (p *Policy) LeaveMain(hits uint8) (to Queue, kept uint8) {
	p.overdue = max(p.overdue-inspectPart, -int64(p.entries))
	if hits == 0 {
		p.kept = 0
		return Out, 0
	}
	p.kept++
	p.share = max(p.share-p.step/keptPerSoon, minShare)
	return Main, min(hits-1, keptHits)
}

// Bytes is the memory that the policy has allocated.
func (p *Policy) Bytes() int64 { return p.ghosts.bytes() }

// small is the size that the small queue should have: its share, and at least
// a slab and two entries of medium size.
func (p *Policy) small(f Fill) int64 {
	n, _ := bits.Mul64(uint64(f.Max), uint64(p.share)<<32) // Max × share / whole
	least := f.Slab
	if p.entries > 0 {
		least = max(least, 2*f.Max/int64(p.entries))
	}
	return max(int64(n), least)
}
