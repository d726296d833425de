package natstransport

import (
	"cmp"
	"slices"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// maxLives bounds the lives of members that are remembered.
const maxLives = 2 * gcnode.MaxPeers

// lives are the lives of members that were heard of lately.
type lives map[life]*heard

// life is one of a member: a restart is another one.
type life struct{ id, addr string }

// heard is what was heard of a life.
type heard struct {
	wire.Announcement

	last time.Time
}

// note takes an announcement, and reports whether it changes the list.
func (l lives) note(a *wire.Announcement, now time.Time) (changed bool, _ error) {
	key := life{a.Peer.ID, a.Peer.Addr}
	before := l[key]
	switch {
	case a.Goodbye:
		delete(l, key)
		return before != nil, nil
	case before == nil && len(l) >= maxLives:
		return false, errTooMany
	case before == nil:
		l[key] = &heard{*a, now}
		return true, nil
	}
	changed = before.Peer != a.Peer || before.Started != a.Started
	before.Announcement, before.last = *a, now
	return changed, nil
}

// expire forgets who was not heard of for too long.
func (l lives) expire(now time.Time) (changed bool) {
	for key, h := range l {
		if now.Sub(h.last) > missedHeartbeats*h.Heartbeat {
			delete(l, key)
			changed = true
		}
	}
	return changed
}

// forgive takes all as heard of now.
func (l lives) forgive(now time.Time) {
	for _, h := range l {
		h.last = now
	}
}

// members is the list, by ID. Of several lives of a member the one counts that
// has started last.
func (l lives) members() []gcnode.Peer {
	latest := map[string]*heard{}
	for _, h := range l {
		if o := latest[h.Peer.ID]; o == nil || cmp.Or(cmp.Compare(h.Started, o.Started), cmp.Compare(h.Peer.Addr, o.Peer.Addr)) > 0 {
			latest[h.Peer.ID] = h
		}
	}
	list := make([]gcnode.Peer, 0, len(latest))
	for _, h := range latest {
		list = append(list, h.Peer)
	}
	slices.SortFunc(list, func(a, b gcnode.Peer) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
