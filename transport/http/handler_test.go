package httptransport_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

func TestNewHandlerRefuses(t *testing.T) {
	_, err := httptransport.NewHandler(nil, httptransport.HandlerOptions{})
	require.ErrorContains(t, err, "no gcnode.Handler")
	for _, opts := range []httptransport.HandlerOptions{{MaxConcurrent: -1}, {MaxPerStream: -1}, {BodyTimeout: -1}, {WriteTimeout: -1}} {
		_, err := httptransport.NewHandler(handlerFunc(echo), opts)
		require.ErrorContains(t, err, "must not be negative")
	}
	for _, bytes := range []int64{-1, 1, httptransport.MinRequestBytes - 1} {
		_, err := httptransport.NewHandler(handlerFunc(echo), httptransport.HandlerOptions{MaxRequestBytes: bytes})
		require.ErrorContains(t, err, "set it to")
	}
}

func TestHandlerRefusesWhatIsNoRequest(t *testing.T) {
	server := serve(t, handlerFunc(func(context.Context, *gcnode.Request, gcnode.ReplyWriter) error {
		t.Error("the member got a request")
		return nil
	}), httptransport.HandlerOptions{})
	good := encode(t, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"key"}})
	manyKeys := "\xb0\xea\x01" + strings.Repeat("\x2a\x00", 15_000)
	tests := []struct {
		name, method, contentType, body string
		status                          int
		says                            string
	}{
		{"wrong method", http.MethodGet, contentType, "", http.StatusMethodNotAllowed, "POST"},
		{"no content type", http.MethodPost, "", good, http.StatusUnsupportedMediaType, contentType},
		{"wrong content type", http.MethodPost, "application/json", `{"op":1}`, http.StatusUnsupportedMediaType, contentType},
		{"garbage content type", http.MethodPost, ";;;", good, http.StatusUnsupportedMediaType, contentType},
		{"no body", http.MethodPost, contentType, "", http.StatusBadRequest, "unexpected EOF"},
		{"truncated", http.MethodPost, contentType, good[:len(good)-1], http.StatusBadRequest, "unexpected EOF"},
		{"truncated length", http.MethodPost, contentType, "\x80", http.StatusBadRequest, "unexpected EOF"},
		{"endless length", http.MethodPost, contentType, "\x80\x80\x80\x80\x80\x80\x80", http.StatusBadRequest, "length of a frame"},
		{"more than a request", http.MethodPost, contentType, good + "x", http.StatusBadRequest, "after the end"},
		{"not protobuf", http.MethodPost, contentType, "\x05hello", http.StatusBadRequest, "malformed"},
		{"frame over the limit", http.MethodPost, contentType, "\xff\xff\xff\x7f", http.StatusRequestEntityTooLarge, "at most 4194304"},
		{"too many keys", http.MethodPost, contentType, manyKeys, http.StatusRequestEntityTooLarge, "more than 10000 keys"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), test.method, server.URL, strings.NewReader(test.body))
			require.NoError(t, err)
			req.Header.Set("Content-Type", test.contentType)
			status, text := do(t, req)
			assert.Equal(t, test.status, status)
			assert.Contains(t, text, test.says)
			assert.Less(t, len(text), 400)
		})
	}
}

func TestHandlerAnswersUnknownOperation(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	for _, body := range []string{"\x00", "\x02\x08\x63", "\x03\x08\x80\x02"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", contentType)
		status, answer := do(t, req)
		require.Equal(t, http.StatusOK, status)
		_, err = wire.NewReader(strings.NewReader(answer)).ReadReply()
		require.ErrorIs(t, err, gcnode.ErrUnsupported, "body %q", body)
	}
}

// counted counts the bytes that are read from it.
type counted struct {
	io.Reader

	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// zeros is an endless stream.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestHandlerRefusesHugeBody sends 128 MiB, with and without saying so before,
// and as a frame that is within the limits but never ends.
func TestHandlerRefusesHugeBody(t *testing.T) {
	const size = 128 << 20
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{})
	for name, begin := range map[string]string{
		"frames":    "",
		"one frame": "\xff\xff\xff\x7f",
		"one field": "\x80\x80\x80\x02\x2a\xfa\xff\xff\x01",
	} {
		for _, announced := range []int64{size, -1} {
			t.Run(fmt.Sprintf("%s announced=%d", name, announced), func(t *testing.T) {
				sent := &counted{Reader: io.LimitReader(io.MultiReader(strings.NewReader(begin), zeros{}), size)}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, sent)
				require.NoError(t, err)
				req.ContentLength = announced
				req.Header.Set("Content-Type", contentType)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err == nil { // otherwise the server has closed the connection while this side was sending
					assert.GreaterOrEqual(t, resp.StatusCode, 400)
					require.NoError(t, resp.Body.Close())
				}
				runtime.ReadMemStats(&after)
				assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(24<<20))
				assert.Less(t, sent.n.Load(), int64(size/2), "the server let it all come")
			})
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	client := newClient(t, httptransport.ClientOptions{})
	_, err := fetch(t.Context(), client, server.URL, "k")
	require.NoError(t, err)
}

// TestHandlerSurvivesGarbage talks to the port with something that is not
// HTTP, or too much of it.
func TestHandlerSurvivesGarbage(t *testing.T) {
	server := httptest.NewUnstartedServer(newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(server.Close)
	bomb := "POST / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Bomb: "+strings.Repeat("b", 1000)+"\r\n", 2000) + "\r\n"
	for name, garbage := range map[string]string{
		"no HTTP":     "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on\r\n\r\n",
		"header bomb": bomb,
		"bad length":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"bad chunks":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: " + contentType + "\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, server.Listener.Addr())
			go func() { _, _ = io.WriteString(conn, garbage) }()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil { // or the connection was closed while this side was sending
				assert.GreaterOrEqual(t, resp.StatusCode, 400)
				_ = resp.Body.Close()
			}
		})
	}
	_, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{}), server.URL, "k")
	require.NoError(t, err)
}

// TestHandlerGivesUpSlowBody sends the beginning of a request and no more.
func TestHandlerGivesUpSlowBody(t *testing.T) {
	server := serve(t, handlerFunc(echo), httptransport.HandlerOptions{BodyTimeout: 50 * time.Millisecond})
	conn := dial(t, server.Listener.Addr())
	_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: "+contentType+"\r\nContent-Length: 100\r\n\r\n\x63")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "timeout")
}

// TestHandlerGivesUpSlowReader has a peer that asks and then reads nothing.
func TestHandlerGivesUpSlowReader(t *testing.T) {
	failed := make(chan error, 1)
	server := serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		value := gcnode.StringValue(strings.Repeat("x", gcnode.MaxValueBytes))
		err := w.WriteReply(gcnode.Reply{Value: value})
		failed <- err
		return err
	}), httptransport.HandlerOptions{WriteTimeout: 50 * time.Millisecond})
	conn := dial(t, server.Listener.Addr())
	body := encode(t, &gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}})
	_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body)
	require.NoError(t, err)
	select {
	case err := <-failed:
		require.ErrorContains(t, err, "timeout")
	case <-time.After(patience):
		t.Fatal("the handler is still writing")
	}
}

func TestHandlerLimitsConcurrentRequests(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	server := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		started <- struct{}{}
		<-release
		return echo(ctx, req, w)
	}), httptransport.HandlerOptions{MaxConcurrent: 1})
	client := newClient(t, httptransport.ClientOptions{})
	first := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), client, server.URL, "k")
		first <- err
	}()
	<-started
	got, err := fetch(t.Context(), client, server.URL, "x", "y")
	require.NoError(t, err)
	require.Len(t, got, 2)
	for i, r := range got {
		require.Equal(t, i, r.Key)
		require.ErrorIs(t, r.Err, gcnode.ErrOverloaded)
	}
	close(release)
	require.NoError(t, <-first)
	go func() { <-started }()
	require.Eventually(t, func() bool { // the place is free a moment after the answer
		got, err := fetch(t.Context(), client, server.URL, "x")
		return err == nil && got[0].Err == nil
	}, patience, time.Millisecond)
}

// TestHandlerRefusesLargeSet refuses a request before its large value is sent.
func TestHandlerRefusesLargeSet(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	server := serve(t, handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
		started <- struct{}{}
		<-release
		return w.WriteReply(gcnode.Reply{Value: req.Value})
	}), httptransport.HandlerOptions{MaxConcurrent: 1})
	client := newClient(t, httptransport.ClientOptions{DialTimeout: patience})
	value := gcnode.StringValue(strings.Repeat("v", 1<<20))
	set := func(got *collect) (invited bool, err error) {
		var invitation atomic.Bool
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got100Continue: func() { invitation.Store(true) },
		})
		err = client.RoundTrip(ctx, gcnode.Peer{ID: "server", Addr: server.URL},
			&gcnode.Request{Op: gcnode.OpSet, Keys: []string{"k"}, Value: value}, got)
		return invitation.Load(), err
	}
	first := make(chan error, 1)
	var stored collect
	go func() {
		invited, err := set(&stored)
		assert.True(t, invited, "the value was sent without being asked for")
		first <- err
	}()
	<-started
	var refused collect
	invited, err := set(&refused)
	close(release)
	require.NoError(t, err)
	require.False(t, invited)
	require.Len(t, refused.replies, 1)
	require.ErrorIs(t, refused.replies[0].Err, gcnode.ErrOverloaded)
	require.NoError(t, <-first)
	require.Len(t, stored.replies, 1)
	require.True(t, stored.replies[0].Value == value)
}

// TestHandlerRefusesSetsWithoutMemory has more large values at once than there
// is memory for: who sends one too many is told so, and not that the peer is
// gone.
func TestHandlerRefusesSetsWithoutMemory(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	server := serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		started <- struct{}{}
		<-release
		return w.WriteReply(gcnode.Reply{Ack: &gcnode.Ack{}})
	}), httptransport.HandlerOptions{MaxRequestBytes: httptransport.MinRequestBytes, BodyTimeout: 5 * time.Second})
	finish := sync.OnceFunc(func() { close(release) })
	t.Cleanup(finish)
	client := newClient(t, httptransport.ClientOptions{DialTimeout: patience})
	req := &gcnode.Request{Op: gcnode.OpSet, Keys: []string{"k"}, Value: gcnode.StringValue(strings.Repeat("v", gcnode.MaxValueBytes))}
	set := func() ([]gcnode.Reply, error) {
		var got collect
		err := client.RoundTrip(t.Context(), gcnode.Peer{ID: "server", Addr: server.URL}, req, &got)
		return got.replies, err
	}
	stored := make(chan error, 2)
	for range cap(stored) {
		go func() {
			_, err := set()
			stored <- err
		}()
		<-started
	}
	for range 4 {
		got, err := set()
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.ErrorIs(t, got[0].Err, gcnode.ErrOverloaded)
	}
	conn, body := dial(t, server.Listener.Addr()), encode(t, req)
	_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", contentType, len(body), body[:2<<20])
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = wire.NewReader(resp.Body).ReadReply()
	require.ErrorIs(t, err, gcnode.ErrOverloaded)
	_, err = io.Copy(io.Discard, conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "who is refused and sends no more is waited for")
	finish()
	for range cap(stored) {
		require.NoError(t, <-stored)
	}
	go func() { <-started }()
	got, err := set()
	require.NoError(t, err)
	require.NotNil(t, got[0].Ack, "the memory is not given back")
}

func TestHandlerReplacesWhatCannotTravel(t *testing.T) {
	var late gcnode.ReplyWriter
	server := serve(t, handlerFunc(func(_ context.Context, _ *gcnode.Request, w gcnode.ReplyWriter) error {
		late = w
		huge := gcnode.StringValue(strings.Repeat("x", gcnode.MaxValueBytes+1))
		if err := w.WriteReply(gcnode.Reply{Key: 1, Value: huge}); err != nil {
			return err
		}
		return w.WriteReply(gcnode.Reply{Key: 0, Value: gcnode.StringValue("fits")})
	}), httptransport.HandlerOptions{})
	got, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{}), server.URL, "a", "b")
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.ErrorIs(t, got[0].Err, gcnode.ErrTooLarge)
	require.Equal(t, "fits", got[1].Value.String())
	require.ErrorContains(t, late.WriteReply(gcnode.Reply{}), "already finished")
}

func TestHandlerLogsPanics(t *testing.T) {
	var log bytes.Buffer
	h := newHandler(t, handlerFunc(func(_ context.Context, req *gcnode.Request, _ gcnode.ReplyWriter) error {
		return errors.New(req.Keys[len(req.Keys)])
	}), httptransport.HandlerOptions{Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	body := encode(t, &gcnode.Request{Op: gcnode.OpFetch, From: gcnode.Sender{ID: "node-a"}, Keys: []string{"k"}})
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	_, err := wire.NewReader(rec.Body).ReadReply()
	require.ErrorIs(t, err, gcnode.ErrInternal)
	require.Contains(t, log.String(), "index out of range")
	require.Contains(t, log.String(), "node-a")
}

// plainWriter is a response writer that cannot flush.
type plainWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *plainWriter) Header() http.Header         { return w.header }
func (w *plainWriter) Write(b []byte) (int, error) { return w.body.Write(b) }
func (w *plainWriter) WriteHeader(status int)      { w.status = status }

// TestHandlerWithoutFlushAnswersKeysOneByOne says so of several keys.
func TestHandlerWithoutFlushAnswersKeysOneByOne(t *testing.T) {
	ask := func(keys ...string) *plainWriter {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(encode(t, fetchOf(keys...))))
		req.Header.Set("Content-Type", contentType)
		w := &plainWriter{header: http.Header{}}
		newHandler(t, handlerFunc(echo), httptransport.HandlerOptions{}).ServeHTTP(w, req)
		return w
	}
	frames := wire.NewReader(&ask("k").body)
	got, err := frames.ReadReply()
	require.NoError(t, err)
	require.Equal(t, "k", got.Value.String())
	_, err = frames.ReadReply()
	require.ErrorIs(t, err, io.EOF)
	several := ask("a", "b")
	require.Equal(t, http.StatusNotImplemented, several.status)
	require.Contains(t, several.body.String(), "ask for each key by itself")
}
