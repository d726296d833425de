package store

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
