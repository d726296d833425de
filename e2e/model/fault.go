package model

import "fmt"

// fail lets go wrong what can go wrong at a node.
func (r *run) fail(n int) {
	nd := &r.from.nodes[n]
	if nd.phase == down {
		return
	}
	r.step(func() bool { return r.Crashes.has(n) && spend(&r.s.left.crashes) && r.crash(n) }, func() string { return fmt.Sprintf("%d crashes", n) })
	r.step(func() bool { return r.evict(n) }, func() string { return fmt.Sprintf("%d evicts what it has kept", n) })
	r.step(func() bool { return r.expire(n) }, func() string {
		return fmt.Sprintf("%d goes on without those who left its list: asks %v, tells %v", n, r.s.nodes[n].asked, r.s.nodes[n].former)
	})
}

func (r *run) crash(n int) bool {
	r.endLife(n)
	return true
}

func (r *run) evict(n int) bool {
	nd := &r.s.nodes[n]
	if nd.kind == nothing || !spend(&r.s.left.evictions) {
		return false
	}
	nd.value, nd.kind, nd.stamped = 0, nothing, false
	return true
}
