// Package singleflight lets one call of a function run for each key while
// everyone else who asks for the key waits for what it returns.
//
// Nobody who waits can leave, nor join with a deadline: the groups of this
// module do not use it. They have the flights of package gcnode, which belong to
// none of their callers.
package singleflight

import (
	"errors"
	"fmt"
	"sync"
)

// Group is a set of calls. The zero value is ready for use.
type Group struct {
	mu    sync.Mutex
	calls map[string]*call
}

type call struct {
	done chan struct{}
	val  any
	err  error
}

var errExited = errors.New("the function ended its goroutine")

// Do returns what fn returns, or what the call under way for the key returns. A
// panic of fn, and the end of its goroutine, is an error for all who wait.
func (g *Group) Do(key string, fn func() (any, error)) (any, error) {
	g.mu.Lock()
	if c := g.calls[key]; c != nil {
		g.mu.Unlock()
		<-c.done
		return c.val, c.err
	}
	c := &call{done: make(chan struct{}), err: errExited}
	if g.calls == nil {
		g.calls = map[string]*call{}
	}
	g.calls[key] = c
	g.mu.Unlock()
	g.run(key, c, fn)
	return c.val, c.err
}

func (g *Group) run(key string, c *call, fn func() (any, error)) {
	defer func() {
		if p := recover(); p != nil {
			c.val, c.err = nil, fmt.Errorf("the function panicked: %v", p)
		}
		g.mu.Lock()
		delete(g.calls, key)
		g.mu.Unlock()
		close(c.done)
	}()
	c.val, c.err = fn()
}

// Lock runs fn while no call can begin or end. fn must not use the group.
func (g *Group) Lock(fn func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	fn()
}
