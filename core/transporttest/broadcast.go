package transporttest

import (
	"context"
	"sync"

	gcnode "github.com/gcnode/gcnode/core"
)

// Broadcaster is the transport of the member with this ID, which can also send
// one message to all who are attached. What it broadcasts meets the faults of
// each link and is not counted by [Network.Sent] and [Network.Requests]: see
// [Network.Broadcasts].
func (n *Network) Broadcaster(from string) gcnode.Broadcaster {
	n.mu.Lock()
	defer n.mu.Unlock()
	return &broadcaster{transport{net: n, from: from, life: n.lives[from]}}
}

// Broadcasts is the number of broadcasts with this operation.
func (n *Network) Broadcasts(op gcnode.Op) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.broadcasts[op]
}

type broadcaster struct{ transport }

// Broadcast implements [gcnode.Broadcaster]. Nobody is told that somebody else
// did not get it.
func (b *broadcaster) Broadcast(ctx context.Context, to []gcnode.Peer, req *gcnode.Request, take func(gcnode.Peer, gcnode.Reply)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := checkRequest(req); err != nil {
		return err
	}
	wanted := map[string]gcnode.Peer{}
	for _, p := range to {
		wanted[p.ID] = p
	}
	var mu sync.Mutex // taken before take is called
	answered := make(chan struct{})
	tell := func(from string) {
		theirs := *req
		theirs.To = from // who answers says who he is
		_ = b.roundTrip(ctx, gcnode.Peer{ID: from}, &theirs, true, replyFunc(func(r gcnode.Reply) error {
			mu.Lock()
			defer mu.Unlock()
			p, ok := wanted[from]
			if !ok || ctx.Err() != nil {
				return nil
			}
			take(p, r)
			if delete(wanted, from); len(wanted) == 0 {
				close(answered)
			}
			return nil
		})) // it is lost in silence
	}
	var all sync.WaitGroup
	for _, id := range b.net.listeners(b.from, req.Op) {
		all.Go(func() { tell(id) })
	}
	if len(to) > 0 {
		select {
		case <-answered:
		case <-ctx.Done():
		}
		cancel()
	}
	all.Wait()
	return nil
}

// listeners are those who hear what a member broadcasts, which is counted.
func (n *Network) listeners(from string, op gcnode.Op) (ids []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broadcasts[op]++
	for id := range n.handlers {
		if id != from {
			ids = append(ids, id)
		}
	}
	return ids
}
