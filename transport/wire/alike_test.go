package wire_test

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
	var incoming wire.Incoming
	requests := alike(t)
	r := rand.New(rand.NewPCG(1, 1))
	likeLast := 0
	for i := range 20_000 {
		req := requests[r.IntN(len(requests))]
		if r.IntN(3) == 0 { // it is not always sent by this encoder
			b, err := wire.AppendRequest(nil, req)
			require.NoError(t, err)
			require.NoError(t, incoming.Start(b))
			encoder.Forget()
			continue
		}
		require.NoError(t, encoder.Set(req))
		b := message(t, encoder.AppendCall(nil, uint64(i+1)))
		call, err := wire.DecodeCall(b)
		require.NoError(t, err)
		require.Equal(t, uint64(i+1), call.Exchange)
		if call.Key != nil {
			likeLast++
			require.NoError(t, incoming.StartLike(call.Key))
		} else {
			require.NoError(t, incoming.Start(call.Request))
		}
		got := incoming.Complete()
		requireSame(t, req, got)
		incoming.Own()
		clear(b)
		requireSame(t, req, got)
	}
	require.Greater(t, likeLast, 200)
}

func TestNothingIsLikeARequestThatHasMore(t *testing.T) {
	var incoming wire.Incoming
	require.ErrorIs(t, incoming.StartLike([]byte("k")), wire.ErrMalformed, "there was none")
	start := func(req *gcnode.Request) error {
		b, err := wire.AppendRequest(nil, req)
		require.NoError(t, err)
		return incoming.Start(b)
	}
	one := &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k"}}
	require.NoError(t, start(one))
	require.NoError(t, incoming.StartLike(nil))
	require.NotNil(t, incoming.Complete())
	for name, req := range sampleRequests() {
		if len(req.Keys) == 1 && req.Removals == nil && req.Digests == nil && req.Value.Len() == 0 {
			continue
		}
		require.NoError(t, start(one))
		require.NoError(t, start(req))
		require.ErrorIs(t, incoming.StartLike([]byte("k")), wire.ErrMalformed, name)
		require.Nil(t, incoming.Complete(), name)
	}
}

func TestWhatIsLikeARefusedRequestIsRefused(t *testing.T) {
	var incoming wire.Incoming
	b, err := wire.AppendRequest(nil, &gcnode.Request{Op: 99, Group: "g", Keys: []string{"k"}})
	require.NoError(t, err)
	require.Equal(t, gcnode.KindUnsupported, gcnode.KindOf(incoming.Start(b)))
	require.Equal(t, gcnode.KindUnsupported, gcnode.KindOf(incoming.StartLike([]byte("l"))))
	require.Nil(t, incoming.Complete())
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
	var incoming wire.Incoming
	req := gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k"}}
	require.NoError(t, encoder.Set(&req))
	whole := encoder.AppendCall(nil, 1)
	long := req
	long.Keys = []string{strings.Repeat("k", gcnode.MaxKeyBytes+1)}
	require.Equal(t, gcnode.KindTooLarge, gcnode.KindOf(encoder.Set(&long)))
	require.NoError(t, encoder.Set(&req))
	require.Equal(t, whole, encoder.AppendCall(nil, 1))

	call, err := wire.DecodeCall(message(t, whole))
	require.NoError(t, err)
	require.NoError(t, incoming.Start(call.Request))
	require.Equal(t, gcnode.KindTooLarge, gcnode.KindOf(incoming.StartLike([]byte(long.Keys[0]))))
	require.Nil(t, incoming.Complete())
	require.NoError(t, incoming.StartLike([]byte("k")))
}

func TestRequestsThatAreAlikeAllocateNothing(t *testing.T) {
	var encoder wire.RequestEncoder
	var incoming wire.Incoming
	req := gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k"}, Timeout: time.Second}
	whole, err := wire.AppendRequest(nil, &req)
	require.NoError(t, err)
	require.NoError(t, incoming.Start(whole))
	require.NoError(t, encoder.Set(&req))
	b := make([]byte, 0, 1<<10)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		require.NoError(t, encoder.Set(&req))
		m, _, _ := wire.WholeMessage(encoder.AppendCall(b, 1))
		call, err := wire.DecodeCall(m)
		require.NoError(t, err)
		require.NoError(t, incoming.StartLike(call.Key))
		require.NotNil(t, incoming.Complete())
	}))
}

// A request with many removals is rare, and there is an encoder for each stream.
func TestAnEncoderKeepsLittleMemory(t *testing.T) {
	large := gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k"}}
	for range wire.MaxRemovals / 2 {
		large.Removals = append(large.Removals, gcnode.Removal{Group: strings.Repeat("g", gcnode.MaxIDBytes)})
	}
	small := gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k"}}
	encoders := make([]wire.RequestEncoder, 100)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range encoders {
		require.NoError(t, encoders[i].Set(&large))
		require.NoError(t, encoders[i].Set(&small))
	}
	size := len(encoders[0].AppendCall(nil, 1))
	require.Less(t, size, 100)
	require.Less(t, heap(), before+uint64(len(encoders)*(64<<10)/2))
	runtime.KeepAlive(encoders)
}
