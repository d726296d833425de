package gcnode

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// Hooks are functions that a node calls when something has happened on it:
// for metrics, traces and tests. Each may be nil, and then costs nothing.
//
// A hook is called by the goroutine that did the work, many at the same time,
// and whoever waits for that work waits for the hook too. It must return soon.
// It may ask for names, owners, peers and Stats; whatever waits, like Get,
// Remove, SetPeers and Close, it leaves to another goroutine, because that might
// wait for the very work that it was called from. If it panics that is logged,
// and the work goes on.
//
// The keys of a batch are reported one by one, each when its answer is there.
type Hooks struct {
	// Loaded is called when a load has ended, before those who wait for it get
	// the answer. They do not wait for longer than [GroupOptions.LoadTimeout];
	// a getter that takes longer is reported when it returns.
	Loaded func(LoadEvent)
	// Fetched is called when a fetch from another member has ended, before
	// those who wait for it get the answer or the next member is asked.
	Fetched func(FetchEvent)
	// Removed is called when a Remove, here or on another member, has been
	// applied on this node. One removal may be reported in parts, because a
	// part of its keys may be known here earlier than the rest, and again if
	// this node is told of it when it has forgotten it.
	Removed func(RemovalEvent)
	// Dropped is called when the node has dropped everything that it had,
	// because it could have missed removals; why is for people.
	Dropped func(why string)
	// PeerDown is called when a member did not answer, and is not asked any
	// more until a probe reaches it.
	PeerDown func(Peer)
	// PeerUp is called when a probe has reached it, unless it has left the list
	// or this node is closing.
	PeerUp func(Peer)
}

// LoadEvent is a call of a getter that has ended.
type LoadEvent struct {
	Group, Key string
	Took       time.Duration
	// Err is nil when there is a value, [ErrNotFound] when the key has none,
	// and otherwise why the load failed.
	Err error
}

// FetchEvent is a question to another member that has ended.
type FetchEvent struct {
	Group, Key string
	Peer       Peer
	Took       time.Duration
	// Err is nil when there is a value, [ErrNotFound] when the key has none,
	// and otherwise why the member gave no answer, or what error it answered;
	// [context.Canceled] is in its chain when nobody waited any more.
	Err error
}

// RemovalEvent is a removal that was applied on a node.
type RemovalEvent struct {
	Group string
	// Keys are not to be changed.
	Keys []string
	// All stands for every key of the group.
	All bool
	// From is the ID of the member whose Remove was called.
	From string
}

// guarded are hooks whose panics go to the log.
func (h *Hooks) guarded(log *slog.Logger) Hooks {
	return Hooks{
		Loaded:   guard(log, "Loaded", h.Loaded),
		Fetched:  guard(log, "Fetched", h.Fetched),
		Removed:  guard(log, "Removed", h.Removed),
		Dropped:  guard(log, "Dropped", h.Dropped),
		PeerDown: guard(log, "PeerDown", h.PeerDown),
		PeerUp:   guard(log, "PeerUp", h.PeerUp),
	}
}

func guard[E any](log *slog.Logger, name string, hook func(E)) func(E) {
	if hook == nil {
		return nil
	}
	return func(event E) {
		defer func() {
			if v := recover(); v != nil {
				log.LogAttrs(context.Background(), levelError, "hook panicked",
					slog.String("hook", name), errAttr(fmt.Errorf("%v", v)), slog.String("stack", string(debug.Stack())))
			}
		}()
		hook(event)
	}
}

func (h *Hooks) peerDown(p Peer) {
	if h.PeerDown != nil {
		h.PeerDown(p)
	}
}

func (h *Hooks) peerUp(p Peer) {
	if h.PeerUp != nil {
		h.PeerUp(p)
	}
}
