//go:build unix

package httptransport_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

// victim is a node that is attacked: one with the group "g", behind a server
// with the limits that NewHandler asks for.
type victim struct {
	*member

	node   *gcnode.Node
	client *httptransport.Client // of an honest peer
	loads  atomic.Int64
	before int64 // memory when nothing had happened
}

const (
	victimHeaderBytes = 16 << 10
	victimHeaderTime  = 10 * time.Second
)

// attack starts a node. Its getter has each key for a value, but keys that
// begin with "slow", which it has when the test ends.
func attack(t *testing.T, opts httptransport.HandlerOptions) *victim {
	t.Helper()
	v := &victim{}
	over, end := context.WithCancel(context.Background())
	getter := gcnode.GetterFunc[gcnode.Value](func(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		v.loads.Add(1)
		if strings.HasPrefix(key, "slow") {
			select {
			case <-over.Done():
			case <-ctx.Done():
			}
		}
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(key)}, nil
	})
	var err error
	v.node, err = gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "victim"}})
	require.NoError(t, err)
	_, err = v.node.Group("g", getter, gcnode.GroupOptions{MaxBytes: 8 << 20, LoadTimeout: time.Hour})
	require.NoError(t, err)
	handler := newHandler(t, v.node, opts)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ReadHeaderTimeout, server.Config.MaxHeaderBytes = victimHeaderTime, victimHeaderBytes
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	v.member = &member{server, handler}
	v.client = newClient(t, httptransport.ClientOptions{DialTimeout: patience})
	t.Cleanup(func() {
		end()
		v.drop()
		server.Close()
		require.NoError(t, v.node.Close(context.WithoutCancel(t.Context())))
	})
	v.serves(t)
	v.before = memory()
	return v
}

// memory is what the process holds: what is live on the heap, and stacks. What
// is allocated and free again while it looks does not count.
func memory() int64 {
	var m runtime.MemStats
	least := int64(math.MaxInt64)
	for range 3 {
		runtime.GC()
		runtime.ReadMemStats(&m)
		least = min(least, int64(m.HeapAlloc+m.StackInuse))
	}
	return least
}

// serves has honest peers ask, over a stream and plainly.
func (v *victim) serves(t *testing.T) {
	t.Helper()
	honest := newClient(t, httptransport.ClientOptions{DialTimeout: patience, Plain: true})
	for i := range 20 {
		for _, client := range []*httptransport.Client{v.client, honest} {
			got, err := fetch(t.Context(), client, v.URL, strconv.Itoa(i))
			require.NoError(t, err)
			require.Len(t, got, 1)
			require.Nil(t, got[0].Err)
			require.Equal(t, strconv.Itoa(i), got[0].Value.String())
		}
	}
	honest.Close()
}

// holds checks that the node serves others while it is attacked, and has not
// taken more than so much since it started.
func (v *victim) holds(t *testing.T, most int64) {
	t.Helper()
	v.serves(t)
	more := memory() - v.before
	t.Logf("%d KiB more are held; at most %d are allowed", more>>10, most>>10)
	require.Less(t, more, most)
}

// leastMemory are options with the least memory for large requests, and time
// for as many.
func leastMemory() httptransport.HandlerOptions {
	return httptransport.HandlerOptions{MaxRequestBytes: httptransport.MinRequestBytes, BodyTimeout: time.Hour}
}

// manyConnections is 10,000, or as many as the process may have with both ends
// of each.
func manyConnections(t *testing.T) int {
	t.Helper()
	const want, others = 10_000, 200
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur < 2*want+others {
		raised := syscall.Rlimit{Cur: 2*want + others, Max: max(limit.Max, 2*want+others)}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err == nil {
			limit.Cur = raised.Cur
			t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) })
		}
	}
	n := min(want, (int(limit.Cur)-others)/2)
	if n < want {
		t.Logf("only %d connections: RLIMIT_NOFILE is %d and cannot be raised", n, limit.Cur)
	}
	return n
}

// connectionBytes is what a connection, or a stream, may take on which nothing
// happens, on both of its ends.
const connectionBytes = 64 << 10

func TestIdleConnectionsTakeLittle(t *testing.T) {
	v := attack(t, httptransport.HandlerOptions{})
	n := manyConnections(t)
	for i := range n {
		conn := dial(t, v.Listener.Addr())
		if i%2 == 0 {
			_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\n")
			require.NoError(t, err)
		}
	}
	v.holds(t, int64(n)*connectionBytes)
}

func TestIdleStreamsTakeLittle(t *testing.T) {
	v := attack(t, httptransport.HandlerOptions{})
	n := manyConnections(t)
	for range n {
		openStream(t, v.member)
	}
	v.holds(t, int64(n)*connectionBytes)
}

// TestAnnouncementsTakeLittle announces as much as there can be in one body or
// message, and sends nothing of it.
func TestAnnouncementsTakeLittle(t *testing.T) {
	v := attack(t, httptransport.HandlerOptions{})
	const each = 500
	for range each {
		conn := dial(t, v.Listener.Addr())
		_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n\xff\xff\xff\x01", contentType, wire.MaxRequestBytes)
		require.NoError(t, err)
		stream, _ := openStream(t, v.member)
		_, err = io.WriteString(stream, "\x80\x80\x10\x08\x01\x12\xf0\xff\x0f")
		require.NoError(t, err)
	}
	v.holds(t, 2*each*2*connectionBytes)
}

// TestLargeBodiesAreBoundedTogether sends all but the end of many values of the
// largest size.
func TestLargeBodiesAreBoundedTogether(t *testing.T) {
	v := attack(t, leastMemory())
	body := []byte(encode(t, &gcnode.Request{
		Op: gcnode.OpSet, Group: "g", Keys: []string{"k"}, Value: gcnode.StringValue(strings.Repeat("v", gcnode.MaxValueBytes)),
	}))
	v.before = memory()
	const bodies, fit = 12, 2
	refused := make(chan error, bodies)
	for range bodies {
		conn := dial(t, v.Listener.Addr())
		_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", contentType, len(body))
		require.NoError(t, err)
		go func() { _, _ = conn.Write(body[:len(body)-1]) }() // all of them from the same memory
		go func() {
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				refused <- err
				return
			}
			_, err = wire.NewReader(resp.Body).ReadReply()
			refused <- err
			_ = resp.Body.Close() // which waits for the end of the answer
		}()
	}
	for range bodies - fit { // while they are sent, and though they are
		require.ErrorIs(t, <-refused, gcnode.ErrOverloaded)
	}
	v.holds(t, httptransport.MinRequestBytes+16<<20)
}

// TestLargeMessagesAreBoundedTogether does the same on streams.
func TestLargeMessagesAreBoundedTogether(t *testing.T) {
	v := attack(t, leastMemory())
	const streams = 1000
	for range streams {
		conn, _ := openStream(t, v.member)
		_, _ = conn.Write(append([]byte("\x80\x80\x10"), make([]byte, 250<<10)...)) // or there is no memory for it
	}
	v.holds(t, httptransport.MinRequestBytes+streams*connectionBytes)
}

// TestRequestsOfSmallPartsAreBoundedTogether has requests that take many times
// as much memory as they have bytes, and wait.
func TestRequestsOfSmallPartsAreBoundedTogether(t *testing.T) {
	v := attack(t, leastMemory())
	conn, in := openStream(t, v.member)
	const calls, fit = 600, 450
	refused := make(chan int, 1)
	go func() {
		count, returns := 0, wire.NewMessageReader(in, wire.MaxReturnBytes)
		for b, err := returns.Next(); err == nil; b, err = returns.Next() {
			r, err := wire.DecodeReturn(b)
			if err != nil || r.Exchange > calls {
				break // the last call is answered
			}
			count++
		}
		refused <- count
	}()
	out := bufio.NewWriter(conn)
	request, err := wire.AppendRequest(nil, &gcnode.Request{
		Op: gcnode.OpFetch, Group: "g", Keys: []string{"slow000"},
		Finished: make([]gcnode.RemovalID, gcnode.MaxBatchKeys), Digests: make([]gcnode.Digest, 1),
	})
	require.NoError(t, err)
	for id := range uint64(calls) {
		another := bytes.Replace(request, []byte("slow000"), fmt.Appendf(nil, "slow%03d", id), 1)
		_, err := out.Write(wire.AppendCallRequest(nil, id+1, another))
		require.NoError(t, err)
	}
	_, err = out.Write(callFor(t, calls+1, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"last"}}))
	require.NoError(t, err)
	require.NoError(t, out.Flush())
	require.GreaterOrEqual(t, <-refused, calls-fit, "requests for which there is no memory are served")
	v.holds(t, httptransport.MinRequestBytes*5/4) // memory of slices that is not used yet
}

// TestCallsWithoutEndLeavePlaces opens more calls on one stream than there are
// places, none of which ends.
func TestCallsWithoutEndLeavePlaces(t *testing.T) {
	v := attack(t, httptransport.HandlerOptions{})
	conn, in := openStream(t, v.member)
	const calls = 2 * httptransport.DefaultMaxConcurrent
	const waiting = httptransport.DefaultMaxConcurrent / 2
	refused := make(chan error, 1)
	go func() {
		returns := wire.NewMessageReader(in, wire.MaxReturnBytes)
		for range calls - waiting {
			b, err := returns.Next()
			if err != nil {
				refused <- err
				return
			}
			r, err := wire.DecodeReturn(b)
			var replies wire.Collector
			if err == nil {
				_, _, err = replies.Add(r.Frame)
			}
			if !errors.Is(err, gcnode.ErrOverloaded) {
				refused <- fmt.Errorf("exchange %d is answered with %w", r.Exchange, err)
				return
			}
		}
		refused <- nil
	}()
	out := bufio.NewWriter(conn)
	for id := range uint64(calls) {
		_, err := out.Write(callFor(t, id+1, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{fmt.Sprint("slow", id)}}))
		require.NoError(t, err)
	}
	require.NoError(t, out.Flush())
	require.NoError(t, <-refused)
	v.holds(t, waiting*connectionBytes)
}

// TestCreditIsBounded gives more than there can be, again and again, and takes
// nothing: what is under way is what the connection holds.
func TestCreditIsBounded(t *testing.T) {
	v := attack(t, httptransport.HandlerOptions{})
	large := gcnode.StringValue(strings.Repeat("v", 1<<20))
	require.NoError(t, groupOf(t, v.node).Set(t.Context(), "large", gcnode.Item[gcnode.Value]{Value: large}))
	v.before = memory()
	conn, in := openStream(t, v.member)
	out := bufio.NewWriter(conn)
	const calls = 100
	for id := range uint64(calls) {
		_, err := out.Write(callFor(t, id+1, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"large", "large"}}))
		require.NoError(t, err)
		for range 3 {
			_, err = out.Write(wire.AppendCallCredit(nil, id+1, 1<<64-1))
			require.NoError(t, err)
		}
	}
	require.NoError(t, out.Flush())
	v.holds(t, calls*connectionBytes)
	returns := wire.NewMessageReader(in, wire.MaxReturnBytes)
	for ended := 0; ended < calls; {
		var replies wire.Collector
		r := nextReturn(t, returns)
		if _, _, err := replies.Add(r.Frame); errors.Is(err, io.EOF) {
			ended++
		}
	}
}

// TestBundlesAreBoundedTogether asks for as much as there can be in an answer, on
// many connections, and takes nothing.
func TestBundlesAreBoundedTogether(t *testing.T) {
	v := attack(t, leastMemory())
	value := gcnode.StringValue(strings.Repeat("v", 10<<10))
	require.NoError(t, groupOf(t, v.node).Set(t.Context(), "k", gcnode.Item[gcnode.Value]{Value: value}))
	v.before = memory()
	var calls []byte
	for id := range uint64(wire.MaxBundledBytes / value.Len()) {
		calls = append(calls, callFor(t, id+1, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k"}})...)
	}
	const bundles = 1200
	var taken atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		taken.Add(1)
		v.handler.ServeHTTP(w, r)
	}))
	server.Listener = smallBuffers{server.Listener, make(chan struct{}, bundles)}
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	for range bundles {
		conn := dialTCP(t, server.Listener.Addr())
		require.NoError(t, conn.SetReadBuffer(4<<10))
		_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", bundleType, len(calls), calls)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return taken.Load() == bundles }, patience, time.Millisecond)
	v.holds(t, httptransport.MinRequestBytes+bundles*connectionBytes)
}

// TestAnswersThatNobodyTakesAreBounded has one large answer hold the connection,
// which is not read, and asks for many that are known at once meanwhile.
func TestAnswersThatNobodyTakesAreBounded(t *testing.T) {
	v := attack(t, httptransport.HandlerOptions{})
	set := func(key string, size int) {
		value := gcnode.StringValue(strings.Repeat("v", size))
		require.NoError(t, groupOf(t, v.node).Set(t.Context(), key, gcnode.Item[gcnode.Value]{Value: value}))
	}
	set("large", 1<<20)
	set("small", 16<<10)
	conn, in := openStream(t, v.member)
	many := make([]string, 100) // more than a connection holds
	for i := range many {
		many[i] = "large"
	}
	v.before = memory()
	_, err := conn.Write(callFor(t, 1, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: many}))
	require.NoError(t, err)
	_, err = conn.Write(wire.AppendCallCredit(nil, 1, 1<<30))
	require.NoError(t, err)
	_, err = in.Peek(1) // it is being answered
	require.NoError(t, err)
	const calls = 10_000
	var asked []byte
	for id := range uint64(calls) {
		asked = append(asked, callFor(t, id+2, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"small"}})...)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = conn.Write(asked)
	}()
	// It answers for as long as it goes on to do so.
	for last, still := uint64(0), 0; still < 20; still++ {
		if served := groupOf(t, v.node).Stats().ServedFetches; served != last {
			last, still = served, 0
		}
		time.Sleep(10 * time.Millisecond)
	}
	v.holds(t, 16<<20)
	_ = conn.Close()
	<-gone
}

// groupOf is the group that is attacked.
func groupOf(t *testing.T, node *gcnode.Node) *gcnode.Group {
	t.Helper()
	group, ok := node.Lookup("g")
	require.True(t, ok)
	return group
}

// TestBombsTakeLittle sends headers and bodies that say less than they are.
func TestBombsTakeLittle(t *testing.T) {
	v := attack(t, httptransport.HandlerOptions{})
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, err := io.CopyN(zip, zeros{}, 32<<20)
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	head := "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: " + contentType + "\r\n"
	good := encode(t, &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: []string{"k"}})
	for name, bomb := range map[string]struct {
		data string
		end  string // goes on like this for ever
		want string // of the first answer
	}{
		"one field of the header":   {head + "X-Bomb: ", "b", "431"},
		"many fields of the header": {head, "X-Bomb: b\r\n", "431"},
		"longer than it says":       {head + "Content-Length: 5\r\n\r\n" + good, "b", "400"},
		"shorter than a frame says": {head + "Content-Length: 4\r\n\r\n\x05abc", "", "400"},
		"small chunks":              {head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nb\r\n", "400"},
		"long extensions of chunks": {head + "Transfer-Encoding: chunked\r\n\r\n1;", "x", "400"},
		"after the request":         {head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", len(good), good), "1\r\nb\r\n", "400"},
		"zipped":                    {head + "Content-Encoding: gzip\r\nContent-Length: " + strconv.Itoa(zipped.Len()) + "\r\n\r\n" + zipped.String(), "", "400"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, v.Listener.Addr())
			gaveUp := make(chan struct{})
			go func() {
				defer close(gaveUp)
				_, err := io.WriteString(conn, bomb.data)
				for more := strings.Repeat(bomb.end, 1000); err == nil && more != ""; {
					_, err = io.WriteString(conn, more)
				}
			}()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil { // or the connection was closed while this side was sending
				require.Contains(t, resp.Status, bomb.want)
				_ = resp.Body.Close()
			}
			v.holds(t, 4<<20)
			if bomb.end == "" {
				_ = conn.Close()
			}
			<-gaveUp
		})
	}
}

// TestEndlessAnswersTakeLittle has peers that go on for ever: the caller leaves
// when it has enough, and nothing is collected meanwhile.
func TestEndlessAnswersTakeLittle(t *testing.T) {
	pending := gcnode.Reply{Pending: true}
	var frame bytes.Buffer
	require.NoError(t, wire.NewWriter(&frame).WriteReply(pending))
	message, err := wire.AppendReply(nil, 1, &pending)
	require.NoError(t, err)
	others, err := wire.AppendReply(nil, 2, &gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("v", 10_000))})
	require.NoError(t, err)
	plain := "HTTP/1.1 200 OK\r\nContent-Type: " + contentType + "\r\n\r\n"
	accept := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: gcnode.peer.v1\r\n\r\n"
	for name, test := range map[string]struct {
		opts       httptransport.ClientOptions
		begin, end string
	}{
		"one field of the header":    {httptransport.ClientOptions{Plain: true}, "HTTP/1.1 200 OK\r\nX-Bomb: ", "b"},
		"fields of the header":       {httptransport.ClientOptions{Plain: true}, "HTTP/1.1 200 OK\r\n", "X-Bomb: b\r\n"},
		"answers before the answer":  {httptransport.ClientOptions{Plain: true}, "", "HTTP/1.1 103 Early Hints\r\nX-Bomb: b\r\n\r\n"},
		"a refusal":                  {httptransport.ClientOptions{Plain: true}, "HTTP/1.1 500 No\r\n\r\n", "no"},
		"signs of life":              {httptransport.ClientOptions{Plain: true}, plain, frame.String()},
		"unknown frames":             {httptransport.ClientOptions{Plain: true}, plain, "\x03\x9a\x3f\x00"},
		"empty frames":               {httptransport.ClientOptions{Plain: true}, plain, "\x00"},
		"the header of an Upgrade":   {httptransport.ClientOptions{}, "HTTP/1.1 101 Switching Protocols\r\n", "X-Bomb: b\r\n"},
		"signs of life on a stream":  {httptransport.ClientOptions{}, accept, string(message.Head)},
		"unknown frames on a stream": {httptransport.ClientOptions{}, accept, "\x07\x08\x01\x12\x03\x9a\x3f\x00"},
		"unknown messages":           {httptransport.ClientOptions{}, accept, "\x03\x9a\x3f\x00"},
		"answers to others":          {httptransport.ClientOptions{}, accept, string(others.Head) + others.Data},
	} {
		t.Run(name, func(t *testing.T) {
			much := 8 << 20 // in frames of a byte, which are many
			if len(test.end) > 1000 {
				much = 64 << 20
			}
			sent, gone := make(chan struct{}), make(chan struct{})
			l := listen(t, "127.0.0.1:0")
			go func() {
				defer close(gone)
				for { // the one to the first connection, or to the one after an Upgrade that failed
					conn, err := l.Accept()
					if err != nil {
						return
					}
					sendEndless(conn, test.begin, test.end, much, sent)
				}
			}()
			client := newClient(t, test.opts)
			before := memory()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			held, over := make(chan int64, 1), make(chan struct{})
			var left time.Time
			go func() {
				select {
				case <-sent:
				case <-over: // the client has given up by itself
				}
				held <- memory() - before
				left = time.Now()
				cancel()
			}()
			err := client.RoundTrip(ctx, gcnode.Peer{ID: "server", Addr: "http://" + l.Addr().String()},
				&gcnode.Request{Op: gcnode.OpFetch, Keys: []string{"k"}}, writeFunc(func(gcnode.Reply) error { return nil }))
			returned := time.Now()
			close(over)
			require.Error(t, err)
			more := <-held
			t.Logf("%d KiB more are held", more>>10)
			require.Less(t, more, int64(much/2))
			<-ctx.Done()
			require.Less(t, returned.Sub(left), 5*time.Second, "the caller cannot leave")
			client.Close()
			require.NoError(t, l.Close())
			<-gone
		})
	}
}

// sendEndless answers the first request on a connection with begin, and end
// again and again, until the other side is gone. much is closed when so much is
// sent.
func sendEndless(conn net.Conn, begin, end string, much int, sent chan<- struct{}) {
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	if _, err := io.WriteString(conn, begin); err != nil {
		return
	}
	more := strings.Repeat(end, 1+(64<<10)/len(end))
	told := false
	for total := 0; ; total += len(more) {
		if _, err := io.WriteString(conn, more); err != nil {
			return
		}
		if total > much && !told {
			told = true
			close(sent)
		}
	}
}
