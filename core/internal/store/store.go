// Package store is the memory of a cache: entries with a time to live, within
// a limit in bytes.
package store

import (
	"container/list"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
)

// Never is the expiry of an entry that does not expire.
const Never int64 = math.MaxInt64

// Overhead is what an entry costs beyond its key and value, in bytes: the
// entry, its place in the order of use, and its share of the index.
const Overhead = 256

// shards bounds how many goroutines can use the store without waiting for
// one another.
const shards = 16

// Entry is what is stored for a key.
type Entry struct {
	// Value is the value, or the message of a negative entry.
	Value string
	// NotFound marks a negative entry: the origin has no such key.
	NotFound bool
	// Expires is the time from which on the entry is not served, on the
	// store's clock in nanoseconds.
	Expires int64
}

// Stats are the figures of a store.
type Stats struct {
	Entries  int
	Bytes    int64 // of keys, values and overhead
	MaxBytes int64
	Evicted  uint64 // live entries that made room for others
	Expired  uint64
	Removed  uint64
	Replaced uint64
	Rejected uint64 // entries that cannot fit
}

// Store is a map in least recently used order. It may be used by any number
// of goroutines.
type Store struct {
	seed     maphash.Seed
	maxBytes int64
	now      func() int64
	bytes    atomic.Int64 // of all shards
	shards   [shards]shard

	evicted, expired, removed, replaced, rejected atomic.Uint64
}

type shard struct {
	mu      sync.Mutex
	entries map[string]*list.Element
	order   list.List // of *record, most recently used first
}

type record struct {
	key   string
	entry Entry
}

func (r *record) bytes() int64 { return int64(len(r.key)+len(r.entry.Value)) + Overhead }

// New makes a store for maxBytes bytes whose clock is now, in nanoseconds.
func New(maxBytes int64, now func() int64) *Store {
	s := &Store{seed: maphash.MakeSeed(), maxBytes: maxBytes, now: now}
	for i := range s.shards {
		s.shards[i].entries = map[string]*list.Element{}
	}
	return s
}

func (s *Store) shardOf(key string) int {
	return int(maphash.String(s.seed, key) % shards)
}

// Get returns the entry of the key unless it has expired.
func (s *Store) Get(key string) (Entry, bool) {
	sh := &s.shards[s.shardOf(key)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e, ok := sh.entries[key]
	if !ok {
		return Entry{}, false
	}
	r := recordOf(e)
	if r.entry.Expires != Never && r.entry.Expires <= s.now() { // a clock costs more than a look-up
		s.drop(sh, e)
		s.expired.Add(1)
		return Entry{}, false
	}
	sh.order.MoveToFront(e)
	return r.entry, true
}

// Set stores the entry in place of an older one, and evicts others where the
// limit demands it. It reports false, and changes nothing but to remove the
// older entry, when the new one is larger than the limit.
func (s *Store) Set(key string, entry Entry) bool {
	r := &record{key: key, entry: entry}
	home := s.shardOf(key)
	sh := &s.shards[home]
	sh.mu.Lock()
	if old, ok := sh.entries[key]; ok {
		s.drop(sh, old)
		s.replaced.Add(1)
	}
	if r.bytes() > s.maxBytes {
		sh.mu.Unlock()
		s.rejected.Add(1)
		return false
	}
	sh.entries[key] = sh.order.PushFront(r)
	s.bytes.Add(r.bytes())
	sh.mu.Unlock()
	for i := home; s.bytes.Load() > s.maxBytes; i = (i + 1) % shards {
		s.evictOne(&s.shards[i], key)
	}
	return true
}

// evictOne takes the least recently used entry other than keep out of the
// shard.
func (s *Store) evictOne(sh *shard, keep string) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.order.Back()
	if e != nil && recordOf(e).key == keep {
		e = e.Prev()
	}
	if e == nil {
		return
	}
	if recordOf(e).entry.Expires <= s.now() {
		s.expired.Add(1)
	} else {
		s.evicted.Add(1)
	}
	s.drop(sh, e)
}

// Remove takes the key out and reports whether it was there.
func (s *Store) Remove(key string) bool {
	sh := &s.shards[s.shardOf(key)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e, ok := sh.entries[key]
	if ok {
		s.drop(sh, e)
		s.removed.Add(1)
	}
	return ok
}

// drop takes an entry out of the locked shard.
func (s *Store) drop(sh *shard, e *list.Element) {
	r := recordOf(e)
	sh.order.Remove(e)
	delete(sh.entries, r.key)
	s.bytes.Add(-r.bytes())
}

// Keys returns the keys that are stored at the time of the call.
func (s *Store) Keys() []string {
	var keys []string
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for key := range sh.entries {
			keys = append(keys, key)
		}
		sh.mu.Unlock()
	}
	return keys
}

// Stats returns the figures at the time of the call.
func (s *Store) Stats() Stats {
	st := Stats{
		Bytes:    s.bytes.Load(),
		MaxBytes: s.maxBytes,
		Evicted:  s.evicted.Load(),
		Expired:  s.expired.Load(),
		Removed:  s.removed.Load(),
		Replaced: s.replaced.Load(),
		Rejected: s.rejected.Load(),
	}
	for i := range s.shards {
		s.shards[i].mu.Lock()
		st.Entries += len(s.shards[i].entries)
		s.shards[i].mu.Unlock()
	}
	return st
}

func recordOf(e *list.Element) *record {
	r, _ := e.Value.(*record)
	return r
}
