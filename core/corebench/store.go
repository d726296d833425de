package corebench

import (
	"github.com/gcnode/gcnode/core/internal/clock"
	"github.com/gcnode/gcnode/core/internal/store"
)

// Store is the memory of a group. It may be used by any number of goroutines.
type Store struct {
	store *store.Store
	clock *clock.Clock
}

// New makes a store of maxBytes bytes, with a clock of the default resolution.
func New(maxBytes int64) *Store {
	c := clock.New(0)
	return &Store{store.New(store.Options{MaxBytes: maxBytes, Now: c.Now}), c}
}

// Get returns the value of the key, without copying it.
func (s *Store) Get(key string) (string, bool) {
	e, ok := s.store.Get(key)
	return e.Value, ok
}

// Set stores a copy of the value. Its life, in nanoseconds, is without end if
// it is 0. It reports false if the value cannot fit.
func (s *Store) Set(key, value string, life int64) bool {
	e := store.Entry{Value: value, Expires: store.Never}
	if life > 0 {
		e.Expires = s.clock.Now() + life
	}
	return s.store.Set(key, e)
}

// Len is how many entries there are.
func (s *Store) Len() int { return s.store.Stats().Entries }

// Bytes is how much memory the store holds.
func (s *Store) Bytes() int64 { return s.store.Stats().Bytes }
