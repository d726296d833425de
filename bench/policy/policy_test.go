package policy_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gcnode/gcnode/bench/policy"
	"github.com/gcnode/gcnode/bench/trace"
)

// requests reads keys from the letters of s.
func requests(s string) []uint32 {
	keys := make([]uint32, 0, len(s))
	for _, c := range s {
		keys = append(keys, uint32(c))
	}
	return keys
}

// hits has an h for each request that p answers, and a dot for the others.
func hits(p policy.Policy, s string) string {
	out := make([]byte, 0, len(s))
	for _, key := range requests(s) {
		mark := byte('.')
		if p.Access(key) {
			mark = 'h'
		}
		out = append(out, mark)
	}
	return string(out)
}

func TestByHand(t *testing.T) {
	for _, test := range []struct {
		name     string
		policy   policy.Policy
		requests string
		hits     string
	}{
		// a b | a is used again, so that c takes the place of b
		{"LRU keeps what was used last", policy.NewLRU(2), "abacab", "..h.h."},
		{"LRU on a loop that is one too long", policy.NewLRU(2), "abcabc", "......"},
		// small queue of 1. a and its second hit: twice used, so e moves it to
		// the main queue, and evicts b
		{"S3-FIFO promotes what was hit twice", policy.NewS3FIFO(4), "aaabcdeab", ".hh....h."},
		// a leaves as a ghost when d comes; its return goes to the main queue,
		// where e, f and g cannot push it out
		{"S3-FIFO lets ghosts into the main queue", policy.NewS3FIFO(3), "abcdaefga", "........h"},
		// the hand passes a, which was visited, and evicts b; then c
		{"SIEVE's hand", policy.NewSieve(3), "abcadabec", "...h.h..."},
		// a is in t2 after its second request, so that c evicts b
		{"ARC keeps what was asked for twice", policy.NewARC(2), "aabcab", ".h..h."},
		// b is remembered in b1: its return makes t1 the favoured one
		{"ARC remembers", policy.NewARC(2), "aabcbb", ".h...h"},
		// in: 1 entry, out: 2. a leaves in for out when e comes, returns to
		// main, and stays while f and g pass through
		{"2Q promotes what it remembers", policy.NewTwoQ(4), "abcdeafga", "........h"},
		// a hit within the in-queue earns nothing
		{"2Q ignores correlated requests", policy.NewTwoQ(4), "aaabcdea", ".hh....."},
	} {
		assert.Equal(t, test.hits, hits(test.policy, test.requests), test.name)
	}
}

func TestBelady(t *testing.T) {
	for _, test := range []struct {
		name     string
		capacity int
		requests string
		hits     int
	}{
		{"nothing comes again", 2, "abcd", 0},
		{"all fits", 3, "abcabc", 3},
		{"a loop keeps all but the last", 2, "abcabcabc", 4},
		{"what comes next is kept", 1, "abacad", 2},
		{"the textbook example", 3, "123412512345", 5},
	} {
		assert.Equal(t, test.hits, policy.BeladyHits(test.capacity, requests(test.requests)), test.name)
	}
}

// TestBeladyIsBest tries all ways of choosing on short sequences.
func TestBeladyIsBest(t *testing.T) {
	var best func(cached, rest string) int
	best = func(cached, rest string) int {
		if rest == "" {
			return 0
		}
		for i := range len(cached) {
			if cached[i] == rest[0] {
				return 1 + best(cached, rest[1:])
			}
		}
		most := best(cached, rest[1:]) // without taking it in
		if len(cached) < 2 {
			return max(most, best(cached+rest[:1], rest[1:]))
		}
		for i := range len(cached) {
			most = max(most, best(cached[:i]+cached[i+1:]+rest[:1], rest[1:]))
		}
		return most
	}
	for _, s := range []string{"abcbacbd", "abcdabdc", "aabbccab", "dcbaabcd", "abacbcab"} {
		assert.Equal(t, best("", s), policy.BeladyHits(2, requests(s)), s)
	}
}

// TestBounds replays a trace: no policy beats the optimum, none keeps more
// than it may.
func TestBounds(t *testing.T) {
	r := trace.Zipf(0.9, 500, 20_000)
	for _, capacity := range []int{1, 2, 10, 100, 499} {
		optimum := policy.BeladyHits(capacity, r)
		for _, ref := range policy.References() {
			n := policy.Hits(ref.New(capacity), r)
			assert.LessOrEqual(t, n, optimum, "%s of %d", ref.Name, capacity)
			p := ref.New(capacity)
			policy.Hits(p, r)
			resident := 0
			for key := range uint32(500) {
				// Asking changes what is there, but what was evicted by a
				// question is not counted: it was asked for before.
				if p.Access(key) {
					resident++
				}
			}
			assert.LessOrEqual(t, resident, capacity, "%s of %d", ref.Name, capacity)
		}
	}
}

func TestEverythingFits(t *testing.T) {
	for _, ref := range policy.References() {
		p := ref.New(10)
		assert.Equal(t, ".....hhhhhhhhhh", hits(p, "abcdeabcdeabcde"), ref.Name)
	}
}
