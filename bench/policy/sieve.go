package policy

import "container/list"

// Sieve is SIEVE (Zhang et al., NSDI 2024): a FIFO queue over which a hand
// moves from old to new, evicts the first key that was not visited since it
// last came by, and leaves the others in their places.
type Sieve struct {
	capacity int
	order    list.List // of *sieveEntry, newest first
	place    map[uint32]*list.Element
	hand     *list.Element
}

type sieveEntry struct {
	key     uint32
	visited bool
}

// NewSieve makes a SIEVE of so many entries.
func NewSieve(capacity int) *Sieve {
	return &Sieve{capacity: capacity, place: map[uint32]*list.Element{}}
}

// Access implements [Policy].
func (c *Sieve) Access(key uint32) bool {
	if e, ok := c.place[key]; ok {
		entryOf(e).visited = true
		return true
	}
	if len(c.place) >= c.capacity {
		c.evict()
	}
	c.place[key] = c.order.PushFront(&sieveEntry{key: key})
	return false
}

func (c *Sieve) evict() {
	at := c.hand
	if at == nil {
		at = c.order.Back()
	}
	for entryOf(at).visited {
		entryOf(at).visited = false
		if at = at.Prev(); at == nil {
			at = c.order.Back()
		}
	}
	c.hand = at.Prev()
	delete(c.place, entryOf(at).key)
	c.order.Remove(at)
}

func entryOf(e *list.Element) *sieveEntry {
	entry, _ := e.Value.(*sieveEntry)
	return entry
}
