package transporttest

import (
	"fmt"

	gcnode "github.com/gcnode/gcnode/core"
)

// limits finds what is over one of package gcnode's, and remembers the first.
type limits struct{ err *gcnode.Error }

// atMost checks a size or a number.
func (l *limits) atMost(what string, n, limit int) {
	if n > limit && l.err == nil {
		l.err = &gcnode.Error{Kind: gcnode.KindTooLarge, Err: fmt.Errorf("%s: %d are too many; at most %d are allowed", what, n, limit)}
	}
}

func (l *limits) name(what, name string) {
	l.atMost("bytes of the "+what, len(name), gcnode.MaxIDBytes)
}

// keys checks batches that count together.
func (l *limits) keys(what string, batches ...[]string) {
	count, size := 0, 0
	for _, keys := range batches {
		count += len(keys)
		for _, key := range keys {
			size += len(key)
			l.atMost("bytes of one of the "+what, len(key), gcnode.MaxKeyBytes)
		}
	}
	l.atMost(what, count, gcnode.MaxBatchKeys)
	l.atMost("bytes of all "+what, size, gcnode.MaxBatchBytes)
}

func (l *limits) removals(removals []gcnode.Removal) {
	l.atMost("removals", len(removals), gcnode.MaxBatchKeys)
	batches := make([][]string, len(removals))
	for i := range removals {
		l.name("sender of a removal", removals[i].ID.Sender)
		l.name("group of a removal", removals[i].Group)
		batches[i] = removals[i].Keys
	}
	l.keys("keys to remove", batches...)
}

func (l *limits) known(known []gcnode.Known) {
	l.atMost("known lives", len(known), gcnode.MaxPeers)
	for i := range known {
		l.name("sender of a known life", known[i].ID)
	}
}

func (l *limits) senders(what string, senders []gcnode.Sender) {
	l.atMost(what, len(senders), 2*gcnode.MaxPeers)
	for _, s := range senders {
		l.name("IDs of "+what, s.ID)
	}
}

// checkRequest is what is wrong with a request that no network carries.
func checkRequest(req *gcnode.Request) *gcnode.Error {
	var l limits
	l.name("sender's ID", req.From.ID)
	l.name("receiver's ID", req.To)
	l.name("group", req.Group)
	l.keys("keys", req.Keys)
	l.removals(req.Removals)
	l.known(req.Known)
	l.atMost("finished removals", len(req.Finished), gcnode.MaxBatchKeys)
	for _, id := range req.Finished {
		l.name("sender of a finished removal", id.Sender)
	}
	l.atMost("digests", len(req.Digests), gcnode.MaxBatchKeys)
	l.atMost("bytes of the value", req.Value.Len(), gcnode.MaxValueBytes)
	l.atMost("bytes of the trace's parent", len(req.Trace.Parent), gcnode.MaxTraceParentBytes)
	l.atMost("bytes of the trace's state", len(req.Trace.State), gcnode.MaxTraceStateBytes)
	return l.err
}

// checkReply is the same for a reply.
func checkReply(r *gcnode.Reply) *gcnode.Error {
	var l limits
	l.atMost("bytes of the value", r.Value.Len(), gcnode.MaxValueBytes)
	l.keys("keys", r.Keys)
	if a := r.Ack; a != nil {
		l.senders("members that left", a.Left)
		l.senders("lives of members", a.Lives)
		l.known(a.Known)
		l.removals(a.Removals)
		l.atMost("members", len(a.Members), 2*gcnode.MaxPeers)
		for _, p := range a.Members {
			l.name("ID of a member", p.ID)
		}
	}
	return l.err
}
