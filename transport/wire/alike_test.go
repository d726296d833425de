package wire_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

// alike are requests of one key, each of which differs from the first one in one
// thing.
func alike(t *testing.T) []*gcnode.Request {
	t.Helper()
	first := gcnode.Request{
		Op: gcnode.OpFetch, From: gcnode.Sender{ID: "a", Incarnation: 1}, To: "b", ListHash: 2, Group: "g", Keys: []string{"k"},
		Timeout: time.Second, Heartbeat: time.Millisecond,
	}
	changes := map[string]func(*gcnode.Request){
		"Op":        func(r *gcnode.Request) { r.Op = gcnode.OpPeek },
		"From":      func(r *gcnode.Request) { r.From.Incarnation++ },
		"To":        func(r *gcnode.Request) { r.To = "" },
		"ListHash":  func(r *gcnode.Request) { r.ListHash = 0 },
		"Group":     func(r *gcnode.Request) { r.Group = "group" },
		"Keys":      func(r *gcnode.Request) { r.Keys = []string{"k", "l"} },
		"Removals":  func(r *gcnode.Request) { r.Removals = []gcnode.Removal{{All: true}} },
		"Finished":  func(r *gcnode.Request) { r.Finished = []gcnode.RemovalID{{Seq: 1}} },
		"Value":     func(r *gcnode.Request) { r.Value = gcnode.StringValue("v") },
		"Keep":      func(r *gcnode.Request) { r.Keep = gcnode.Forever },
		"Stamp":     func(r *gcnode.Request) { r.Stamp.Time = 1 },
		"Digests":   func(r *gcnode.Request) { r.Digests = []gcnode.Digest{{1}} },
		"Known":     func(r *gcnode.Request) { r.Known = []gcnode.Known{{Seq: 1}} },
		"Timeout":   func(r *gcnode.Request) { r.Timeout++ },
		"Heartbeat": func(r *gcnode.Request) { r.Heartbeat = 0 },
		"Trace":     func(r *gcnode.Request) { r.Trace.Parent = "p" },
	}
	all := []*gcnode.Request{&first}
	for field := range reflect.TypeFor[gcnode.Request]().Fields() {
		require.Contains(t, changes, field.Name, "a field of requests that encoders have to compare")
		r := first
		changes[field.Name](&r)
		all = append(all, &r)
	}
	for _, key := range []string{"", "another", strings.Repeat("k", 127), strings.Repeat("k", 128), strings.Repeat("k", gcnode.MaxKeyBytes)} {
		r := first
		r.Keys = []string{key}
		all = append(all, &r)
	}
	return append(all, slices.Collect(maps.Values(sampleRequests()))...)
}

// Each request may follow on each.
func TestRequestsThatAreLikeTheLastOne(t *testing.T) {
	var encoder wire.RequestEncoder
	var decoder wire.RequestDecoder
	var incoming wire.Incoming
	var decoded gcnode.Request
	requests := alike(t)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 20_000 {
		req := requests[r.IntN(len(requests))]
		want, err := wire.AppendRequest(nil, req)
		require.NoError(t, err)
		require.NoError(t, encoder.Set(req))
		call, err := wire.DecodeCall(message(t, encoder.AppendCall(nil, uint64(i+1))))
		require.NoError(t, err)
		require.Equal(t, uint64(i+1), call.Exchange)
		require.Equal(t, want, call.Request)

		fresh, err := wire.DecodeRequest(want)
		require.NoError(t, err)
		require.NoError(t, decoder.Decode(want, &decoded))
		requireSame(t, fresh, &decoded)
		require.NoError(t, incoming.StartLent(want))
		lent := incoming.Complete()
		requireSame(t, fresh, lent)
		incoming.Own()
		clear(want)
		requireSame(t, fresh, lent)
		requireSame(t, fresh, &decoded)
	}
}

// requireSame compares requests, lists without elements being the same.
func requireSame(t *testing.T, want, got *gcnode.Request) {
	t.Helper()
	a, err := wire.AppendRequest(nil, want)
	require.NoError(t, err)
	b, err := wire.AppendRequest(nil, got)
	require.NoError(t, err)
	require.Equal(t, a, b)
}

// message is the one that a stream consists of.
func message(t *testing.T, stream []byte) []byte {
	t.Helper()
	m, rest, ok := wire.WholeMessage(stream)
	require.True(t, ok)
	require.Empty(t, rest)
	return m
}

func TestAKeyThatIsTooLongIsRefusedAlsoInARequestLikeTheLastOne(t *testing.T) {
	var encoder wire.RequestEncoder
	var decoder wire.RequestDecoder
	req := gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k"}}
	require.NoError(t, encoder.Set(&req))
	before := encoder.AppendCall(nil, 1)
	long := req
	long.Keys = []string{strings.Repeat("k", gcnode.MaxKeyBytes+1)}
	require.Equal(t, gcnode.KindTooLarge, gcnode.KindOf(encoder.Set(&long)))
	require.NoError(t, encoder.Set(&req))
	require.Equal(t, before, encoder.AppendCall(nil, 1))

	b, err := wire.AppendRequest(nil, &req)
	require.NoError(t, err)
	var got gcnode.Request
	require.NoError(t, decoder.Decode(b, &got))
	i := bytes.Index(b, []byte("\x2a\x01k"))
	element := protowire.AppendString(protowire.AppendTag(nil, 5, protowire.BytesType), long.Keys[0])
	b = slices.Concat(b[:i], element, b[i+3:])
	require.Equal(t, gcnode.KindTooLarge, gcnode.KindOf(decoder.Decode(b, &got)))
}

func TestRequestsThatAreAlikeAllocateNothing(t *testing.T) {
	var encoder wire.RequestEncoder
	var incoming wire.Incoming
	req := gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k"}, Timeout: time.Second}
	b := make([]byte, 0, 1<<10)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		require.NoError(t, encoder.Set(&req))
		m, _, _ := wire.WholeMessage(encoder.AppendCall(b, 1))
		call, err := wire.DecodeCall(m)
		require.NoError(t, err)
		require.NoError(t, incoming.StartLent(call.Request))
		require.NotNil(t, incoming.Complete())
	}))
}

// FuzzRequestLikeAnother looks that a message is taken for the same whatever came
// before it.
func FuzzRequestLikeAnother(f *testing.F) {
	var samples [][]byte
	for _, req := range sampleRequests() {
		b, err := wire.AppendRequest(nil, req)
		require.NoError(f, err)
		samples = append(samples, b)
	}
	for _, a := range samples {
		for _, b := range samples {
			f.Add(a, b)
		}
	}
	f.Fuzz(func(t *testing.T, before, b []byte) {
		var decoder wire.RequestDecoder
		var got gcnode.Request
		_ = decoder.Decode(before, &got)
		want, wrong := wire.DecodeRequest(b)
		err := decoder.Decode(b, &got)
		require.Equal(t, wrong == nil, err == nil, "%v, and then %v", wrong, err)
		if err == nil {
			requireSame(t, want, &got)
		}
	})
}
