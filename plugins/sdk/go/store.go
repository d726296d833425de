package getter

import "time"

// A Store is memory that the instances of a getter share on a node: bounded, in
// all, where what was used least recently makes room. It is empty when the
// module is loaded, and other nodes have their own. Another instance, or what
// else runs in this one, may change it at any time. It is safe for concurrent
// use.
//
// A module in which its methods are reachable is refused by nodes whose
// operator gave it no room.
type Store struct{ env *Env }

// Store returns the store of this getter.
func (e *Env) Store() Store { return Store{e} }

// Get returns what is stored under a key.
func (s Store) Get(key string) (value []byte, found bool) { return s.env.storeGet(key) }

// Set stores a value under a key, for the time ttl, or as long as there is room
// if that is 0. It returns false if the store is too small for it at all; then
// the key has no value any more.
func (s Store) Set(key string, value []byte, ttl time.Duration) bool {
	return s.env.storeSet(key, value, ttl)
}

// Remove removes a key.
func (s Store) Remove(key string) { s.env.storeSet(key, nil, NoStore) }
