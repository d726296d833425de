package count_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gcnode/gcnode/core/internal/count"
)

func TestHammerCounters(t *testing.T) {
	s := count.New()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10_000 {
				s.Add((w + i) % 2)
			}
		})
	}
	wg.Wait()
	if a, b, c := s.Load(0), s.Load(1), s.Load(2); a != 40_000 || b != 40_000 || c != 0 {
		t.Errorf("%d, %d and %d", a, b, c)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	s := count.New()
	if n := testing.AllocsPerRun(1000, func() { s.Add(count.Max - 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	s := count.New()
	var one atomic.Uint64
	for _, bench := range []struct {
		name string
		add  func()
	}{
		{"impl=striped", func() { s.Add(0) }},
		{"impl=atomic", func() { one.Add(1) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					bench.add()
				}
			})
		})
	}
}
