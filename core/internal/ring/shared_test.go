package ring

import (
	"runtime"
	"testing"
	"time"
)

func TestNodesWithTheSameListShareARing(t *testing.T) {
	list := []Member{{ID: "a"}, {ID: "b"}, {ID: "c", Weight: 2}}
	first := Of(list)
	if again := Of([]Member{list[2], list[0], list[1]}); again != first {
		t.Error("the same list in another order has another ring")
	}
	for _, other := range [][]Member{list[:2], {list[0], list[1], {ID: "c"}}, {}} {
		if Of(other) == first {
			t.Errorf("the list %v has the ring of another", other)
		}
	}
	if first.Owner("k") != New(list).Owner("k") {
		t.Error("the ring is not that of its list")
	}
	runtime.KeepAlive(first)
}

func TestNodesThatComeToAListAtTheSameTimeShareARing(t *testing.T) {
	list := []Member{{ID: "at"}, {ID: "the"}, {ID: "same"}, {ID: "time"}}
	made := make(chan *Ring)
	for range 8 {
		go func() { made <- Of(list) }()
	}
	first := <-made
	for range 7 {
		if <-made != first {
			t.Error("the same list has two rings")
		}
	}
}

func TestARingThatNobodyUsesIsForgotten(t *testing.T) {
	hash := Of([]Member{{ID: "short"}, {ID: "lived"}}).Hash()
	for range 100 {
		runtime.GC()
		shared.mu.Lock()
		_, known := shared.rings[hash]
		shared.mu.Unlock()
		if !known {
			return
		}
		time.Sleep(10 * time.Millisecond) // for the cleanup, which has a goroutine of its own
	}
	t.Error("it is still there")
}
