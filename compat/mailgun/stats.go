package groupcache

import (
	"strconv"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// AtomicInt is a number that any number of goroutines may use.
type AtomicInt int64

// Add adds n.
func (i *AtomicInt) Add(n int64) { atomic.AddInt64((*int64)(i), n) }

// Store replaces the number.
func (i *AtomicInt) Store(n int64) { atomic.StoreInt64((*int64)(i), n) }

// Get is the number.
func (i *AtomicInt) Get() int64 { return atomic.LoadInt64((*int64)(i)) }

// String is the number in decimal.
func (i *AtomicInt) String() string { return strconv.FormatInt(i.Get(), 10) }

// max raises the number to n.
func (i *AtomicInt) max(n int64) {
	for {
		old := i.Get()
		if n <= old || atomic.CompareAndSwapInt64((*int64)(i), old, n) {
			return
		}
	}
}

// Stats are the figures of a group in this process.
type Stats struct {
	Gets                     AtomicInt // of this process and of its peers
	CacheHits                AtomicInt // those that found the value in memory
	GetFromPeersLatencyLower AtomicInt // the longest that a peer took to answer, in milliseconds
	PeerLoads                AtomicInt // values that peers have answered with
	PeerErrors               AtomicInt // peers that did not answer; errors of their getters are answers
	Loads                    AtomicInt // Gets that found nothing in memory
	LoadsDeduped             AtomicInt // what is left of them when those who waited for the same load are counted once
	LocalLoads               AtomicInt // calls of the getter that gave a value
	LocalLoadErrs            AtomicInt // those that failed, or found none
	ServerRequests           AtomicInt // Gets of peers
}

// answered takes note that a peer has answered a question about a key.
func (s *Stats) answered(e *gcnode.Error, took time.Duration) {
	s.GetFromPeersLatencyLower.max(took.Milliseconds())
	switch {
	case e == nil:
		s.PeerLoads.Add(1)
	case !saysSomething(e.Kind):
		s.PeerErrors.Add(1)
		return
	}
	s.LoadsDeduped.Add(1)
}

// CacheType is a part of a group's memory.
type CacheType int

const (
	// MainCache has the values of the keys that this process owns.
	MainCache CacheType = iota + 1
	// HotCache has copies of what others own.
	HotCache
)

// CacheStats are the figures of a part of a group's memory.
type CacheStats struct {
	Bytes     int64 // of all memory that is held for it, not only of keys and values
	Items     int64
	Gets      int64
	Hits      int64
	Evictions int64 // of values that had not expired, to make room; removals and replacements are none
}

func cacheStats(s *gcnode.StoreStats, gets, hits int64) CacheStats {
	return CacheStats{Bytes: s.Bytes, Items: int64(s.Entries), Gets: gets, Hits: hits, Evictions: int64(s.Evicted)}
}

// served takes note of a reply to a peer.
func (s *Stats) served(r *gcnode.Reply) {
	s.ServerRequests.Add(1)
	s.Gets.Add(1)
	if r.Err == nil && r.Source == gcnode.SourceHit {
		s.CacheHits.Add(1)
	} else {
		s.Loads.Add(1)
	}
}
