// Package tracing carries traces of OpenTelemetry from member to member: what a
// member asks of another has a span on both sides, and the getter is called in
// that of the owner.
//
//	transport := tracing.Transport(client, tracing.Options{})
//	node, err := gcnode.NewNode(gcnode.Config{Transport: transport, …})
//	handler, err := httptransport.NewHandler(tracing.Handler(node, tracing.Options{}), …)
//
// What belongs to no trace begins none: neither gets without a span in their
// context, nor what members tell each other of their own accord. Of the callers
// that wait for one load, the load belongs to the trace of the first.
package tracing

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	gcnode "github.com/gcnode/gcnode/core"
)

// scope names this package to those who look at spans.
const scope = "github.com/gcnode/gcnode/tracing"

// The fields of a trace context, by which the propagator knows them.
const (
	fieldParent = "traceparent"
	fieldState  = "tracestate"
)

// Options are those of [Transport] and [Handler]. The zero value is ready for
// use.
type Options struct {
	// TracerProvider makes the spans; nil: the global one. One that records
	// nothing still carries the traces of others.
	TracerProvider trace.TracerProvider
}

func (o Options) tracer() trace.Tracer {
	if o.TracerProvider == nil {
		return otel.Tracer(scope)
	}
	return o.TracerProvider.Tracer(scope)
}

// Transport gives a span to each request of next that belongs to a trace, and
// sends the trace along. What is broadcast belongs to none: it is for several
// requests at once.
func Transport(next gcnode.Transport, opts Options) gcnode.Transport {
	beginner, _ := next.(gcnode.Beginner)
	t := transport{next: next, beginner: beginner, tracer: opts.tracer()}
	switch next := next.(type) {
	case gcnode.Archive:
		return &archive{broadcaster{t, next}, next}
	case gcnode.Broadcaster:
		return &broadcaster{t, next}
	default:
		return &t
	}
}

// broadcaster is a transport of one.
type broadcaster struct {
	transport

	next gcnode.Broadcaster
}

// Broadcast implements [gcnode.Broadcaster].
func (b *broadcaster) Broadcast(ctx context.Context, to []gcnode.Peer, req *gcnode.Request, take func(gcnode.Peer, gcnode.Reply)) error {
	return b.next.Broadcast(ctx, to, req, take)
}

// archive is a transport of one.
type archive struct {
	broadcaster

	next gcnode.Archive
}

// Replay implements [gcnode.Archive].
func (a *archive) Replay(ctx context.Context, take func(gcnode.Removal)) error {
	return a.next.Replay(ctx, take)
}

type transport struct {
	next     gcnode.Transport
	beginner gcnode.Beginner // next, if it is one
	tracer   trace.Tracer
}

// RoundTrip implements [gcnode.Transport].
func (t *transport) RoundTrip(ctx context.Context, to gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return t.next.RoundTrip(ctx, to, req, w)
	}
	ctx, span := start(ctx, t.tracer, req, trace.SpanKindClient, attribute.String("gcnode.peer", to.ID))
	traced := *req
	traced.Trace = contextOf(ctx)
	err := t.next.RoundTrip(ctx, to, &traced, w)
	end(span, err)
	return err
}

// Begin implements [gcnode.Beginner] for requests that belong to no trace, if
// next is one.
func (t *transport) Begin(ctx context.Context, to gcnode.Peer, req *gcnode.Request, x gcnode.Exchange) (gcnode.Ticket, bool) {
	if t.beginner == nil || trace.SpanContextFromContext(ctx).IsValid() {
		return gcnode.Ticket{}, false
	}
	return t.beginner.Begin(ctx, to, req, x)
}

// Handler gives a span to each request to next that belongs to a trace.
func Handler(next gcnode.Handler, opts Options) gcnode.Handler {
	prompt, _ := next.(gcnode.PromptHandler)
	return &handler{next: next, prompt: prompt, tracer: opts.tracer()}
}

type handler struct {
	next   gcnode.Handler
	prompt gcnode.PromptHandler // next, if it is one
	tracer trace.Tracer
}

// AnswerNow implements [gcnode.PromptHandler] for requests that belong to no
// trace, if next is one.
func (h *handler) AnswerNow(req *gcnode.Request) (gcnode.Reply, bool) {
	if h.prompt == nil || req.Trace.Parent != "" {
		return gcnode.Reply{}, false
	}
	return h.prompt.AnswerNow(req)
}

// ServePeer implements [gcnode.Handler].
func (h *handler) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if req.Trace.Parent == "" {
		return h.next.ServePeer(ctx, req, w)
	}
	carrier := propagation.MapCarrier{fieldParent: req.Trace.Parent, fieldState: req.Trace.State}
	remote := propagation.TraceContext{}.Extract(ctx, carrier)
	if !trace.SpanContextFromContext(remote).IsValid() {
		return h.next.ServePeer(ctx, req, w)
	}
	ctx, span := start(remote, h.tracer, req, trace.SpanKindServer, attribute.String("gcnode.peer", req.From.ID))
	err := h.next.ServePeer(ctx, req, w)
	end(span, err)
	return err
}

// start begins the span of a request.
func start(ctx context.Context, tracer trace.Tracer, req *gcnode.Request, kind trace.SpanKind, peer attribute.KeyValue) (context.Context, trace.Span) {
	return tracer.Start(ctx, "gcnode "+req.Op.String(), trace.WithSpanKind(kind), trace.WithAttributes(
		peer, attribute.String("gcnode.group", req.Group), attribute.Int("gcnode.keys", len(req.Keys)),
	))
}

// end ends the span of a request.
func end(span trace.Span, err error) {
	if err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, gcnode.KindOf(err).String())
	}
	span.End()
}

// contextOf is the trace context of ctx. A state that is too long to travel is
// left out, as the specification allows.
func contextOf(ctx context.Context) gcnode.Trace {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	t := gcnode.Trace{Parent: carrier[fieldParent], State: carrier[fieldState]}
	if len(t.State) > gcnode.MaxTraceStateBytes {
		t.State = ""
	}
	return t
}
