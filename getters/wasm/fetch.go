package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	maxFetchURLBytes  = 64 << 10
	maxFetchHeadBytes = 256 << 10
	maxRedirects      = 10
	maxMessageBytes   = 1 << 10
)

var (
	errFetchDenied  = errors.New("denied")
	errFetchTooMany = errors.New("the request has used up its fetches or its bytes")
)

// fetcher performs the HTTP exchanges of a plugin's guests. It is safe for
// concurrent use.
type fetcher struct {
	transport http.RoundTripper
	idle      func() // closes idle connections of a transport of our own
	allow     allowList
	parallel  chan struct{} // one for each exchange that no guest waits for
	stats     *counters
	fetched   func(FetchEvent) // may be nil
}

// newFetcher returns an error that names the entries of the allow-list that
// cannot be used.
func newFetcher(opts *Options, stats *counters) (*fetcher, error) {
	allow, err := parseAllowList(opts.AllowFetch)
	if err != nil {
		return nil, err
	}
	f := &fetcher{
		transport: opts.Transport,
		idle:      func() {},
		allow:     allow,
		parallel:  make(chan struct{}, opts.ParallelFetches),
		stats:     stats,
		fetched:   opts.Hooks.Fetched,
	}
	if f.transport == nil {
		t, err := newTransport(opts)
		if err != nil {
			return nil, err
		}
		f.transport, f.idle = t, t.CloseIdleConnections
	}
	if len(opts.Credentials) > 0 {
		credentials, err := newCredentials(f.transport, opts.Credentials, allow)
		if err != nil {
			return nil, err
		}
		f.transport = credentials
	}
	if opts.WrapTransport != nil {
		f.transport = opts.WrapTransport(f.transport)
	}
	return f, nil
}

// do performs one exchange; req is nil if it was too large for the budget.
// Whatever goes wrong is told in the answer. ctx ends at the deadline of the whole
// request.
func (f *fetcher) do(ctx context.Context, req *fetchRequest, budget *fetchBudget) *fetchAnswer {
	if err := budget.spendFetch(); err != nil {
		budget.drop(req)
		return f.counted(failedFetch(fetchTooMany, err))
	}
	return f.timed(ctx, req, budget)
}

// doInTurn performs one exchange that the budget was asked for already, as
// soon as less than [Options.ParallelFetches] of the kind are under way.
func (f *fetcher) doInTurn(ctx context.Context, req *fetchRequest, budget *fetchBudget) *fetchAnswer {
	select {
	case f.parallel <- struct{}{}:
		defer func() { <-f.parallel }()
		return f.timed(ctx, req, budget)
	case <-ctx.Done():
		return f.counted(failedFetch(fetchTimeout, ctx.Err()))
	}
}

// timed performs an exchange, and tells how long it took.
func (f *fetcher) timed(ctx context.Context, req *fetchRequest, budget *fetchBudget) *fetchAnswer {
	begun := time.Now()
	answer := f.counted(f.exchange(ctx, req, budget))
	took := time.Since(begun)
	f.stats.fetchTime.Add(int64(took))
	if f.fetched != nil && req != nil {
		f.fetched(FetchEvent{Method: req.method, URL: req.url, Status: int(answer.status), Failure: answer.failure.String(), Took: took})
	}
	return answer
}

// counted is an answer that is part of the figures.
func (f *fetcher) counted(answer *fetchAnswer) *fetchAnswer {
	f.stats.fetches.Add(1)
	switch answer.failure {
	case 0:
	case fetchDenied:
		f.stats.fetchesDenied.Add(1)
	default:
		f.stats.fetchesFailed.Add(1)
	}
	return answer
}

func (f *fetcher) exchange(ctx context.Context, req *fetchRequest, budget *fetchBudget) *fetchAnswer {
	if req == nil {
		return failedFetch(fetchTooMany, errFetchTooMany)
	}
	unsent := req.held
	defer func() { budget.giveBack(unsent) }()
	if req.timeoutMillis > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(req.timeoutMillis)*time.Millisecond)
		defer cancel()
	}
	out, err := req.build(ctx)
	if err != nil {
		return failedFetch(fetchMalformed, err)
	}
	if err := f.allow.check(out.URL); err != nil {
		return failedFetch(fetchDenied, err)
	}
	unsent -= req.size()
	client := http.Client{Transport: f.transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		return f.checkRedirect(next, len(via), budget)
	}}
	resp, err := client.Do(out)
	if err != nil {
		return failedFetch(classify(err), withoutURL(err))
	}
	defer func() { _ = resp.Body.Close() }() // nothing can be done about it, and the bytes are here
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// Its body is the connection, that no context ends.
		return failedFetch(fetchUnreachable, fmt.Errorf("the answer is %s, which nobody has asked for", resp.Status))
	}
	return f.receive(resp, req, budget)
}

// checkRedirect decides whether the target of a redirect is fetched.
func (f *fetcher) checkRedirect(next *http.Request, followed int, budget *fetchBudget) error {
	if followed > maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", errFetchTooMany, maxRedirects)
	}
	if err := f.allow.check(next.URL); err != nil {
		return fmt.Errorf("%w: redirect: %w", errFetchDenied, err)
	}
	if err := budget.spendFetch(); err != nil {
		return err
	}
	return budget.spendBytes(max(next.ContentLength, 0))
}

// receive reads an answer within the limits.
func (f *fetcher) receive(resp *http.Response, req *fetchRequest, budget *fetchBudget) *fetchAnswer {
	if resp.StatusCode < 100 || resp.StatusCode > 999 {
		return failedFetch(fetchUnreachable, fmt.Errorf("the answer has the impossible status %d", resp.StatusCode))
	}
	header, size := answerHeader(resp.Header)
	if size > maxFetchHeadBytes {
		return failedFetch(fetchTooLarge, fmt.Errorf("the header of the answer has %d bytes, the limit is %d", size, maxFetchHeadBytes))
	}
	own := int64(req.maxBodyBytes)
	if own == 0 {
		own = math.MaxInt64
	}
	if err := budget.spendBytes(size); err != nil {
		return failedFetch(fetchTooMany, err)
	}
	body, err := io.ReadAll(io.LimitReader(budget.reader(resp.Body), own+min(1, math.MaxInt64-own)))
	switch {
	case errors.Is(err, errFetchTooMany) && budget.shared():
		return failedFetch(fetchTooMany, errFetchTooMany)
	case errors.Is(err, errFetchTooMany):
		return failedFetch(fetchTooLarge, fmt.Errorf("the body of the answer is larger than %d bytes", len(body)))
	case err != nil:
		return failedFetch(classify(err), err)
	case int64(len(body)) > own:
		return failedFetch(fetchTooLarge, fmt.Errorf("the body of the answer is larger than %d bytes", own))
	default:
		return &fetchAnswer{status: uint16(resp.StatusCode), header: header, body: body}
	}
}

// classify is the failure that an error of the HTTP client means.
func classify(err error) fetchFailure {
	var timeout net.Error
	switch {
	case errors.Is(err, errFetchDenied):
		return fetchDenied
	case errors.Is(err, errFetchTooMany):
		return fetchTooMany
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fetchTimeout
	default:
		return fetchUnreachable
	}
}

// withoutURL is an error of the HTTP client without the method and the URL,
// which the guest knows.
func withoutURL(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		return outer.Err
	}
	return err
}

func failedFetch(failure fetchFailure, err error) *fetchAnswer {
	return &fetchAnswer{failure: failure, body: []byte(oneLine(err.Error(), maxMessageBytes))}
}

// build turns the guest's request into one that can be sent. The error says
// what is malformed.
func (r *fetchRequest) build(ctx context.Context) (*http.Request, error) {
	if !isToken(r.method) || r.method == http.MethodConnect || r.method == http.MethodTrace {
		return nil, fmt.Errorf("the method %q cannot be used", printable(r.method, maxNameShown))
	}
	if len(r.url) > maxFetchURLBytes {
		return nil, fmt.Errorf("the url has %d bytes, the limit is %d", len(r.url), maxFetchURLBytes)
	}
	u, err := url.Parse(r.url)
	if err != nil {
		return nil, errors.New("the url cannot be parsed")
	}
	if _, err := originOf(u); err != nil {
		return nil, fmt.Errorf("the url cannot be used: %w", err)
	}
	if u.User != nil {
		return nil, errors.New("the url has credentials in it: use a header")
	}
	out, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	size := 0
	for _, f := range r.header {
		if err := checkField(f); err != nil {
			return nil, err
		}
		size += len(f.name) + len(f.value)
		out.Header.Add(f.name, f.value)
	}
	if size > maxFetchHeadBytes {
		return nil, fmt.Errorf("the header has %d bytes, the limit is %d", size, maxFetchHeadBytes)
	}
	return out, nil
}

// checkField refuses fields that cannot be sent and those that belong to the
// connection and not to the request.
func checkField(f headerField) error {
	if !isToken(f.name) {
		return fmt.Errorf("the header field name %q cannot be used", printable(f.name, maxNameShown))
	}
	if ofConnection(f.name) {
		return fmt.Errorf("the header field %s is set by the host", f.name)
	}
	for i := range len(f.value) {
		if c := f.value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("the value of the header field %s has a control character", printable(f.name, maxNameShown))
		}
	}
	return nil
}

// ofConnection reports whether a field is the business of the two ends of a
// connection.
func ofConnection(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "host", "connection", "content-length", "expect", "http2-settings", "keep-alive",
		"te", "trailer", "transfer-encoding", "upgrade":
		return true
	default:
		return strings.HasPrefix(name, "proxy-")
	}
}

// isToken reports whether s is a token as HTTP defines it.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// answerHeader is the header that the guest sees, ordered by name, and its
// size in bytes.
func answerHeader(h http.Header) (fields []headerField, size int64) {
	names := make([]string, 0, len(h))
	for name := range h {
		if !ofConnection(name) && len(name) <= math.MaxUint16 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			fields = append(fields, headerField{name, value})
			size += int64(len(name) + len(value))
		}
	}
	return fields, size
}
