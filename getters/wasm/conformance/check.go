package conformance

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// T is what a check tells its verdict: a *testing.T, or what [Check.Judge] has
// in its place.
type T interface {
	Errorf(format string, args ...any)
	FailNow()
	Helper()
	// Cleanup calls f at the end of the check, the last one first.
	Cleanup(f func())
	// Context ends when the check does.
	Context() context.Context
}

// Check is one thing that is checked.
type Check struct {
	Name string
	Run  func(t T)
}

// Judge runs the check. The error says what is wrong with the module; after ctx
// has ended, that may be no more than that.
func (c *Check) Judge(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	v := &verdict{ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer v.cleanUp() // also after FailNow
		defer cancel()
		defer func() {
			if r := recover(); r != nil {
				v.Errorf("the check failed: %v", r)
			}
		}()
		c.Run(v)
	}()
	<-done
	v.mu.Lock()
	defer v.mu.Unlock()
	return errors.Join(v.wrong...)
}

// verdict is a [T] that collects what is wrong.
type verdict struct {
	ctx context.Context

	mu    sync.Mutex
	wrong []error
	last  []func() // to be called at the end
}

// Errorf implements [T].
func (v *verdict) Errorf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wrong = append(v.wrong, errors.New(plainly(fmt.Sprintf(format, args...))))
}

// FailNow implements [T].
func (*verdict) FailNow() { runtime.Goexit() }

// Helper implements [T].
func (*verdict) Helper() {}

// Cleanup implements [T].
func (v *verdict) Cleanup(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = append(v.last, f)
}

// Context implements [T].
func (v *verdict) Context() context.Context { return v.ctx }

func (v *verdict) cleanUp() {
	for len(v.last) > 0 {
		f := v.last[len(v.last)-1]
		v.last = v.last[:len(v.last)-1]
		f()
	}
}

// plainly leaves out of what an assertion says where it stands in the source,
// the columns that it is written in, and what differs between two values that
// it shows anyway.
func plainly(text string) string {
	var lines []string
	left := false // what is left out
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\n")
		columns := strings.SplitN(line, "\t", 3)
		if len(columns) == 3 && columns[0] == "" {
			if label := strings.TrimSpace(columns[1]); label != "" {
				left = label == "Error Trace:"
			}
			line = strings.TrimRight(columns[2], " ")
			left = left || line == "Diff:"
		}
		if !left && strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
