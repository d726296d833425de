// Package getterhttp lets an ordinary *http.Client in a getter send its
// requests through the node:
//
//	client := &http.Client{Transport: getterhttp.Transport{}}
//
// It is a package of its own because net/http makes a module some seven
// megabytes larger. A getter that can do with getter.Fetch should.
package getterhttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// Transport is an http.RoundTripper. Requests must carry the context that the
// getter was called with, or one derived from it. Bodies are sent and received
// as a whole. The node follows redirects itself, so the client sees only the
// last answer. An error is, or wraps, a *getter.FetchError where getter.Fetch
// returns one.
type Transport struct {
	// MaxBodyBytes is the largest body that is accepted in an answer. 0 leaves
	// it to the node.
	MaxBodyBytes uint32
}

var _ http.RoundTripper = Transport{}

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := readBody(request.Body)
	if err != nil {
		return nil, fmt.Errorf("read body of request: %w", err)
	}
	answer, err := getter.Fetch(request.Context(), getter.FetchRequest{
		Method:       request.Method,
		URL:          request.URL.String(),
		Header:       toHeader(request),
		Body:         body,
		MaxBodyBytes: t.MaxBodyBytes,
	})
	if err != nil {
		return nil, err
	}
	header := make(http.Header, len(answer.Header))
	for _, f := range answer.Header {
		header.Add(f.Name, f.Value)
	}
	return &http.Response{
		Status:        fmt.Sprintf("%03d %s", answer.StatusCode, http.StatusText(answer.StatusCode)),
		StatusCode:    answer.StatusCode,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(answer.Body)),
		ContentLength: int64(len(answer.Body)),
		Request:       request,
	}, nil
}

func readBody(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	b, err := io.ReadAll(body)
	return b, errors.Join(err, body.Close())
}

func toHeader(request *http.Request) getter.Header {
	var header getter.Header
	if request.Host != "" && request.Host != request.URL.Host {
		header = append(header, getter.Field{Name: "Host", Value: request.Host})
	}
	for _, name := range slices.Sorted(maps.Keys(request.Header)) {
		for _, value := range request.Header[name] {
			header = append(header, getter.Field{Name: name, Value: value})
		}
	}
	return header
}
