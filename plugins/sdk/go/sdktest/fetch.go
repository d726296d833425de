//go:build !wasip1

package sdktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/internal/fetchmsg"
)

// defaultMaxBodyBytes is the limit on a body if the getter names none.
const defaultMaxBodyBytes = 64 << 20

// Fetch performs one exchange and tells every failure in the answer.
func (h *host) Fetch(ctx context.Context, message []byte) ([]byte, error) {
	request, err := fetchmsg.DecodeRequest(message)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.fetched = append(h.fetched, request.URL)
	h.mu.Unlock()
	answer, err := h.exchange(ctx, request)
	if err != nil {
		answer = fetchmsg.Answer{Failure: uint16(failureOf(err)), Body: []byte(err.Error())}
	}
	return answer.Encode()
}

var (
	errMalformed = errors.New("malformed request")
	errDenied    = errors.New("denied: sdktest.Options has no Transport")
	errTooLarge  = errors.New("body too large")
)

func failureOf(err error) getter.Failure {
	switch {
	case errors.Is(err, errMalformed):
		return getter.FailureMalformed
	case errors.Is(err, errDenied):
		return getter.FailureDenied
	case errors.Is(err, errTooLarge):
		return getter.FailureTooLarge
	case errors.Is(err, context.DeadlineExceeded):
		return getter.FailureTimeout
	default:
		return getter.FailureUnreachable
	}
}

func (h *host) exchange(ctx context.Context, request fetchmsg.Request) (fetchmsg.Answer, error) {
	if h.denied {
		return fetchmsg.Answer{}, errDenied
	}
	if request.TimeoutMillis > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(request.TimeoutMillis)*time.Millisecond)
		defer cancel()
	}
	outgoing, err := http.NewRequestWithContext(ctx, request.Method, request.URL, bytes.NewReader(request.Body))
	if err != nil {
		return fetchmsg.Answer{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if !outgoing.URL.IsAbs() || outgoing.URL.Host == "" {
		return fetchmsg.Answer{}, fmt.Errorf("%w: %q is not an absolute URL", errMalformed, request.URL)
	}
	for _, f := range request.Header {
		if strings.EqualFold(f.Name, "Host") {
			outgoing.Host = f.Value
			continue
		}
		outgoing.Header.Add(f.Name, f.Value)
	}
	response, err := h.client.Do(outgoing)
	if err != nil {
		return fetchmsg.Answer{}, err
	}
	defer response.Body.Close()
	limit := int64(defaultMaxBodyBytes)
	if request.MaxBodyBytes > 0 {
		limit = int64(request.MaxBodyBytes)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return fetchmsg.Answer{}, fmt.Errorf("read body: %w", err)
	}
	if int64(len(body)) > limit {
		return fetchmsg.Answer{}, fmt.Errorf("%w: over %d bytes", errTooLarge, limit)
	}
	answer := fetchmsg.Answer{Status: uint16(response.StatusCode), Body: body}
	for _, name := range slices.Sorted(maps.Keys(response.Header)) {
		for _, value := range response.Header[name] {
			answer.Header = append(answer.Header, fetchmsg.Field{Name: name, Value: value})
		}
	}
	return answer, nil
}
