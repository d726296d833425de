package tracing_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
	"github.com/gcnode/gcnode/tracing"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// loads takes note of the traces in which a getter is called.
type loads struct {
	mu     sync.Mutex
	traces []trace.SpanContext
}

// GetItem implements [gcnode.Getter].
func (l *loads) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.traces = append(l.traces, trace.SpanContextFromContext(ctx))
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key)}, nil
}

// cluster is two members over HTTP, of which the first asks the second.
type cluster struct {
	spans  *tracetest.SpanRecorder
	tracer trace.Tracer
	groups []*gcnode.Group
	loads  []*loads
}

// newCluster starts the members. provider is nil for one whose spans are
// recorded.
func newCluster(t *testing.T, provider trace.TracerProvider) *cluster {
	t.Helper()
	c := &cluster{spans: tracetest.NewSpanRecorder()}
	recording := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(c.spans))
	c.tracer = recording.Tracer("test")
	if provider == nil {
		provider = recording
	}
	opts := tracing.Options{TracerProvider: provider}
	var nodes []*gcnode.Node
	var peers []gcnode.Peer
	for _, id := range []string{"a", "b"} {
		server := httptest.NewUnstartedServer(nil)
		client, err := httptransport.NewClient(httptransport.ClientOptions{})
		require.NoError(t, err)
		node, err := gcnode.NewNode(gcnode.Config{
			Self:      gcnode.Peer{ID: id, Addr: "http://" + server.Listener.Addr().String() + "/"},
			Transport: tracing.Transport(client, opts),
		})
		require.NoError(t, err)
		server.Config.Handler, err = httptransport.NewHandler(tracing.Handler(node, opts), httptransport.HandlerOptions{})
		require.NoError(t, err)
		server.Start()
		l := &loads{}
		group, err := node.Group("g", l, gcnode.GroupOptions{MaxBytes: gcnode.MinBytes})
		require.NoError(t, err)
		c.loads, c.groups = append(c.loads, l), append(c.groups, group)
		nodes, peers = append(nodes, node), append(peers, node.Self())
		t.Cleanup(func() {
			assert.NoError(t, node.Close(context.WithoutCancel(t.Context())))
			client.Close()
			server.Close()
		})
	}
	for _, node := range nodes {
		require.NoError(t, node.SetPeers(peers))
	}
	for _, node := range nodes {
		require.NoError(t, node.Joined(t.Context()))
	}
	return c
}

// keyOfB is a key that the second member owns.
func (c *cluster) keyOfB() string {
	key := "k"
	for c.groups[0].Owner(key).ID != "b" {
		key += "k"
	}
	return key
}

func TestAFetchIsPartOfTheTraceOfItsCaller(t *testing.T) {
	c := newCluster(t, nil)
	ctx, caller := c.tracer.Start(t.Context(), "caller")
	key := c.keyOfB()
	_, err := c.groups[0].Get(ctx, key)
	require.NoError(t, err)
	caller.End()

	spans := map[trace.SpanKind]sdktrace.ReadOnlySpan{}
	for _, span := range c.spans.Ended() {
		if span.Name() == "gcnode fetch" { // the owner may peek at the first member before it loads
			require.Nil(t, spans[span.SpanKind()])
			spans[span.SpanKind()] = span
		}
	}
	require.Len(t, spans, 2, "who asks and who is asked")
	asks, asked := spans[trace.SpanKindClient], spans[trace.SpanKindServer]
	assert.Equal(t, caller.SpanContext().SpanID(), asks.Parent().SpanID())
	assert.Equal(t, asks.SpanContext().SpanID(), asked.Parent().SpanID())
	assert.True(t, asked.Parent().IsRemote())
	require.Len(t, c.loads[1].traces, 1)
	assert.Equal(t, asked.SpanContext().SpanID(), c.loads[1].traces[0].SpanID(), "the getter is called in the owner's span")
}

func TestWhatBelongsToNoTraceBeginsNone(t *testing.T) {
	c := newCluster(t, nil)
	key := c.keyOfB()
	_, err := c.groups[0].Get(t.Context(), key)
	require.NoError(t, err)
	require.NoError(t, c.groups[0].Remove(t.Context(), key))
	assert.Empty(t, c.spans.Started())
}

func TestAMemberThatRecordsNothingCarriesTheTrace(t *testing.T) {
	c := newCluster(t, noop.NewTracerProvider())
	ctx, caller := c.tracer.Start(t.Context(), "caller")
	_, err := c.groups[0].Get(ctx, c.keyOfB())
	require.NoError(t, err)
	caller.End()
	require.Len(t, c.loads[1].traces, 1)
	assert.Equal(t, caller.SpanContext().SpanID(), c.loads[1].traces[0].SpanID())
	assert.Len(t, c.spans.Ended(), 1)
}

// roundTrip is a transport that keeps the request and fails.
type roundTrip struct{ got *gcnode.Request }

func (r *roundTrip) RoundTrip(_ context.Context, _ gcnode.Peer, req *gcnode.Request, _ gcnode.ReplyWriter) error {
	r.got = req
	return &gcnode.Error{Kind: gcnode.KindUnreachable, Err: errors.New("nobody there")}
}

func TestAStateThatIsTooLongIsLeftOut(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	next := &roundTrip{}
	transport := tracing.Transport(next, tracing.Options{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))})
	const members = "a=%s,b=%s,c=%s"
	for _, last := range []int{1, gcnode.MaxTraceStateBytes - 408, gcnode.MaxTraceStateBytes - 407} {
		text := fmt.Sprintf(members, strings.Repeat("x", 200), strings.Repeat("y", 200), strings.Repeat("z", last))
		state, err := trace.ParseTraceState(text)
		require.NoError(t, err)
		parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, TraceState: state})
		req := &gcnode.Request{Op: gcnode.OpFetch}
		err = transport.RoundTrip(trace.ContextWithSpanContext(t.Context(), parent), gcnode.Peer{ID: "b"}, req, nil)
		require.ErrorIs(t, err, gcnode.ErrUnreachable)
		want := text
		if len(text) > gcnode.MaxTraceStateBytes {
			want = ""
		}
		assert.Equal(t, want, next.got.Trace.State)
		assert.Len(t, next.got.Trace.Parent, 55)
		assert.Zero(t, req.Trace, "the request is the caller's")
	}
	require.Len(t, spans.Ended(), 3)
	for _, span := range spans.Ended() {
		assert.Equal(t, "unreachable", span.Status().Description)
	}
}

func TestGarbageIsNoTrace(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	handler := tracing.Handler(handlerFunc(func(ctx context.Context, _ *gcnode.Request, _ gcnode.ReplyWriter) error {
		assert.False(t, trace.SpanContextFromContext(ctx).IsValid())
		return nil
	}), tracing.Options{TracerProvider: provider})
	for _, parent := range []string{"", "garbage", "00-00000000000000000000000000000000-0000000000000000-00", strings.Repeat("0", 55)} {
		req := &gcnode.Request{Op: gcnode.OpFetch, Trace: gcnode.Trace{Parent: parent, State: "a=b"}}
		require.NoError(t, handler.ServePeer(t.Context(), req, nil))
	}
	assert.Empty(t, spans.Started())
}

type handlerFunc func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error

func (f handlerFunc) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	return f(ctx, req, w)
}

// kept is a transport that can do everything.
type kept struct{ gcnode.Archive }

func (kept) Broadcast(context.Context, []gcnode.Peer, *gcnode.Request, func(gcnode.Peer, gcnode.Reply)) error {
	return gcnode.ErrDraining
}

func (kept) Replay(context.Context, func(gcnode.Removal)) error { return gcnode.ErrDenied }

func TestAWrappedTransportCanDoWhatItsTransportCan(t *testing.T) {
	net := transporttest.NewNetwork()
	_, can := tracing.Transport(net.Transport("a"), tracing.Options{}).(gcnode.Broadcaster)
	require.False(t, can)
	b, can := tracing.Transport(net.Broadcaster("a"), tracing.Options{}).(gcnode.Broadcaster)
	require.True(t, can)
	require.NoError(t, b.Broadcast(t.Context(), nil, &gcnode.Request{Op: gcnode.OpFinish}, nil))
	require.Equal(t, 1, net.Broadcasts(gcnode.OpFinish))
	_, can = b.(gcnode.Archive)
	require.False(t, can)
	a, can := tracing.Transport(kept{}, tracing.Options{}).(gcnode.Archive)
	require.True(t, can)
	require.ErrorIs(t, a.Broadcast(t.Context(), nil, &gcnode.Request{}, nil), gcnode.ErrDraining)
	require.ErrorIs(t, a.Replay(t.Context(), nil), gcnode.ErrDenied)
}
