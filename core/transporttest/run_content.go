package transporttest

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// nasty are names that a transport might change on the way.
func nasty() []string {
	return []string{
		"", " ", "a b", "a+b", "/", "//", "a//b", "/a/", ".", "..", "../x", "%2F", "%", "%zz", "?a=b&c", "#",
		"\x00", "a\x00b", "\xff\xfe", "a\xc3", "\r\n", "\r\n\r\nHTTP/1.1 200 OK", "ключ", "*", ">", "$SYS", "null", `"`,
	}
}

func (k kit) testKeys(t *testing.T) {
	e := k.serve(t, handlerFunc(echo))
	keys := append(nasty(), strings.Repeat("k\x00", gcnode.MaxKeyBytes/2))
	for _, batch := range append([][]string{keys}, single(keys)...) {
		got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: batch})
		if len(got) != len(batch) {
			t.Fatalf("%d replies to %d keys", len(got), len(batch))
		}
		for i, r := range got {
			if r.Key != i || r.Value.String() != batch[i] {
				t.Errorf("reply %d is to key %d with %.40q, want %.40q", i, r.Key, r.Value.String(), batch[i])
			}
		}
	}
}

// single is a batch for each key.
func single(keys []string) [][]string {
	batches := make([][]string, len(keys))
	for i := range keys {
		batches[i] = keys[i : i+1]
	}
	return batches
}

func (k kit) testGroups(t *testing.T) {
	e := k.serve(t, handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		return w.WriteReply(gcnode.Reply{Value: gcnode.StringValue(req.Group)})
	}))
	for _, group := range append(nasty(), strings.Repeat("/", gcnode.MaxIDBytes)) {
		got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Group: group, Keys: []string{"k"}})
		if len(got) != 1 || got[0].Value.String() != group {
			t.Errorf("group %q arrived as %+v", group, got)
		}
	}
}

// requests are some with every field.
func requests() []*gcnode.Request {
	from := gcnode.Sender{ID: "node a/\xff", Incarnation: math.MaxUint64}
	ids := []gcnode.RemovalID{
		{Sender: "node a/\xff", Incarnation: math.MaxUint64, Seq: 1},
		{Sender: "b", Incarnation: 1, Seq: math.MaxUint64},
	}
	removals := []gcnode.Removal{
		{
			ID:    ids[0],
			Stamp: gcnode.Stamp{Time: math.MaxInt64, Incarnation: math.MaxUint64},
			Group: "g/\x00", Keys: nasty(),
		},
		{ID: ids[1], Stamp: gcnode.Stamp{Time: -1, Incarnation: 1}, Group: "h", Keys: []string{"x"}},
		{ID: ids[1], Group: "h", All: true},
	}
	known := []gcnode.Known{{Sender: from, Seq: math.MaxUint64}, {Sender: gcnode.Sender{ID: "b"}, Seq: 1}}
	return []*gcnode.Request{
		{
			Op: gcnode.OpFetch, From: from, ListHash: math.MaxUint64, Group: "g", Keys: []string{"k", ""},
			Removals: removals, Timeout: 29 * time.Second, Heartbeat: 500 * time.Millisecond, To: "b/\xff",
			Trace: gcnode.Trace{
				Parent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", State: strings.Repeat("s", gcnode.MaxTraceStateBytes),
			},
		},
		{Op: gcnode.OpRemove, From: from, ListHash: 1, Removals: removals, Timeout: math.MaxInt64, Heartbeat: 1},
		{Op: gcnode.OpFinish, From: from, ListHash: 1 << 63, Finished: ids, Timeout: 1},
		{
			Op: gcnode.OpSet, From: from, Group: "g", Keys: []string{"k"}, Removals: removals[:1],
			Value: gcnode.StringValue("\x00\xff"), Keep: gcnode.Forever, Stamp: removals[0].Stamp,
		},
		{Op: gcnode.OpSet, Group: "g", Keys: []string{"k"}, Keep: gcnode.NoStore},
		{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k", "l"}, Digests: []gcnode.Digest{{0, 1, 15: 255}, {}}},
		{Op: gcnode.OpPeek, Group: "g", Keys: []string{"k"}, Removals: removals},
		{Op: gcnode.OpKeys, Group: "g", ListHash: 1},
		{Op: gcnode.OpHello, From: from},
		{Op: gcnode.OpGoodbye, From: from},
		{Op: gcnode.OpSync, From: from, Known: known},
		{Op: gcnode.OpGone, From: from},
		{Op: gcnode.OpReport, From: from, Known: known},
	}
}

func (k kit) testRequestFields(t *testing.T) {
	arrived := make(chan *gcnode.Request, 1)
	e := k.serve(t, handlerFunc(func(_ context.Context, req *gcnode.Request, _ gcnode.ReplyWriter) error {
		arrived <- req
		return nil
	}))
	for _, req := range requests() {
		e.mustCall(t, req)
		if got := <-arrived; !reflect.DeepEqual(got, req) {
			t.Errorf("%s arrived as\n%+v, want\n%+v", req.Op, got, req)
		}
	}
}

func (k kit) testReplyFields(t *testing.T) {
	replies := []gcnode.Reply{
		{Key: 1, Keep: gcnode.Forever, Source: gcnode.SourceHit, ListHash: math.MaxUint64, Value: gcnode.StringValue("v")},
		{Key: 0, Keep: gcnode.NoStore, Source: gcnode.SourceLoaded, ListHash: 1, Value: gcnode.StringValue("\x00\xff")},
		{Key: 2, Keep: gcnode.For(5 * time.Second), Err: &gcnode.Error{Kind: gcnode.KindNotFound}},
		{Key: 3, Ack: &gcnode.Ack{Incarnation: math.MaxUint64, Members: []gcnode.Peer{
			{ID: "node a/\xff", Addr: "http://a:1/?x=%2F", Weight: math.MaxUint16}, {ID: "b"},
		}}},
		{Key: 4, Ack: &gcnode.Ack{}},
		{Key: 5},
		{Key: 6, NotModified: true},
		{Key: 7, Keys: append(nasty(), "")},
		{Key: 8, Ack: &gcnode.Ack{
			Left: []gcnode.Sender{{ID: "a", Incarnation: 1}}, Lives: []gcnode.Sender{{ID: "a", Incarnation: 2}, {ID: "b"}}, Time: math.MinInt64,
			Known: []gcnode.Known{{Sender: gcnode.Sender{ID: "a", Incarnation: math.MaxUint64}, Seq: 1}},
			Removals: []gcnode.Removal{
				{ID: gcnode.RemovalID{Sender: "a", Incarnation: 1, Seq: 2}, Stamp: gcnode.Stamp{Time: 1}, Group: "g", Keys: nasty()},
				{Group: "g", All: true},
			},
		}},
	}
	e := k.serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		for _, r := range replies {
			if err := w.WriteReply(r); err != nil {
				return err
			}
		}
		return nil
	}))
	got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: make([]string, len(replies))})
	if len(got) != len(replies) {
		t.Fatalf("%d replies arrived, want %d", len(got), len(replies))
	}
	for i, want := range replies {
		r := got[i]
		if want.Err != nil {
			checkError(t, r.Err, want.Err)
			r.Err, want.Err = nil, nil
		}
		if !reflect.DeepEqual(r, want) { //nolint:govet // the errors are compared above
			t.Errorf("reply %d arrived as\n%+v, want\n%+v", i, r, want)
		}
	}
}

func (k kit) testValues(t *testing.T) {
	pattern := strings.Repeat("0123456789abcdef\x00\xff", gcnode.MaxValueBytes/18+1)
	for _, size := range []int{0, 1, 64 << 10, 1 << 20, 1<<20 + 1, gcnode.MaxValueBytes} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			want := pattern[:size]
			e := k.serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
				if err := w.WriteReply(gcnode.Reply{Key: 1, Value: gcnode.StringValue(want)}); err != nil {
					return err
				}
				return w.WriteReply(gcnode.Reply{Key: 0, Value: gcnode.StringValue("after")})
			}))
			got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"x", "y"}})
			if len(got) != 2 || got[1].Value.String() != "after" {
				t.Fatalf("%d replies arrived", len(got))
			}
			if got[0].Key != 1 || got[0].Value.String() != want {
				t.Errorf("the value of %d bytes arrived changed, with %d bytes", size, got[0].Value.Len())
			}
		})
	}
}

// testSetValues sends values with requests.
func (k kit) testSetValues(t *testing.T) {
	pattern := strings.Repeat("0123456789abcdef\x00\xff", gcnode.MaxValueBytes/18+1)
	arrived := make(chan gcnode.Value, 1)
	e := k.serve(t, handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		arrived <- req.Value
		return w.WriteReply(gcnode.Reply{Ack: &gcnode.Ack{Incarnation: 1}})
	}))
	for _, size := range []int{0, 1, 1 << 20, gcnode.MaxValueBytes} {
		got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpSet, Keys: []string{"k"}, Value: gcnode.StringValue(pattern[:size])})
		if len(got) != 1 || got[0].Ack == nil {
			t.Fatalf("replies %+v", got)
		}
		if v := <-arrived; v.String() != pattern[:size] {
			t.Errorf("the value of %d bytes arrived changed, with %d bytes", size, v.Len())
		}
	}
}

// testSeveralReplies answers requests without keys, to which there may be more
// than one reply.
func (k kit) testSeveralReplies(t *testing.T) {
	e := k.serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		for i := range 3 {
			if err := w.WriteReply(gcnode.Reply{ListHash: uint64(i), Ack: &gcnode.Ack{}}); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, op := range []gcnode.Op{gcnode.OpKeys, gcnode.OpHello, gcnode.OpSync} {
		got := e.mustCall(t, &gcnode.Request{Op: op})
		if len(got) != 3 || got[2].ListHash != 2 {
			t.Errorf("%v: the replies %+v", op, got)
		}
	}
}

// testRepliesStay keeps what has arrived while much else does.
func (k kit) testRepliesStay(t *testing.T) {
	e := k.serve(t, handlerFunc(echo))
	const rounds = 100
	key := func(round, i int) string { return strings.Repeat(strconv.Itoa(round*10+i), 1+i*50) }
	var kept [][]gcnode.Reply
	for round := range rounds {
		var keys []string
		for i := range 10 {
			keys = append(keys, key(round, i))
		}
		kept = append(kept, e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: keys}))
	}
	for round, replies := range kept {
		for i, r := range replies {
			if r.Value.String() != key(round, i) {
				t.Fatalf("reply %d of round %d has changed to %.40q", i, round, r.Value.String())
			}
		}
	}
}

// checkError compares an error that has arrived with the one that was sent.
func checkError(t *testing.T, got, sent *gcnode.Error) {
	t.Helper()
	if got == nil {
		t.Errorf("no error arrived, want %v", sent)
		return
	}
	if got.Kind != sent.Kind {
		t.Errorf("kind is %v, want %v", got.Kind, sent.Kind)
	}
	if got.RetryAfter != sent.RetryAfter {
		t.Errorf("%v: RetryAfter is %v, want %v", sent.Kind, got.RetryAfter, sent.RetryAfter)
	}
	if got.Reason() != sent.Reason() {
		t.Errorf("%v: the text is %q, want %q", sent.Kind, got.Reason(), sent.Reason())
	}
}

func (k kit) testErrors(t *testing.T) {
	var sent []*gcnode.Error
	for kind := gcnode.KindInternal; kind <= gcnode.KindDraining; kind++ {
		sent = append(sent,
			&gcnode.Error{Kind: kind},
			&gcnode.Error{Kind: kind, RetryAfter: 3 * time.Second, Err: errors.New("table \"users\" is locked, naïvely")},
			&gcnode.Error{Kind: kind, Op: gcnode.OpFetch, Group: "g", Key: "k", RetryAfter: time.Nanosecond, Err: errors.New("x")})
	}
	e := k.serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		for i, err := range sent {
			if err := w.WriteReply(gcnode.Reply{Key: i, Err: err}); err != nil {
				return err
			}
		}
		return w.WriteReply(gcnode.Reply{Key: len(sent), Err: &gcnode.Error{Kind: gcnode.KindDraining + 1}})
	}))
	got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: make([]string, len(sent)+1)})
	if len(got) != len(sent)+1 {
		t.Fatalf("%d replies arrived, want %d", len(got), len(sent)+1)
	}
	for i, want := range sent {
		checkError(t, got[i].Err, want)
	}
	if last := got[len(sent)].Err; last == nil || last.Kind != gcnode.KindInternal {
		t.Errorf("an unknown kind arrived as %v, want an internal error", last)
	}
}

// testUnknownOp expects an answer of the kind unsupported, whether the
// transport or the handler gives it.
func (k kit) testUnknownOp(t *testing.T) {
	e := k.serve(t, handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		for i := range req.Keys {
			if err := w.WriteReply(gcnode.Reply{Key: i, Err: &gcnode.Error{Kind: gcnode.KindUnsupported}}); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, size := range []int{0, 1 << 20} {
		got := e.mustCall(t, &gcnode.Request{Op: 200, Keys: []string{"x", "y"}, Value: gcnode.StringValue(strings.Repeat("v", size))})
		if len(got) != 2 {
			t.Fatalf("%d replies arrived, want one for each key", len(got))
		}
		for _, r := range got {
			if r.Err == nil || r.Err.Kind != gcnode.KindUnsupported {
				t.Errorf("key %d is answered with %v, want unsupported", r.Key, r.Err)
			}
		}
	}
}

func (k kit) testNoReply(t *testing.T) {
	e := k.serve(t, handlerFunc(func(context.Context, *gcnode.Request, gcnode.ReplyWriter) error { return nil }))
	if got := e.mustCall(t, &gcnode.Request{Op: gcnode.OpFinish}); len(got) != 0 {
		t.Errorf("replies arrived that nobody sent: %+v", got)
	}
}
