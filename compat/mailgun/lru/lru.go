// Package lru is a cache that gives up what was not used for the longest time.
// The groups of this module do not use it: what package gcnode keeps costs the
// garbage collector nothing, and is chosen better.
package lru

import (
	"container/list"
	"time"
)

// Key is a comparable value.
type Key any

// NowFunc is a clock.
type NowFunc func() time.Time

// Cache holds entries until they are given up, removed or have expired. It is not
// for use by several goroutines at once. The zero value has no limit.
type Cache struct {
	// MaxEntries is how many entries there may be; 0 is no limit.
	MaxEntries int
	// OnEvicted, unless it is nil, is called for each value that leaves the cache,
	// for whatever reason: also when its key gets another one.
	OnEvicted func(key Key, value any)
	// Now is the clock that entries expire by; nil is time.Now.
	Now NowFunc

	order   *list.List // of *entry; the one that was used last is in front
	entries map[Key]*list.Element
}

type entry struct {
	key    Key
	value  any
	expire time.Time
}

// New makes a cache for so many entries; 0 is no limit.
func New(maxEntries int) *Cache { return &Cache{MaxEntries: maxEntries, Now: time.Now} }

// Add puts a value into the cache until a time, at which it is still there; the
// zero time is no end.
func (c *Cache) Add(key Key, value any, expire time.Time) {
	if c.entries == nil {
		c.order, c.entries = list.New(), map[Key]*list.Element{}
	}
	if at := c.entries[key]; at != nil {
		c.order.MoveToFront(at)
		e := entryAt(at)
		old := e.value
		e.value, e.expire = value, expire
		if c.OnEvicted != nil {
			c.OnEvicted(key, old)
		}
		return
	}
	c.entries[key] = c.order.PushFront(&entry{key, value, expire})
	if c.MaxEntries > 0 && len(c.entries) > c.MaxEntries {
		c.RemoveOldest()
	}
}

// Get is the value of the key. One that has expired is removed.
func (c *Cache) Get(key Key) (value any, ok bool) {
	at := c.entries[key]
	if at == nil {
		return nil, false
	}
	e := entryAt(at)
	if !e.expire.IsZero() && e.expire.Before(c.now()) {
		c.remove(at)
		return nil, false
	}
	c.order.MoveToFront(at)
	return e.value, true
}

func (c *Cache) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// Remove removes the key.
func (c *Cache) Remove(key Key) {
	if at := c.entries[key]; at != nil {
		c.remove(at)
	}
}

// RemoveOldest removes the entry that was not used for the longest time.
func (c *Cache) RemoveOldest() {
	if c.order != nil && c.order.Len() > 0 {
		c.remove(c.order.Back())
	}
}

func (c *Cache) remove(at *list.Element) {
	e := entryAt(at)
	c.order.Remove(at)
	delete(c.entries, e.key)
	if c.OnEvicted != nil {
		c.OnEvicted(e.key, e.value)
	}
}

// Len is the number of entries, with those that have expired since they were
// asked for.
func (c *Cache) Len() int { return len(c.entries) }

// Clear removes everything.
func (c *Cache) Clear() {
	entries := c.entries
	c.order, c.entries = nil, nil
	if c.OnEvicted == nil {
		return
	}
	for _, at := range entries {
		e := entryAt(at)
		c.OnEvicted(e.key, e.value)
	}
}

func entryAt(at *list.Element) *entry {
	e, _ := at.Value.(*entry)
	return e
}
