package getter

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gcnode/gcnode/plugins/sdk/go/internal/fetchmsg"
)

// A Field is one line of an HTTP header.
type Field struct {
	Name  string
	Value string
}

// A Header is a list of header fields in the order in which they were sent.
type Header []Field

// Get returns the value of the first field of that name, in any case of
// letters, or "".
func (h Header) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// A FetchRequest is an HTTP request for the node to make.
type FetchRequest struct {
	// Method is GET if empty.
	Method string
	// URL is absolute. The node only follows URLs, and redirects to URLs, that
	// its operator allowed for this getter.
	URL    string
	Header Header
	Body   []byte
	// Timeout limits this exchange. 0 leaves it to the node. The deadline of
	// the whole request holds in any case.
	Timeout time.Duration
	// MaxBodyBytes is the largest body that is accepted in the answer. 0 leaves
	// it to the node.
	MaxBodyBytes uint32
}

// A FetchResponse is the answer to a FetchRequest, whatever its status.
type FetchResponse struct {
	URL        string // as requested
	StatusCode int
	Header     Header
	Body       []byte
}

// Err returns nil if the status is below 400, and otherwise a *StatusError.
func (r FetchResponse) Err() error {
	if r.StatusCode < 400 {
		return nil
	}
	return &StatusError{URL: r.URL, Code: r.StatusCode}
}

// A StatusError is an HTTP status that is a failure. It is ErrNotFound (404,
// 410), ErrDenied (401, 403), ErrOverloaded (429, 503), ErrTransient (408, 425
// and the rest of 5xx) or ErrPermanent.
type StatusError struct {
	URL  string
	Code int
}

func (e *StatusError) Error() string {
	return "fetch " + e.URL + ": status " + strconv.Itoa(e.Code)
}

// Unwrap returns the kind of the error.
func (e *StatusError) Unwrap() error {
	switch {
	case e.Code == 404, e.Code == 410:
		return ErrNotFound
	case e.Code == 401, e.Code == 403:
		return ErrDenied
	case e.Code == 429, e.Code == 503:
		return ErrOverloaded
	case e.Code == 408, e.Code == 425, e.Code >= 500:
		return ErrTransient
	default:
		return ErrPermanent
	}
}

// A Failure says why there was no answer to a fetch. The numbers are those of
// the guest ABI.
type Failure uint16

// The failures of the guest ABI.
const (
	FailureMalformed   Failure = 1 // the URL, the method or a header field
	FailureDenied      Failure = 2 // not on the node's allow-list, or a redirect to such a URL
	FailureUnreachable Failure = 3 // no connection, or it broke
	FailureTimeout     Failure = 4
	FailureTooLarge    Failure = 5 // the body of the answer
	FailureTooMany     Failure = 6 // the request has used up its fetches or its bytes
)

// A FetchError is a fetch that was not answered. It is ErrTransient if the
// origin was unreachable or too slow, and ErrPermanent otherwise: the fetch
// itself, or what the node allows, has to change.
type FetchError struct {
	URL     string
	Failure Failure
	Message string
}

func (e *FetchError) Error() string { return "fetch " + e.URL + ": " + e.Message }

// Unwrap returns the kind of the error.
func (e *FetchError) Unwrap() error {
	switch e.Failure {
	case FailureUnreachable, FailureTimeout:
		return ErrTransient
	default:
		return ErrPermanent
	}
}

// Fetch makes the node perform one HTTP exchange, redirects included, and
// returns when it is over. Other goroutines run meanwhile, and the instance
// answers other keys. Context ctx must be the one that the Func was called
// with, or derived from it; its deadline, if one was added, limits the exchange
// like Timeout does. The error is a *FetchError if the node could not get an
// answer; a status such as 404 is not an error (see FetchResponse.Err).
//
// A module in which Fetch is reachable is refused by nodes that were not told
// to let it fetch.
func Fetch(ctx context.Context, request FetchRequest) (FetchResponse, error) {
	if err := ctx.Err(); err != nil {
		return FetchResponse{}, fmt.Errorf("fetch %s: %w", request.URL, err)
	}
	method := request.Method
	if method == "" {
		method = "GET"
	}
	timeout := request.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if timeout <= 0 || left < timeout {
			timeout = max(left, time.Millisecond)
		}
	}
	message, err := fetchmsg.Request{
		Method:        method,
		URL:           request.URL,
		Header:        toWire(request.Header),
		Body:          request.Body,
		TimeoutMillis: timeoutMillis(timeout),
		MaxBodyBytes:  request.MaxBodyBytes,
	}.Encode()
	if err != nil {
		return FetchResponse{}, &FetchError{URL: request.URL, Failure: FailureMalformed, Message: err.Error()}
	}
	reply, err := exchange(ctx, message)
	if failed, ok := errors.AsType[*FetchError](err); ok {
		failed.URL = request.URL
		return FetchResponse{}, failed
	}
	if err != nil {
		return FetchResponse{}, fmt.Errorf("fetch %s: %w", request.URL, err)
	}
	answer, err := fetchmsg.DecodeAnswer(reply)
	if err != nil {
		return FetchResponse{}, fmt.Errorf("fetch %s: %w: %w", request.URL, ErrPermanent, err)
	}
	if answer.Failure != 0 {
		return FetchResponse{}, &FetchError{
			URL:     request.URL,
			Failure: Failure(answer.Failure),
			Message: string(answer.Body),
		}
	}
	return FetchResponse{
		URL:        request.URL,
		StatusCode: int(answer.Status),
		Header:     fromWire(answer.Header),
		Body:       answer.Body,
	}, nil
}

// timeoutMillis rounds up, so that a timeout never turns into none.
func timeoutMillis(d time.Duration) uint32 {
	if d <= 0 {
		return 0
	}
	millis := (d-1)/time.Millisecond + 1
	return uint32(min(millis, math.MaxUint32))
}

func toWire(header Header) []fetchmsg.Field {
	fields := make([]fetchmsg.Field, len(header))
	for i, f := range header {
		fields[i] = fetchmsg.Field(f)
	}
	return fields
}

func fromWire(fields []fetchmsg.Field) Header {
	header := make(Header, len(fields))
	for i, f := range fields {
		header[i] = Field(f)
	}
	return header
}
