package transporttest

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// goroutines are the stacks of all goroutines, by their numbers.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := map[string]string{}
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		number, _, _ := strings.Cut(strings.TrimPrefix(stack, "goroutine "), " ")
		stacks[number] = stack
	}
	return stacks
}

// checkGoroutines expects that those end that were not there before. They may
// take a moment for that.
func checkGoroutines(t *testing.T, name string, before map[string]string) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		left := goroutines()
		maps.DeleteFunc(left, func(number, _ string) bool { return before[number] != "" })
		if len(left) == 0 {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Errorf("%s leaves %d goroutines behind:\n\n%s", name, len(left), strings.Join(slices.Sorted(maps.Values(left)), "\n\n"))
			return
		}
	}
}
