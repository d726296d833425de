package policy

import "container/heap"

// BeladyHits is how many of the requests the best possible policy answers
// (Belady 1966): it evicts, or does not even take in, what will not be asked
// for again for the longest time.
func BeladyHits(capacity int, requests []uint32) int {
	const never = int(^uint(0) >> 1)
	next := make([]int, len(requests)) // when the key of a request is asked for again
	last := map[uint32]int{}
	for i := len(requests) - 1; i >= 0; i-- {
		next[i] = never
		if n, ok := last[requests[i]]; ok {
			next[i] = n
		}
		last[requests[i]] = i
	}
	cached := map[uint32]int{} // to its next use
	var furthest uses
	hits := 0
	for i, key := range requests {
		if _, ok := cached[key]; ok {
			hits++
		}
		cached[key] = next[i]
		heap.Push(&furthest, use{key, next[i]})
		for len(cached) > capacity {
			u, _ := heap.Pop(&furthest).(use)
			if at, ok := cached[u.key]; ok && at == u.at { // or it was asked for since
				delete(cached, u.key)
			}
		}
	}
	return hits
}

// use is when a key is asked for.
type use struct {
	key uint32
	at  int
}

// uses is a heap with the latest one first.
type uses []use

func (u *uses) Len() int           { return len(*u) }
func (u *uses) Less(i, j int) bool { return (*u)[i].at > (*u)[j].at }
func (u *uses) Swap(i, j int)      { (*u)[i], (*u)[j] = (*u)[j], (*u)[i] }

// Push implements [heap.Interface].
func (u *uses) Push(x any) {
	v, _ := x.(use)
	*u = append(*u, v)
}

// Pop implements [heap.Interface].
func (u *uses) Pop() any {
	old := *u
	last := old[len(old)-1]
	*u = old[:len(old)-1]
	return last
}
