package transporttest

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	gcnode "github.com/gcnode/gcnode/core"
)

// names are n names that have MaxBatchBytes together, or less if that would
// make them longer than a name may be.
func names(n int) []string {
	return slices.Repeat([]string{strings.Repeat("n", min(gcnode.MaxIDBytes, gcnode.MaxBatchBytes/n))}, n)
}

// largestRemovals are as many and as large removals as go into one message:
// many small ones, and one with as much as Remove takes.
func largestRemovals() [][]gcnode.Removal {
	stamp := gcnode.Stamp{Time: math.MaxInt64, Incarnation: math.MaxUint64}
	name := names(3 * gcnode.MaxBatchKeys)[0] // sender, group and key of each
	many := make([]gcnode.Removal, gcnode.MaxBatchKeys)
	for i := range many {
		many[i] = gcnode.Removal{
			ID:    gcnode.RemovalID{Sender: name, Incarnation: math.MaxUint64, Seq: uint64(i)},
			Stamp: stamp, Group: name, Keys: []string{name},
		}
	}
	one := gcnode.Removal{
		ID:    gcnode.RemovalID{Sender: names(1)[0], Seq: math.MaxUint64},
		Stamp: stamp, Group: names(1)[0], Keys: largestKeys(),
	}
	return [][]gcnode.Removal{many, {one}}
}

// largestKeys are as many keys as are allowed, of which some have the largest
// size.
func largestKeys() []string {
	const long = gcnode.MaxBatchBytes/gcnode.MaxKeyBytes - 1
	keys := slices.Repeat([]string{strings.Repeat("k", gcnode.MaxKeyBytes)}, long)
	return append(keys, slices.Repeat([]string{"key"}, gcnode.MaxBatchKeys-long)...)
}

// largestKnown is something about as many lives as are allowed.
func largestKnown() []gcnode.Known {
	return slices.Repeat([]gcnode.Known{
		{Sender: gcnode.Sender{ID: strings.Repeat("i", 48), Incarnation: math.MaxUint64}, Seq: math.MaxUint64},
	}, gcnode.MaxPeers)
}

// testLimits sends as much as the contract allows in one request or reply.
func (k kit) testLimits(t *testing.T) {
	var finished []gcnode.RemovalID
	for _, sender := range names(gcnode.MaxBatchKeys) {
		finished = append(finished, gcnode.RemovalID{Sender: sender, Incarnation: 1, Seq: math.MaxUint64})
	}
	digests := slices.Repeat([]gcnode.Digest{{15: 1}}, gcnode.MaxBatchKeys)
	id, keys, known := names(1)[0], largestKeys(), largestKnown()
	members := slices.Repeat([]gcnode.Peer{
		{ID: known[0].ID, Addr: strings.Repeat("a", 80), Weight: math.MaxUint16},
	}, 2*gcnode.MaxPeers)
	left := slices.Repeat([]gcnode.Sender{known[0].Sender}, gcnode.MaxPeers)

	arrived := make(chan *gcnode.Request, 1)
	var reply gcnode.Reply
	e := k.serve(t, handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		arrived <- req
		return w.WriteReply(reply)
	}))
	for _, removals := range largestRemovals() {
		for _, req := range []*gcnode.Request{
			{Op: gcnode.OpFetch, Group: id, Keys: keys, Removals: removals, Digests: digests},
			{Op: gcnode.OpRemove, Removals: removals, Finished: finished},
			{Op: gcnode.OpSet, Group: id, Keys: keys[:1], Removals: removals, Value: gcnode.StringValue(strings.Repeat("v", 1<<20))},
			{Op: gcnode.OpSync, Known: known},
		} {
			e.mustCall(t, req)
			if got := <-arrived; !reflect.DeepEqual(got, req) {
				t.Errorf("%v: the largest request arrived changed", req.Op)
			}
		}
		for _, reply = range []gcnode.Reply{
			{Keys: keys, ListHash: 1},
			{Ack: &gcnode.Ack{Members: members, Left: left, Lives: left, Known: known, Removals: removals}},
		} {
			got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpSync})
			<-arrived
			if len(got) != 1 || !reflect.DeepEqual(got[0], reply) { //nolint:govet // there is no error in it
				t.Errorf("the largest reply arrived changed")
			}
		}
	}
}
