package httptransport_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

// FuzzBody looks that every body of a POST gets an answer: frames that can be
// read to their end if the status is 200, and otherwise a short text.
func FuzzBody(f *testing.F) {
	handler, err := httptransport.NewHandler(handlerFunc(echo), httptransport.HandlerOptions{})
	require.NoError(f, err)
	for _, req := range []*gcnode.Request{
		{Op: gcnode.OpFetch, Keys: []string{"a", "b"}}, {Op: gcnode.OpSet, Keys: []string{"k"}, Value: gcnode.StringValue("v")}, {Op: gcnode.OpSync},
	} {
		var body bytes.Buffer
		require.NoError(f, wire.NewWriter(&body).WriteRequest(req))
		f.Add(body.Bytes())
	}
	f.Add([]byte("\x02\x08\x63"))
	f.Add([]byte("\xff\xff\xff\x7f"))
	f.Add([]byte("\x09\x08\x04\x78\x05\x82\x01\x02ab\x07\x12\x05\x0a\x03cde")) // a value in pieces
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, w.Code)
			require.Less(t, w.Body.Len(), 1000)
			return
		}
		frames := wire.NewReader(w.Body)
		for err = nil; err == nil; {
			_, err = frames.ReadReply()
		}
		if !errors.Is(err, io.EOF) {
			require.ErrorIs(t, err, gcnode.ErrUnsupported)
		}
		require.NoError(t, frames.ReadEOF())
	})
}

// FuzzBundle does the same with bundles, which are answered by messages.
func FuzzBundle(f *testing.F) {
	handler, err := httptransport.NewHandler(newLibrary(), httptransport.HandlerOptions{})
	require.NoError(f, err)
	request, err := wire.AppendRequest(nil, fetchOf("k"))
	require.NoError(f, err)
	slow, err := wire.AppendRequest(nil, fetchOf("slow"))
	require.NoError(f, err)
	calls := wire.AppendCallRequest(wire.AppendCallRequest(nil, 1, request), 2, slow)
	f.Add(calls)
	f.Add(wire.AppendCallCancel(calls, 3))
	f.Add(wire.AppendCallRequest(nil, 1, []byte("\x08\x63")))
	f.Add([]byte("\x05hello"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set("Content-Type", bundleType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, w.Code)
			require.Less(t, w.Body.Len(), 1000)
			return
		}
		last := uint64(0)
		for _, r := range returns(t, w.Body.String()) {
			require.Greater(t, r.Exchange, last)
			last = r.Exchange
		}
	})
}

// FuzzBundleReturns looks that each fetch of a bundle comes to an end, whatever the
// answer is.
func FuzzBundleReturns(f *testing.F) {
	good, err := wire.AppendReply(nil, 1, &gcnode.Reply{Value: gcnode.StringValue("v")})
	require.NoError(f, err)
	f.Add(http.StatusOK, bundleType, append(good.Head, good.Data...))
	f.Add(http.StatusOK, bundleType, wire.AppendRefusal(wire.AppendApart(nil, 2), 0, &gcnode.Error{Kind: gcnode.KindOverloaded}))
	f.Add(http.StatusUnsupportedMediaType, "text/plain", []byte("no"))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		synctest.Test(t, func(t *testing.T) { fetchBundle(t, status, contentType, body) })
	})
}

// fetchBundle has two fetches go in a bundle while two others are under way, and
// answers it.
func fetchBundle(t *testing.T, status int, says string, body []byte) {
	t.Helper()
	answer := func(status int, contentType string, body []byte) *http.Response {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body)),
		}
	}
	var alone bytes.Buffer
	frames := wire.NewWriter(&alone)
	require.NoError(t, frames.WriteReply(gcnode.Reply{Value: gcnode.StringValue("alone")}))
	require.NoError(t, frames.WriteEnd(nil))
	bundled := make(chan struct{})
	transport := sender(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Content-Type") == bundleType {
			close(bundled)
			return answer(status, says, body), nil
		}
		<-bundled
		return answer(http.StatusOK, contentType, alone.Bytes()), nil
	})
	client, err := httptransport.NewClient(httptransport.ClientOptions{Plain: true, HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	defer client.Close()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			got, err := fetch(t.Context(), client, "http://peer/", "k")
			if err == nil {
				assert.Len(t, got, 1)
			} else {
				assert.Empty(t, got)
			}
		})
		if i < 2 {
			synctest.Wait() // it has a turn
		}
	}
	wg.Wait()
}

// hijackable is the response writer of a connection in memory.
type hijackable struct {
	*httptest.ResponseRecorder

	conn net.Conn
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// FuzzStream looks that a member lives through whatever is sent on a stream,
// and sends nothing but messages.
func FuzzStream(f *testing.F) {
	handler, err := httptransport.NewHandler(handlerFunc(echo), httptransport.HandlerOptions{})
	require.NoError(f, err)
	request, err := wire.AppendRequest(nil, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"a", "b"}})
	require.NoError(f, err)
	calls := wire.AppendCallRequest(nil, 1, request)
	calls = wire.AppendCallCredit(calls, 1, 1<<40)
	calls = wire.AppendCallRequest(wire.AppendCallCancel(calls, 1), 2, request)
	f.Add(calls)
	f.Add(wire.AppendCallRequest(nil, 1, []byte("\x08\x63")))
	f.Add([]byte("\x05hello"))
	f.Add([]byte("\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, theirs := net.Pipe()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "gcnode.peer.v1")
		served := make(chan struct{})
		go func() {
			defer close(served)
			handler.ServeHTTP(hijackable{httptest.NewRecorder(), theirs}, r)
		}()
		go func() {
			_, _ = ours.Write(data) // or the member has closed the connection
			_ = ours.Close()
		}()
		answers := bufio.NewReader(ours)
		if resp, err := http.ReadResponse(answers, nil); err == nil {
			require.NoError(t, resp.Body.Close())
			require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
			in := wire.NewMessageReader(answers, wire.MaxReturnBytes)
			for b, err := in.Next(); err == nil; b, err = in.Next() {
				_, err := wire.DecodeReturn(b)
				require.NoError(t, err)
			}
		}
		<-served
	})
}

// sender is a client's transport that answers by a function.
type sender func(*http.Request) (*http.Response, error)

func (s sender) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

// ask sends a request for two keys through send, and checks that what comes of
// it are answers to these.
func ask(t *testing.T, opts httptransport.ClientOptions, send sender) ([]gcnode.Reply, error) {
	t.Helper()
	opts.HTTPClient = &http.Client{Transport: send}
	client, err := httptransport.NewClient(opts)
	require.NoError(t, err)
	defer client.Close()
	got, err := fetch(t.Context(), client, "http://peer/", "a", "b")
	answered := map[int]bool{}
	for _, r := range got {
		require.False(t, r.Key < 0 || r.Key > 1 || answered[r.Key] && !r.Pending, "a reply to key %d", r.Key)
		answered[r.Key] = answered[r.Key] || !r.Pending // a sign of life is of all keys
	}
	return got, err
}

// FuzzAnswer looks that a client makes the same of any answer to a POST as the
// reader of frames.
func FuzzAnswer(f *testing.F) {
	var body bytes.Buffer
	w := wire.NewWriter(&body)
	require.NoError(f, w.WriteReply(gcnode.Reply{Key: 1, Value: gcnode.StringValue("v")}))
	require.NoError(f, w.WriteReply(gcnode.Reply{Err: &gcnode.Error{Kind: gcnode.KindNotFound}}))
	require.NoError(f, w.WriteEnd(nil))
	f.Add(http.StatusOK, contentType, body.Bytes())
	f.Add(http.StatusOK, contentType+"; a=b", []byte("\x09\x0a\x07\x40\x05\x7a\x03abc\x06\x12\x04\x0a\x02de\x02\x22\x00"))
	f.Add(http.StatusOK, contentType, []byte("\x06\x0a\x04\x10\x02\x08\x05\x08\x22\x00"))             // a sign of life of another key
	f.Add(http.StatusOK, contentType, []byte("\x04\x0a\x02\x7a\x00\x04\x0a\x02\x10\x01\x02\x22\x00")) // one beside an answer
	f.Add(http.StatusOK, "text/html;", []byte("<html>"))
	f.Add(http.StatusRequestEntityTooLarge, "", []byte("too large"))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		got, err := ask(t, httptransport.ClientOptions{Plain: true}, func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body)),
			}, nil
		})
		if status != http.StatusOK || err != nil {
			return
		}
		frames := wire.NewReader(bytes.NewReader(body))
		for _, r := range got {
			want, err := frames.ReadReply()
			if said, ok := errors.AsType[*wire.EndError](err); ok && said.Refused {
				require.Equal(t, said.Cause, r.Err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, r)
		}
		_, err = frames.ReadReply()
		if said, ok := errors.AsType[*wire.EndError](err); ok {
			require.True(t, said.Refused)
			return
		}
		require.ErrorIs(t, err, io.EOF)
	})
}

// FuzzReturns looks that a client lives through whatever is sent on a stream,
// and that its call ends.
func FuzzReturns(f *testing.F) {
	out, err := wire.AppendReply(nil, 1, &gcnode.Reply{Key: 1, Value: gcnode.StringValue("v")})
	require.NoError(f, err)
	f.Add(wire.AppendEnd([]byte(string(out.Head)+out.Data), 1, nil))
	f.Add(wire.AppendGoAway(nil))
	f.Add([]byte("\x09\x08\x01\x12\x05\x0a\x04\x10\x01\x08\x05")) // a sign of life of another key
	f.Add(wire.AppendRefusal(nil, 1, &gcnode.Error{Kind: gcnode.KindOverloaded}))
	f.Add([]byte("\x05hello"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var streams sync.WaitGroup // after one that is given up there is another
		got, err := ask(t, httptransport.ClientOptions{}, func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodGet {
				return nil, errors.New("there is no other way")
			}
			ours, theirs := net.Pipe()
			streams.Go(func() {
				defer theirs.Close()
				if _, err := wire.NewMessageReader(theirs, wire.MaxCallBytes).Next(); err == nil {
					streams.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
					_, _ = theirs.Write(data)
				}
			})
			header := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"gcnode.peer.v1"}}
			return &http.Response{StatusCode: http.StatusSwitchingProtocols, Header: header, Body: ours}, nil
		})
		streams.Wait()
		if err == nil && len(got) > 0 && got[0].Err == nil {
			require.True(t, strings.Contains(string(data), got[0].Value.String()))
		}
	})
}
