// Package policy simulates eviction policies on entries of equal size, to say
// how good a hit ratio can be. The simulators are written to be read and
// checked against their papers, not to be fast.
package policy

// Policy is a cache that keeps no values. It is for one goroutine.
type Policy interface {
	// Access asks for a key, and takes it in if the policy wants that. It
	// reports whether the key was there.
	Access(key uint32) bool
}

// Reference is a policy that others are compared with.
type Reference struct {
	Name string
	New  func(capacity int) Policy
}

// References are the policies that need not know the future.
func References() []Reference {
	return []Reference{
		{"LRU", func(n int) Policy { return NewLRU(n) }},
		{"S3-FIFO", func(n int) Policy { return NewS3FIFO(n) }},
		{"SIEVE", func(n int) Policy { return NewSieve(n) }},
		{"ARC", func(n int) Policy { return NewARC(n) }},
		{"2Q", func(n int) Policy { return NewTwoQ(n) }},
	}
}

// Hits counts the requests that p answers.
func Hits(p Policy, requests []uint32) int {
	hits := 0
	for _, key := range requests {
		if p.Access(key) {
			hits++
		}
	}
	return hits
}
