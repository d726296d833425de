package transporttest

import (
	"context"
	"errors"
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

// requestsOverLimits are each over one limit, by a little.
func requestsOverLimits() map[string]*gcnode.Request {
	name := strings.Repeat("n", gcnode.MaxIDBytes+1)
	key := strings.Repeat("k", gcnode.MaxKeyBytes+1)
	manyKeys := make([]string, gcnode.MaxBatchKeys+1)
	heavyKeys := append(slices.Repeat([]string{key[1:]}, gcnode.MaxBatchBytes/gcnode.MaxKeyBytes), "k")
	half := gcnode.Removal{Keys: manyKeys[:gcnode.MaxBatchKeys/2+1]}
	requests := map[string]*gcnode.Request{
		"sender":              {From: gcnode.Sender{ID: name}},
		"receiver":            {To: name},
		"group":               {Group: name},
		"key":                 {Keys: []string{key}},
		"keys":                {Keys: manyKeys},
		"bytes of keys":       {Keys: heavyKeys},
		"digests":             {Keys: manyKeys[1:], Digests: make([]gcnode.Digest, gcnode.MaxBatchKeys+1)},
		"removals":            {Removals: make([]gcnode.Removal, gcnode.MaxBatchKeys+1)},
		"removal's sender":    {Removals: []gcnode.Removal{{ID: gcnode.RemovalID{Sender: name}}}},
		"removal's group":     {Removals: []gcnode.Removal{{Group: name}}},
		"removal's key":       {Removals: []gcnode.Removal{{Keys: []string{key}}}},
		"keys of removals":    {Removals: []gcnode.Removal{half, half}},
		"finished":            {Finished: make([]gcnode.RemovalID, gcnode.MaxBatchKeys+1)},
		"finished's sender":   {Finished: []gcnode.RemovalID{{Sender: name}}},
		"known":               {Known: make([]gcnode.Known, gcnode.MaxPeers+1)},
		"known sender":        {Known: []gcnode.Known{{Sender: gcnode.Sender{ID: name}}}},
		"parent of the trace": {Trace: gcnode.Trace{Parent: strings.Repeat("p", gcnode.MaxTraceParentBytes+1)}},
		"state of the trace":  {Trace: gcnode.Trace{State: strings.Repeat("s", gcnode.MaxTraceStateBytes+1)}},
		"value":               {Keys: []string{"k"}, Value: gcnode.StringValue(strings.Repeat("v", gcnode.MaxValueBytes+1))},
	}
	for _, req := range requests {
		req.Op = gcnode.OpFetch
	}
	return requests
}

func (k kit) testRequestsOverLimits(t *testing.T) {
	e := k.serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		if req.Group != "fits" {
			t.Errorf("the handler got a request of the group %.40q", req.Group)
		}
		return echo(ctx, req, w)
	}))
	for name, req := range requestsOverLimits() {
		got, err := e.call(patient(t), req)
		if !errors.Is(err, gcnode.ErrTooLarge) || len(got) != 0 {
			t.Errorf("%s: %d replies and the error %v, want only that the request is too large", name, len(got), err)
		}
	}
	if got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Group: "fits", Keys: []string{"k"}}); len(got) != 1 {
		t.Errorf("the next call got the replies %+v", got)
	}
}

// repliesOverLimits are each over one limit, by a little.
func repliesOverLimits() []gcnode.Reply {
	name := strings.Repeat("n", gcnode.MaxIDBytes+1)
	key := strings.Repeat("k", gcnode.MaxKeyBytes+1)
	manyKeys := make([]string, gcnode.MaxBatchKeys+1)
	half := gcnode.Removal{Keys: manyKeys[:gcnode.MaxBatchKeys/2+1]}
	acks := []gcnode.Ack{
		{Members: make([]gcnode.Peer, 2*gcnode.MaxPeers+1)},
		{Members: []gcnode.Peer{{ID: name}}},
		{Left: make([]gcnode.Sender, 2*gcnode.MaxPeers+1)},
		{Left: []gcnode.Sender{{ID: name}}},
		{Lives: make([]gcnode.Sender, 2*gcnode.MaxPeers+1)},
		{Lives: []gcnode.Sender{{ID: name}}},
		{Known: make([]gcnode.Known, gcnode.MaxPeers+1)},
		{Known: []gcnode.Known{{Sender: gcnode.Sender{ID: name}}}},
		{Removals: make([]gcnode.Removal, gcnode.MaxBatchKeys+1)},
		{Removals: []gcnode.Removal{half, half}},
		{Removals: []gcnode.Removal{{Group: name}}},
	}
	replies := []gcnode.Reply{
		{Value: gcnode.StringValue(strings.Repeat("v", gcnode.MaxValueBytes+1))},
		{Keys: manyKeys},
		{Keys: []string{key}},
		{Keys: append(slices.Repeat([]string{key[1:]}, gcnode.MaxBatchBytes/gcnode.MaxKeyBytes), "k")},
	}
	for i := range acks {
		replies = append(replies, gcnode.Reply{Ack: &acks[i]})
	}
	for i := range replies {
		replies[i].Key = i
	}
	return replies
}

// testRepliesOverLimits expects that the handler is not told, and may go on.
func (k kit) testRepliesOverLimits(t *testing.T) {
	replies := repliesOverLimits()
	e := k.serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		for _, r := range replies {
			if err := w.WriteReply(r); err != nil {
				return err
			}
		}
		return w.WriteReply(gcnode.Reply{Key: len(replies), Value: gcnode.StringValue("fits")})
	}))
	got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: make([]string, len(replies)+1)})
	if len(got) != len(replies)+1 {
		t.Fatalf("%d replies arrived, want %d", len(got), len(replies)+1)
	}
	for i, r := range got[:len(replies)] {
		if r.Key != i || r.Err == nil || r.Err.Kind != gcnode.KindTooLarge || r.Ack != nil || r.Keys != nil || r.Value.Len() > 0 {
			t.Errorf("reply %d arrived as one to key %d with the error %v, want too large", i, r.Key, r.Err)
		}
	}
	if last := got[len(replies)]; last.Err != nil || last.Value.String() != "fits" {
		t.Errorf("the reply after them arrived as %+v", last)
	}
}
