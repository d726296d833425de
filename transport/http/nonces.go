package httptransport

import (
	"sync"
	"time"
)

// nonceBytes is the size of a nonce.
const nonceBytes = 16

type nonce [nonceBytes]byte

// nonces are those of the requests that were accepted, for as long as the time
// of a request is within the window. They are kept by stretches of time, each of
// which is forgotten as a whole.
type nonces struct {
	window time.Duration // on both sides of now
	limit  int

	mu        sync.Mutex
	count     int
	stretches map[int64]map[nonce]struct{} // by the time of the request
	forgotten int64                        // stretches up to it
}

// remembered is what has become of a nonce.
type remembered int

const (
	isNew remembered = iota
	isRepeated
	isForgotten // it may have been there, before the clock was set back
	isOneTooMany
)

func newNonces(window time.Duration, limit int) *nonces {
	return &nonces{window: window, limit: limit, stretches: map[int64]map[nonce]struct{}{}}
}

// add remembers the nonce of a request that was made at a time within the window.
func (n *nonces) add(id nonce, at, now time.Time) remembered {
	n.mu.Lock()
	defer n.mu.Unlock()
	stretch := n.stretch(at)
	if _, there := n.stretches[stretch][id]; there {
		return isRepeated
	}
	if stretch <= n.forgotten {
		return isForgotten
	}
	if n.stretches[stretch] == nil || n.count >= n.limit {
		n.forget(now)
	}
	if n.count >= n.limit {
		return isOneTooMany
	}
	if n.stretches[stretch] == nil {
		n.stretches[stretch] = map[nonce]struct{}{}
	}
	n.stretches[stretch][id] = struct{}{}
	n.count++
	return isNew
}

func (n *nonces) stretch(at time.Time) int64 { return at.UnixNano() / int64(n.window) }

// forget forgets the stretches that are wholly out of the window. There are
// never more than four others.
func (n *nonces) forget(now time.Time) {
	oldest := n.stretch(now.Add(-n.window))
	for stretch, ids := range n.stretches {
		if stretch < oldest {
			n.count -= len(ids)
			n.forgotten = max(n.forgotten, stretch)
			delete(n.stretches, stretch)
		}
	}
}
