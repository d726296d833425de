// Package consistenthash is the ring by which peers of mailgun/groupcache v2
// agree on who owns a key.
//
// It is here for those peers, and for programs that use it for something else.
// Its points are unevenly spread, and consecutive keys lie together: a
// gcnode.Node has a ring without these weaknesses.
package consistenthash

import (
	"cmp"
	"crypto/md5" //nolint:gosec // what old peers agree on; nothing is secured by it
	"encoding/hex"
	"slices"
	"strconv"
)

// Hash maps bytes to a place on the ring.
type Hash func(data []byte) uint64

// Map is a ring. It may be asked from many goroutines at once, but not while
// something is added.
type Map struct {
	replicas int
	hash     Hash    // nil: FNV-1
	points   []point // sorted by place
}

type point struct {
	place int64
	owner string
}

// New makes a ring on which each key that is added has so many points; fn nil is
// FNV-1 with 64 bits.
func New(replicas int, fn Hash) *Map {
	return &Map{replicas: replicas, hash: fn}
}

// fnv1 is FNV-1 with 64 bits of a string, which hash/fnv would have copied.
func fnv1(s string) uint64 {
	sum := uint64(14695981039346656037)
	for i := range len(s) {
		sum = sum*1099511628211 ^ uint64(s[i])
	}
	return sum
}

// IsEmpty reports whether nothing owns anything.
func (m *Map) IsEmpty() bool { return len(m.points) == 0 }

// Add adds keys. Of two with a point at the same place the later one has it.
func (m *Map) Add(keys ...string) {
	for _, key := range keys {
		for i := range m.replicas {
			sum := md5.Sum([]byte(strconv.Itoa(i) + key)) //nolint:gosec // as above
			m.points = append(m.points, point{m.place(hex.EncodeToString(sum[:])), key})
		}
	}
	slices.SortStableFunc(m.points, func(a, b point) int { return cmp.Compare(a.place, b.place) })
	for i := len(m.points) - 2; i >= 0; i-- {
		if m.points[i].place == m.points[i+1].place {
			m.points[i].owner = m.points[i+1].owner
		}
	}
}

// Get is the key that owns this one: that of the first point which is not before
// it. Empty: there is none.
func (m *Map) Get(key string) string {
	if m.IsEmpty() {
		return ""
	}
	i, _ := slices.BinarySearchFunc(m.points, m.place(key), func(p point, place int64) int { return cmp.Compare(p.place, place) })
	if i == len(m.points) {
		i = 0
	}
	return m.points[i].owner
}

// place is where something lies. Old peers hold it in an int, so that the upper
// half of the hashes comes first.
func (m *Map) place(s string) int64 {
	if m.hash == nil {
		return int64(fnv1(s)) //nolint:gosec // the sign is meant
	}
	return int64(m.hash([]byte(s))) //nolint:gosec // as above
}
