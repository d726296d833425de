package discovery

import (
	"context"
	"slices"
	"strconv"

	gcnode "github.com/gcnode/gcnode/core"
)

// Source finds out who the members of a cluster are.
type Source interface {
	// Watch reports the members whenever it has looked for them, or why it
	// cannot tell. It reports the same list again if that is what it has
	// found again: repetition is what confirms a list that is held back. The
	// list is not changed afterwards by either side.
	//
	// Watch calls report from one goroutine at a time, and returns when ctx
	// has ended and nothing that it started runs any more. It may return
	// earlier if nothing can change.
	Watch(ctx context.Context, report func([]gcnode.Peer, error))
	// String names the source for logs and figures, such as
	// "file /etc/gcnode/peers.yaml".
	String() string
}

// Static is a list that does not change, this node included.
func Static(peers []gcnode.Peer) Source { return static(slices.Clone(peers)) }

type static []gcnode.Peer

// Watch implements [Source].
func (s static) Watch(_ context.Context, report func([]gcnode.Peer, error)) {
	report(slices.Clone(s), nil)
}

// String implements [Source].
func (s static) String() string { return "fixed list of " + strconv.Itoa(len(s)) }
