package wasm

import (
	"container/list"
	"math"
	"sync"
	"time"
)

// storeEntryBytes is what an entry counts beside its key and value.
const storeEntryBytes = 128

// store is what the instances of a plugin share: keys and values, bounded in
// bytes. What was used least recently makes room. It is safe for concurrent
// use.
type store struct {
	maxBytes int64

	mu      sync.Mutex
	bytes   int64
	entries map[string]*list.Element
	recent  list.List // of *storeEntry; the one used last is in front
}

type storeEntry struct {
	key, value string
	until      time.Time // zero: as long as there is room
}

func (e *storeEntry) size() int64 { return storeBytes(e.key, e.value) }

// storeBytes is the room that a value takes under a key.
func storeBytes[B []byte | string](key, value B) int64 {
	return int64(len(key)) + int64(len(value)) + storeEntryBytes
}

func newStore(maxBytes int64) *store {
	return &store{maxBytes: maxBytes, entries: map[string]*list.Element{}}
}

func (s *store) get(key []byte, now time.Time) (value string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.entries[string(key)]
	if at == nil {
		return "", false
	}
	e := entryAt(at)
	if !e.until.IsZero() && !now.Before(e.until) {
		s.drop(at)
		return "", false
	}
	s.recent.MoveToFront(at)
	return e.value, true
}

// set stores a value for ttlMillis from now, or as long as there is room if
// that is negative. It returns false, and leaves the key without a value, if
// the store has no room for it at all.
func (s *store) set(key, value []byte, ttlMillis int64, now time.Time) bool {
	if storeBytes(key, value) > s.maxBytes {
		s.remove(key)
		return false
	}
	e := &storeEntry{key: string(key), value: string(value)}
	if ttlMillis > 0 && ttlMillis <= math.MaxInt64/int64(time.Millisecond) {
		e.until = now.Add(time.Duration(ttlMillis) * time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.entries[e.key]; at != nil {
		s.drop(at)
	}
	s.bytes += e.size()
	s.entries[e.key] = s.recent.PushFront(e)
	for s.bytes > s.maxBytes {
		s.drop(s.recent.Back())
	}
	return true
}

func (s *store) remove(key []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := s.entries[string(key)]; at != nil {
		s.drop(at)
	}
}

// drop removes an entry; s.mu is held.
func (s *store) drop(at *list.Element) {
	e := entryAt(at)
	s.recent.Remove(at)
	delete(s.entries, e.key)
	s.bytes -= e.size()
}

func entryAt(at *list.Element) *storeEntry {
	e, _ := at.Value.(*storeEntry)
	return e
}
