package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// Kinds of errors that only this interface has. The others are those of
// [gcnode.Kind].
const (
	kindBadRequest       = "bad_request"
	kindNoSuchEndpoint   = "no_such_endpoint"
	kindMethodNotAllowed = "method_not_allowed"
	kindNotConfirmed     = "not_confirmed"
	kindStarting         = "starting"
	kindUnauthorized     = "unauthorized"
	kindTooManyRequests  = "too_many_requests"
)

// ErrorBody is the JSON of every answer that is an error.
type ErrorBody struct {
	Error ErrorDetail `json:"error"`
}

// ErrorDetail says what went wrong.
type ErrorDetail struct {
	// Kind is for programs.
	Kind string `json:"kind"`
	// Message is for people.
	Message string `json:"message"`
	// RetryAfter is how many seconds to wait before another attempt; 0: nothing
	// is known.
	RetryAfter int64 `json:"retry_after,omitempty"`
	// Peers are the nodes that did not confirm a removal, a set or a clear.
	Peers []PeerDetail `json:"peers,omitempty"`
}

// PeerDetail says why one node did not confirm a removal, a set or a clear.
type PeerDetail struct {
	ID      string `json:"id"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// failure is an error on its way to an application.
type failure struct {
	status     int
	kind       string
	message    string
	peers      []PeerDetail
	retryAfter time.Duration // 0: none
}

// detail is what the JSON says of it.
func (f failure) detail() ErrorDetail {
	seconds := (f.retryAfter + time.Second - 1) / time.Second
	return ErrorDetail{Kind: f.kind, Message: f.message, RetryAfter: int64(seconds), Peers: f.peers}
}

// failureOf translates an error of the node, or one of [refused].
func failureOf(err error) failure {
	if r, ok := errors.AsType[*refused](err); ok {
		return r.failure
	}
	if pe, ok := errors.AsType[*gcnode.PeerErrors](err); ok {
		f := failure{status: http.StatusBadGateway, kind: kindNotConfirmed, message: err.Error()}
		for _, p := range pe.Peers {
			f.peers = append(f.peers, PeerDetail{ID: p.Peer, Kind: kindName(p.Kind), Message: p.Reason()})
		}
		return f
	}
	kind := gcnode.KindOf(err)
	f := failure{status: statusOf(kind), kind: kindName(kind), message: err.Error()}
	if e, ok := errors.AsType[*gcnode.Error](err); ok {
		f.retryAfter = e.RetryAfter
	}
	if f.status == http.StatusServiceUnavailable {
		f.retryAfter = max(f.retryAfter, time.Second)
	}
	return f
}

// kindName is the name of a kind in JSON.
func kindName(kind gcnode.Kind) string {
	switch kind {
	case gcnode.KindNotFound:
		return "not_found"
	case gcnode.KindTransient:
		return "transient"
	case gcnode.KindPermanent:
		return "permanent"
	case gcnode.KindDenied:
		return "denied"
	case gcnode.KindOverloaded:
		return "overloaded"
	case gcnode.KindTooLarge:
		return "too_large"
	case gcnode.KindNoSuchGroup:
		return "no_such_group"
	case gcnode.KindUnsupported:
		return "unsupported"
	case gcnode.KindTimeout:
		return "timeout"
	case gcnode.KindUnreachable:
		return "unreachable"
	case gcnode.KindDraining:
		return "draining"
	default:
		return "internal"
	}
}

// statusOf is the HTTP status of a kind. A key that is too large never gets
// here, so what is too large is the value, which is not the application's
// doing.
func statusOf(kind gcnode.Kind) int {
	switch kind {
	case gcnode.KindNotFound, gcnode.KindNoSuchGroup:
		return http.StatusNotFound
	case gcnode.KindTransient, gcnode.KindUnreachable, gcnode.KindTooLarge:
		return http.StatusBadGateway
	case gcnode.KindDenied:
		return http.StatusForbidden
	case gcnode.KindOverloaded, gcnode.KindDraining:
		return http.StatusServiceUnavailable
	case gcnode.KindUnsupported:
		return http.StatusNotImplemented
	case gcnode.KindTimeout:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

// writeError answers with an error. Errors are not to be kept, unless the
// header says so already.
func writeError(w http.ResponseWriter, f failure) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // people read it
	detail := f.detail()
	if err := encoder.Encode(ErrorBody{Error: detail}); err != nil {
		body.Reset()
		body.WriteString(`{"error":{"kind":"internal","message":"the error cannot be shown"}}` + "\n")
	}
	header := w.Header()
	if header.Get("Cache-Control") == "" {
		header.Set("Cache-Control", "no-store")
	}
	if detail.RetryAfter > 0 {
		header.Set("Retry-After", strconv.FormatInt(detail.RetryAfter, 10))
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(f.status)
	_, _ = w.Write(body.Bytes())
}

// Starting answers every request until the node serves.
func Starting() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, failure{
			status: http.StatusServiceUnavailable, kind: kindStarting,
			message: "the node is starting", retryAfter: time.Second,
		})
	})
}
