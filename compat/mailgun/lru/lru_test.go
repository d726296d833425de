package lru_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gcnode/gcnode/compat/mailgun/lru"
)

func TestTheOldestLeavesFirst(t *testing.T) {
	t.Parallel()
	var gone []lru.Key
	c := lru.New(2)
	c.OnEvicted = func(key lru.Key, _ any) { gone = append(gone, key) }
	c.Add("a", 1, time.Time{})
	c.Add(2, "two", time.Time{})
	v, ok := c.Get("a")
	assert.True(t, ok)
	assert.Equal(t, 1, v)
	c.Add("c", 3, time.Time{})
	assert.Equal(t, []lru.Key{2}, gone)
	c.OnEvicted = func(key lru.Key, value any) { gone = append(gone, key, value) }
	c.Add("a", 4, time.Time{})
	assert.Equal(t, []lru.Key{2, "a", 1}, gone, "a value that makes room for another one of its key leaves, too")
	assert.Equal(t, 2, c.Len())
	gone = gone[:1]
	c.OnEvicted = func(key lru.Key, _ any) { gone = append(gone, key) }
	v, _ = c.Get("a")
	assert.Equal(t, 4, v)
	c.Remove("a")
	c.Remove("a")
	c.RemoveOldest()
	c.RemoveOldest()
	assert.Equal(t, []lru.Key{2, "a", "c"}, gone)
	assert.Zero(t, c.Len())
	c.Add("d", 5, time.Time{})
	c.Clear()
	assert.Equal(t, []lru.Key{2, "a", "c", "d"}, gone)
	c.Add("e", 6, time.Time{})
	assert.Equal(t, 1, c.Len())
}

func TestWhatHasExpiredIsRemoved(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &lru.Cache{Now: func() time.Time { return now }}
	c.Add("k", 1, now.Add(time.Minute))
	c.Add("for ever", 2, time.Time{})
	_, ok := c.Get("k")
	assert.True(t, ok)
	now = now.Add(time.Minute)
	_, ok = c.Get("k")
	assert.True(t, ok, "it ends with this nanosecond")
	now = now.Add(1)
	_, ok = c.Get("k")
	assert.False(t, ok)
	_, ok = c.Get("for ever")
	assert.True(t, ok)
	assert.Equal(t, 1, c.Len())
}

func TestTheZeroCacheIsReady(t *testing.T) {
	t.Parallel()
	var c lru.Cache
	_, ok := c.Get("k")
	assert.False(t, ok)
	c.Remove("k")
	c.RemoveOldest()
	c.Clear()
	c.Add("k", 1, time.Now().Add(time.Hour))
	_, ok = c.Get("k")
	assert.True(t, ok)
}
