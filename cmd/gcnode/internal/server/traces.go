package server

import (
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gcnode/gcnode/tracing"
)

// carried is for traces that go along: that of an application's request with
// what is asked of other members, and with what getters fetch. A node has no
// spans of its own.
func carried() tracing.Options {
	return tracing.Options{TracerProvider: noop.NewTracerProvider()}
}

// traced puts the trace that a request belongs to into its context.
func traced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") != "" {
			r = r.WithContext(propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header)))
		}
		next.ServeHTTP(w, r)
	})
}

// tracedFetches adds the trace that a load belongs to, unless the getter has set
// one itself.
type tracedFetches struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t tracedFetches) RoundTrip(r *http.Request) (*http.Response, error) {
	if trace.SpanContextFromContext(r.Context()).IsValid() && r.Header.Get("Traceparent") == "" {
		r = r.Clone(r.Context())
		propagation.TraceContext{}.Inject(r.Context(), propagation.HeaderCarrier(r.Header))
	}
	return t.next.RoundTrip(r)
}
