// Package contestant puts caches of different kinds behind one small
// interface, so that the same benchmark can be run on all of them.
package contestant

import (
	"fmt"
	"time"
)

// Cache is a cache in front of an [Origin]. Its functions may be called from
// any goroutine unless the contestant says that it is [Contestant.Serial].
type Cache struct {
	// Load returns the length of the key's value, which comes from the cache
	// or else from the origin, and may then be kept. It is only the length so
	// that nobody pays for a conversion that others do not need.
	Load func(key string) int
	// Set stores the origin's value of the key. nil: it cannot be written to.
	Set func(key string)
	// Len is the number of entries, after what is done in the background.
	Len func() int
	// Close ends what runs in the background; the cache is not used any more.
	Close func()
}

// nothing is the Close of a cache with nothing in the background.
func nothing() {}

// Origin is where values come from, in the form in which a cache stores them.
// It is called from any goroutine.
type Origin interface {
	String(key string) string
	Bytes(key string) []byte
}

// Limit is what a cache is limited by.
type Limit int

// The limits.
const (
	Nothing Limit = iota
	Entries
	Bytes
)

// Options are what a cache is made with.
type Options struct {
	Origin Origin
	// Entries is for how many entries there must be room.
	Entries int
	// EntryBytes is the length of a key and its value.
	EntryBytes int
	// MaxBytes is the limit of a cache that is limited by bytes, in place of
	// what follows from Entries and EntryBytes.
	MaxBytes int64
	// TTL is the life of entries; 0 is without end.
	TTL time.Duration
	// InStep has the policy see each request before the next one, for caches
	// that otherwise let it lag behind.
	InStep bool
}

// Contestant is one kind of cache.
type Contestant struct {
	// Name is the name in the results.
	Name string
	// Limit is what it is limited by.
	Limit Limit
	// Overhead is what an entry counts against a limit in bytes, beyond its
	// key and value.
	Overhead int
	// TTL says that entries can have a life.
	TTL bool
	// LRU says that it evicts exactly what was used least recently, so that
	// there is no need to find out how good its hit ratio is.
	LRU bool
	// Coarse says that its limit has steps or a minimum that rule out small
	// caches.
	Coarse bool
	// Front says that it is another way into one of the others, which has the same
	// memory and policy.
	Front bool
	// Serial says that writing needs the cache for oneself.
	Serial bool
	// New makes a cache. It returns an error if there is none of that size.
	New func(Options) (*Cache, error)
}

// All are the contestants. The floor comes first, ours come next, and
// golang/groupcache last: it keeps its groups for ever, which makes the garbage
// collector's work harder for whoever comes after it.
func All() []Contestant {
	return append(append(Ours(), compatGroup()),
		bareMap(), lockedMap(), syncMap(),
		otterCache(), theineCache(), ristrettoCache(), hashicorpLRU(), freeCache(), bigCache(),
		groupcacheGroup())
}

// Ours are the contestants of this project.
func Ours() []Contestant {
	return []Contestant{gcnodeStore(), gcnodeCache(), gcnodeGroup()}
}

// Named returns the contestant of the name.
func Named(name string) (Contestant, error) {
	for _, c := range All() {
		if c.Name == name {
			return c, nil
		}
	}
	return Contestant{}, fmt.Errorf("there is no contestant %q", name)
}

// maxBytes is the limit in bytes for o; entries count overhead more than their
// keys and values.
func (o Options) maxBytes(overhead int) int64 {
	if o.MaxBytes > 0 {
		return o.MaxBytes
	}
	return int64(o.Entries) * int64(o.EntryBytes+overhead)
}
