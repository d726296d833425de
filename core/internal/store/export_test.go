package store

// NewSharded makes a store with a number of shards, a power of two, that its
// size would not give it.
func NewSharded(opts Options, shards int) *Store {
	return newStore(opts, layoutOf(opts.MaxBytes, shards))
}
