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
// which is forgotten as a whole. Clients that are no members have half of the room.
type nonces struct {
	window time.Duration // on both sides of now
	limit  int

	mu        sync.Mutex
	count     int
	clients   int                // of these
	stretches map[int64]*stretch // by the time of the request
	forgotten int64              // stretches up to it
}

// stretch are the nonces of a stretch of time.
type stretch struct {
	ids     map[nonce]struct{}
	clients int // how many of them are of clients
}

// remembered is what has become of a nonce.
type remembered int

const (
	isNew remembered = iota
	isRepeated
	isForgotten // it may have been there, before the clock was set back
	isOneTooMany
	isOneTooManyOfClients
)

func newNonces(window time.Duration, limit int) *nonces {
	return &nonces{window: window, limit: limit, stretches: map[int64]*stretch{}}
}

// add remembers the nonce of a request that was made at a time within the window.
func (n *nonces) add(id nonce, at, now time.Time, of role) remembered {
	n.mu.Lock()
	defer n.mu.Unlock()
	number := n.number(at)
	kept := n.stretches[number]
	if kept != nil {
		if _, there := kept.ids[id]; there {
			return isRepeated
		}
	}
	if number <= n.forgotten {
		return isForgotten
	}
	if kept == nil || n.full(of) != isNew {
		n.forget(now)
	}
	if full := n.full(of); full != isNew {
		return full
	}
	if kept == nil {
		kept = &stretch{ids: map[nonce]struct{}{}}
		n.stretches[number] = kept
	}
	kept.ids[id] = struct{}{}
	n.count++
	if of == isClient {
		kept.clients++
		n.clients++
	}
	return isNew
}

// full says that there is no room, or isNew.
func (n *nonces) full(of role) remembered {
	switch {
	case n.count >= n.limit:
		return isOneTooMany
	case of == isClient && n.clients >= half(n.limit):
		return isOneTooManyOfClients
	default:
		return isNew
	}
}

func (n *nonces) number(at time.Time) int64 { return at.UnixNano() / int64(n.window) }

// forget forgets the stretches that are wholly out of the window. There are
// never more than four others.
func (n *nonces) forget(now time.Time) {
	oldest := n.number(now.Add(-n.window))
	for number, kept := range n.stretches {
		if number < oldest {
			n.count -= len(kept.ids)
			n.clients -= kept.clients
			n.forgotten = max(n.forgotten, number)
			delete(n.stretches, number)
		}
	}
}
