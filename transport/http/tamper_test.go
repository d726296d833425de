package httptransport_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// tamper is what somebody between two members does with the records of one
// direction: it is given each, with its length and signature, and returns what
// goes on in its place.
type tamper func(i int, record []byte) []byte

// between is the address of a proxy to a member that tampers with what is asked
// and answered on its first connection, after the head of the Upgrade.
func between(t *testing.T, m *member, asked, answered tamper) string {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	relay := func(to, from net.Conn, change tamper) {
		defer to.Close()
		defer from.Close()
		in := bufio.NewReader(from)
		for line := ""; line != "\r\n"; { // the head
			var err error
			if line, err = in.ReadString('\n'); err != nil {
				return
			}
			if _, err := io.WriteString(to, line); err != nil {
				return
			}
		}
		for i := 0; ; i++ {
			head, err := in.Peek(2)
			if err != nil {
				return
			}
			record := make([]byte, 2+int(binary.BigEndian.Uint16(head))+32)
			if _, err := io.ReadFull(in, record); err != nil {
				return
			}
			if change != nil {
				record = change(i, record)
			}
			if _, err := to.Write(record); err != nil {
				return
			}
		}
	}
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server := dial(t, m.Listener.Addr())
			ask, answer := asked, answered
			running.Go(func() { relay(server, client, ask) })
			running.Go(func() { relay(client, server, answer) })
			asked, answered = nil, nil
		}
	})
	return "http://" + l.Addr().String() + "/"
}

// tampers are what can be done to records.
func tampers() map[string]func() tamper {
	return map[string]func() tamper{
		"altered": func() tamper {
			return func(_ int, record []byte) []byte {
				record[len(record)/2-16] ^= 1
				return record
			}
		},
		"altered length": func() tamper {
			return func(_ int, record []byte) []byte {
				record[1]--
				return record
			}
		},
		"altered signature": func() tamper {
			return func(_ int, record []byte) []byte {
				record[len(record)-1] ^= 1
				return record
			}
		},
		"repeated": func() tamper {
			return func(_ int, record []byte) []byte { return append(record, record...) }
		},
		"reordered": func() tamper {
			var held []byte
			return func(i int, record []byte) []byte {
				if i == 0 {
					held = record
					return nil
				}
				return append(record, held...)
			}
		},
		"left out": func() tamper {
			return func(i int, record []byte) []byte {
				if i == 0 {
					return nil
				}
				return record
			}
		},
		"inserted": func() tamper {
			return func(_ int, record []byte) []byte {
				own := append(append([]byte(nil), record[:len(record)-32]...), make([]byte, 32)...)
				return append(own, record...)
			}
		},
		"from an unsigned stream": func() tamper {
			return func(_ int, record []byte) []byte { return append(record[2:len(record)-32], make([]byte, 20_000)...) }
		},
	}
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestWhatIsAskedOnAStreamCannotBeChanged has somebody between client and member.
// Two requests are on their way, so that there is something to reorder.
func TestWhatIsAskedOnAStreamCannotBeChanged(t *testing.T) {
	for name, change := range tampers() {
		t.Run(name, func(t *testing.T) {
			shared := secrets(t, "k")
			var log syncBuffer
			var mu sync.Mutex
			var asked []string
			m := serve(t, handlerFunc(func(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
				mu.Lock()
				asked = append(asked, req.Keys...)
				mu.Unlock()
				return echo(ctx, req, w)
			}), httptransport.HandlerOptions{
				Self: "a", Secrets: shared,
				Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			client := newClient(t, httptransport.ClientOptions{Secrets: shared})
			then, seen := change(), make(chan struct{})
			addr := between(t, m, func(i int, record []byte) []byte {
				if i == 0 {
					close(seen)
				}
				return then(i, record)
			}, nil)
			var wg sync.WaitGroup
			for _, key := range []string{"one", "two"} {
				if key == "two" {
					<-seen // so that it has a record of its own
				}
				wg.Go(func() {
					got, err := fetchFrom(t, client, "a", addr, key)
					if err != nil {
						assert.ErrorIs(t, err, gcnode.ErrUnreachable)
						return
					}
					if assert.Len(t, got, 1) {
						assert.Equal(t, key, got[0].Value.String())
					}
				})
			}
			wg.Wait()
			require.Eventually(t, func() bool {
				return bytes.Contains([]byte(log.String()), []byte("a signature is wrong"))
			}, patience, time.Millisecond)
			require.NotZero(t, m.handler.Stats().Signatures.Wrong)
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(asked)
			require.Equal(t, slices.Compact(slices.Clone(asked)), asked, "one was served twice")
			for _, key := range asked {
				require.Contains(t, []string{"one", "two"}, key)
			}
		})
	}
}

// TestWhatIsAnsweredOnAStreamCannotBeChanged is the same in the other direction.
func TestWhatIsAnsweredOnAStreamCannotBeChanged(t *testing.T) {
	for name, change := range tampers() {
		t.Run(name, func(t *testing.T) {
			shared := secrets(t, "k")
			first := make(chan struct{})
			m := serve(t, handlerFunc(func(_ context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
				for i, key := range req.Keys {
					if i > 0 {
						<-first // its record is on its way
					}
					if err := w.WriteReply(gcnode.Reply{Key: i, Value: gcnode.StringValue(key)}); err != nil {
						return err
					}
				}
				return nil
			}), httptransport.HandlerOptions{Self: "a", Secrets: shared})
			then := change()
			addr := between(t, m, nil, func(i int, record []byte) []byte {
				if i == 0 {
					close(first)
				}
				return then(i, record)
			})
			client := newClient(t, httptransport.ClientOptions{Secrets: shared})
			got, err := fetchFrom(t, client, "a", addr, "one", "two")
			require.ErrorIs(t, err, gcnode.ErrUnreachable)
			require.ErrorContains(t, err, "a signature is wrong")
			for i, r := range got { // what came before is right
				require.Equal(t, i, r.Key)
				require.Equal(t, []string{"one", "two"}[i], r.Value.String())
			}
			require.Less(t, len(got), 2)
		})
	}
}

// TestAPlainAnswerCannotBeChanged has somebody between client and member who
// changes answers, or gives that to another request.
func TestAPlainAnswerCannotBeChanged(t *testing.T) {
	shared := secrets(t, "k")
	m, _ := guarded(t, httptransport.HandlerOptions{Secrets: shared})
	type answer struct {
		header http.Header
		body   []byte
	}
	ask := func(r *http.Request) answer {
		forwarded, err := http.NewRequestWithContext(r.Context(), r.Method, m.URL+r.RequestURI, r.Body)
		if !assert.NoError(t, err) {
			return answer{}
		}
		forwarded.Header = r.Header.Clone()
		resp, err := http.DefaultTransport.RoundTrip(forwarded)
		if !assert.NoError(t, err) {
			return answer{}
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		assert.NoError(t, err)
		return answer{resp.Header, body}
	}
	var earlier answer
	for _, test := range []struct {
		name, says string
		change     func(a answer) answer
	}{
		{"as it is", "", func(a answer) answer { earlier = a; return a }},
		{"a changed body", "a signature is wrong", func(a answer) answer { a.body[5] ^= 1; return a }},
		{"a cut body", "unexpected EOF", func(a answer) answer { a.body = a.body[:len(a.body)-60]; return a }},
		{"more of it", "a signature is wrong", func(a answer) answer { a.body = append(a.body, a.body...); return a }},
		{"an earlier answer", "is not signed", func(answer) answer { return earlier }},
		{"an earlier body", "a signature is wrong", func(a answer) answer { a.body = earlier.body; return a }},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
				a := test.change(ask(r))
				for name, values := range a.header {
					if name != "Content-Length" {
						w.Header()[name] = values
					}
				}
				_, _ = w.Write(a.body)
			})
			_, err := fetchFrom(t, newClient(t, httptransport.ClientOptions{Secrets: shared, Plain: true}), "a", addr, "k")
			if test.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, gcnode.ErrUnreachable)
			require.ErrorContains(t, err, test.says)
		})
	}
}

// TestWhatIsAskedIsNoAnswer sends back what a client has sent.
func TestWhatIsAskedIsNoAnswer(t *testing.T) {
	shared := secrets(t, "k")
	m, _ := guarded(t, httptransport.HandlerOptions{Secrets: shared})
	asked := make(chan []byte, 1)
	addr := between(t, m, func(_ int, record []byte) []byte {
		asked <- bytes.Clone(record)
		return record
	}, func(int, []byte) []byte { return <-asked })
	_, err := fetchFrom(t, newClient(t, httptransport.ClientOptions{Secrets: shared}), "a", addr, "k")
	require.ErrorIs(t, err, gcnode.ErrUnreachable)
	require.ErrorContains(t, err, "a signature is wrong")
}

// TestSignedRequestsWaitForAPeerThatDoesNotReadYet has more of them under way than
// the connection holds, so that writing stops within records.
func TestSignedRequestsWaitForAPeerThatDoesNotReadYet(t *testing.T) {
	shared := secrets(t, "k")
	m, _ := guarded(t, httptransport.HandlerOptions{Secrets: shared})
	release := make(chan struct{})
	addr := between(t, m, func(i int, record []byte) []byte {
		if i == 0 {
			<-release
		}
		return record
	}, nil)
	client := newClient(t, httptransport.ClientOptions{Secrets: shared})
	var leave, stay sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 100 {
		leave.Go(func() {
			var got collect
			assert.ErrorIs(t, client.RoundTrip(ctx, gcnode.Peer{ID: "a", Addr: addr},
				&gcnode.Request{Op: gcnode.OpFetch, Keys: []string{strings.Repeat("x", 60_000)}}, &got), context.Canceled)
		})
	}
	for i := range 300 {
		stay.Go(func() {
			key := strings.Repeat(string(rune('a'+i%26)), 60_000)
			got, err := fetchFrom(t, client, "a", addr, key)
			if assert.NoError(t, err) {
				assert.True(t, got[0].Value.String() == key)
			}
		})
	}
	require.Eventually(t, func() bool {
		stats := client.Stats().Peers
		return len(stats) > 0 && stats[0].Streams > 0
	}, patience, time.Millisecond)
	cancel()
	leave.Wait()
	close(release)
	stay.Wait()
}

// TestHandlerGivesUpSlowRecord sends the beginning of a record and no more.
func TestHandlerGivesUpSlowRecord(t *testing.T) {
	m, _ := guarded(t, httptransport.HandlerOptions{Secrets: secrets(t, "k"), BodyTimeout: 50 * time.Millisecond})
	conn := dial(t, m.Listener.Addr())
	authorization, _ := newClaim(t, http.MethodGet).sign()
	_, err := io.WriteString(conn, strings.Replace(upgrade, "\r\n\r\n", "\r\nAuthorization: "+authorization+"\r\n\r\n", 1))
	require.NoError(t, err)
	in := accepted(t, conn)
	_, err = conn.Write([]byte{0, 5, 'x'})
	require.NoError(t, err)
	_, err = io.ReadAll(in)
	require.NoError(t, err, "it is not closed by the member")
}
