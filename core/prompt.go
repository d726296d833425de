package gcnode

import "github.com/gcnode/gcnode/core/internal/store"

// promptDigest is the size up to which a value is compared with a digest while
// others wait for the goroutine that does it.
const promptDigest = 4 << 10

// AnswerNow implements [PromptHandler]: it answers the fetch of a key that is
// in memory. What has to be thought about is left to ServePeer: removals that
// go along, answers that are due for reloading, nodes that join or leave.
func (n *Node) AnswerNow(req *Request) (Reply, bool) {
	if req.Op != OpFetch || len(req.Keys) != 1 || len(req.Removals) > 0 || len(req.Digests) > 1 ||
		req.To != "" && req.To != n.cfg.Self.ID || n.is(joining) || n.strangers.has(req.From.ID) {
		return Reply{}, false
	}
	if !n.begin() { // Close waits for what it keeps
		return Reply{}, false
	}
	defer n.end()
	g, ok := n.Lookup(req.Group)
	if !ok {
		return Reply{}, false
	}
	key, v := req.Keys[0], n.view.Load()
	e, ok := g.owned.Get(key)
	if ok && g.attentive && e.Expires != store.Never {
		return Reply{}, false
	}
	a, ok := g.cachedFrom(n.done, key, look{e, ok})
	if !ok || len(req.Digests) > 0 && len(a.value) > promptDigest {
		return Reply{}, false
	}
	g.counts.servedFetches.Add(1)
	r := g.reply(v, 0, key, a, nil)
	if len(req.Digests) > 0 {
		r.compare(req.Digests[0])
	}
	return r, true
}
