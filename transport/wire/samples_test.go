package wire_test

import (
	"errors"
	"math"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// sampleRequests have every field, each with its extreme values.
func sampleRequests() map[string]*gcnode.Request {
	from := gcnode.Sender{ID: "node-a", Incarnation: 0x1122334455667788}
	removal := gcnode.Removal{
		ID:    gcnode.RemovalID{Sender: "node-a", Incarnation: math.MaxUint64, Seq: 300},
		Stamp: gcnode.Stamp{Time: 1_790_000_000_000_000_000, Incarnation: math.MaxUint64},
		Group: "docs", Keys: []string{"net/http", "", "\xff\x00"},
	}
	return map[string]*gcnode.Request{
		"request-fetch": {
			Op: gcnode.OpFetch, From: from, ListHash: math.MaxUint64, Group: "docs",
			Keys: []string{"net/http.Client", "", "a b+%2F/../\x00\xff"}, Removals: []gcnode.Removal{removal, {}},
			Timeout: 30 * time.Second, Heartbeat: 500 * time.Millisecond, To: "node-b\xff",
		},
		"request-remove": {Op: gcnode.OpRemove, From: from, ListHash: 1, Removals: []gcnode.Removal{removal}, Timeout: math.MaxInt64},
		"request-finish": {Op: gcnode.OpFinish, From: from, Finished: []gcnode.RemovalID{removal.ID, {}}, Timeout: -1},
		"request-least":  {Op: gcnode.OpFetch},
		"request-set": {
			Op: gcnode.OpSet, From: from, ListHash: 1, Group: "docs", Keys: []string{"k"}, Removals: []gcnode.Removal{removal},
			Value: gcnode.StringValue("a value \x00\xff"), Keep: gcnode.For(time.Hour), Stamp: gcnode.Stamp{Time: -1, Incarnation: 1},
		},
		"request-revalidate": {
			Op: gcnode.OpFetch, From: from, Group: "docs", Keys: []string{"a", "b"}, Digests: []gcnode.Digest{{1, 2, 15: 16}, {}},
		},
		"request-traced": {
			Op: gcnode.OpFetch, From: from, Group: "docs", Keys: []string{"a"},
			Trace: gcnode.Trace{Parent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", State: "vendor=1,other=a b"},
		},
		"request-peek":    {Op: gcnode.OpPeek, From: from, Group: "docs", Keys: []string{"a"}, Removals: []gcnode.Removal{{All: true}}},
		"request-keys":    {Op: gcnode.OpKeys, From: from, ListHash: 1, Group: "docs"},
		"request-sync":    {Op: gcnode.OpSync, From: from, Known: []gcnode.Known{{Sender: from, Seq: math.MaxUint64}, {}}},
		"request-hello":   {Op: gcnode.OpHello, From: from},
		"request-goodbye": {Op: gcnode.OpGoodbye, From: from},
		"request-gone":    {Op: gcnode.OpGone, From: from},
		"request-report":  {Op: gcnode.OpReport, From: from, Known: []gcnode.Known{{Sender: from, Seq: 1}}},
		"request-long-key": {
			Op: gcnode.OpFetch, From: from, Group: strings.Repeat("g", gcnode.MaxIDBytes), Keys: []string{strings.Repeat("k", 300)},
		},
	}
}

// sampleReplies are whole answers.
func sampleReplies() map[string][]gcnode.Reply {
	return map[string][]gcnode.Reply{
		"answer-values": {
			{Pending: true},
			{
				Key: 1, Keep: gcnode.For(time.Minute), Source: gcnode.SourceLoaded, ListHash: math.MaxUint64,
				Value: gcnode.StringValue("a value \x00\xff"),
			},
			{Key: 0, Keep: gcnode.Forever, Source: gcnode.SourceHit, ListHash: 1},
			{Key: 9999, Keep: gcnode.NoStore, Value: gcnode.StringValue(strings.Repeat("v", 300))},
		},
		"answer-errors": {
			{Key: 0, Keep: gcnode.For(5 * time.Second), Err: &gcnode.Error{Kind: gcnode.KindNotFound}},
			{Key: 1, Err: &gcnode.Error{Kind: gcnode.KindOverloaded, RetryAfter: time.Second, Err: errors.New("queue full: naïve")}},
			{Key: 2, Err: &gcnode.Error{Kind: gcnode.KindInternal, RetryAfter: math.MaxInt64}},
			{Key: 3, Err: &gcnode.Error{Kind: gcnode.KindDraining}},
		},
		"answer-acks": {
			{ListHash: 7, Ack: &gcnode.Ack{Incarnation: math.MaxUint64, Members: []gcnode.Peer{
				{ID: "node-a", Addr: "http://10.0.0.1:7001/", Weight: math.MaxUint16}, {ID: "\xff"}, {},
			}}},
			{Key: 1, Ack: &gcnode.Ack{}},
			{Ack: &gcnode.Ack{
				Left: []gcnode.Sender{{ID: "node-c", Incarnation: 3}, {}}, Lives: []gcnode.Sender{{ID: "node-c", Incarnation: 4}, {}}, Time: math.MinInt64,
				Known:    []gcnode.Known{{Sender: gcnode.Sender{ID: "node-a", Incarnation: 1}, Seq: 300}, {Seq: 1}},
				Removals: []gcnode.Removal{{ID: gcnode.RemovalID{Sender: "s", Seq: 1}, Group: "docs", Keys: []string{"", "k"}}, {All: true}},
			}},
		},
		"answer-keys": {
			{Keys: []string{"a", "", "\xff"}, ListHash: 7},
			{Keys: []string{"b"}, NotModified: true},
		},
		"answer-empty": {},
	}
}
