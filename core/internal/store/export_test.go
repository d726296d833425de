package store

import "strings"

// NewSharded makes a store with a number of shards, a power of two, that its
// size would not give it.
func NewSharded(opts Options, shards int) *Store {
	return newStore(opts, layoutOf(opts.MaxBytes, shards))
}

// Filled is how many bytes of records the slabs have.
func Filled(s *Store) (bytes int) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for _, q := range []*queue{&sh.small, &sh.main} {
			for _, sl := range q.slabs {
				bytes += sl.filled
			}
		}
		sh.mu.Unlock()
	}
	return bytes
}

// Held is an entry where it lies.
type Held struct {
	Key   string
	Main  bool // which queue it is in
	Uses  uint8
	Since uint32 // when that queue got its slab
}

// Order is what a store with one shard holds: the small queue, then the main
// one, each from its end to its beginning.
func Order(s *Store) (held []Held) {
	sh := &s.shards[0]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, q := range []*queue{&sh.small, &sh.main} {
		for _, sl := range q.slabs {
			sh.each(sl, -Never, func(_ *index, _ int, w word, r record) {
				held = append(held, Held{strings.Clone(r.key()), sl.inMain, w.uses(), sl.since})
			})
		}
	}
	return held
}

// SlabBytes is the size of the slabs of a store with a limit.
func SlabBytes(maxBytes int64) int { return newLayout(maxBytes).slab }

// Used is Stats.Bytes for those who may hold a lock of the store.
func Used(s *Store) int64 { return s.used.Load() }
