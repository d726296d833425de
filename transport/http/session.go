package httptransport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// upgradeToken is the protocol of a stream in an Upgrade.
	upgradeToken = "gcnode.peer.v1"
	// sessionIdle is after how long, up to twice, a stream is closed on which
	// nothing happens. Clients close theirs earlier.
	sessionIdle = 3 * time.Minute
	// lingerTime is how long the peer has to close a stream after the last
	// answer. Closing first could take away what it has not read yet.
	lingerTime = 500 * time.Millisecond
	// maxSpare is how many goroutines wait for the next requests of a stream.
	maxSpare = 16
	// maxKeptKeys is for how many keys of a request memory is kept.
	maxKeptKeys = 16
)

var (
	errSessionClosed = errors.New("the stream is closed")
	errSecretGone    = errors.New("the secret that the stream was begun with is not valid any more")
	errNotSigned     = errors.New("the stream is not signed, as it has to be by now")
)

// isUpgrade reports whether a request asks for a stream. One with a body does not:
// what follows an Upgrade is the stream.
func isUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ContentLength == 0 && r.ProtoAtLeast(1, 1) && hasToken(r.Header, "Connection", "upgrade") && hasToken(r.Header, "Upgrade", upgradeToken)
}

// hasToken looks for a token in a header field that is a list of some.
func hasToken(header http.Header, field, token string) bool {
	for _, value := range header.Values(field) {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// upgrade turns the connection of a request into a stream and serves it until
// it ends.
func (h *Handler) upgrade(w http.ResponseWriter, r *http.Request, who *caller) {
	if h.isClosing() {
		h.refuse(w, r, who, &problem{http.StatusServiceUnavailable, "this member is shutting down"})
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		h.refuse(w, r, who, &problem{http.StatusNotImplemented, "there are no streams on this connection: " + err.Error()})
		return
	}
	// What the request's context ends with, for example a limit for requests,
	// is not the end of the stream.
	s := newSession(context.WithoutCancel(r.Context()), h, conn, who)
	if n := buffered.Reader.Buffered(); n > 0 {
		early, _ := buffered.Peek(n)
		s.from = io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn)
	}
	if !h.enter(s) {
		_ = conn.Close()
		return
	}
	defer h.leave(s)
	if err := s.serve(); err != nil {
		h.log.LogAttrs(r.Context(), slog.LevelDebug, "stream of a peer broken",
			slog.String("remote", r.RemoteAddr), slog.String("err", err.Error()))
	}
}

// session is the stream of one peer.
type session struct {
	h      *Handler
	conn   net.Conn
	from   io.Reader // conn, after what was read from it too early
	who    *caller
	sealed *opener // of what is read; nil: it is not signed
	in     *wire.MessageReader
	out    *outbox
	ctx    context.Context // ends with the stream
	cancel context.CancelFunc
	work   chan job     // for goroutines that have nothing to do
	spare  atomic.Int32 // how many these are

	// Of the goroutine that reads: how many messages have come, which of them
	// has the deadline that is set, and the memory for them.
	read, timed uint64
	memory      share
	requests    wire.RequestDecoder
	req         gcnode.Request // the last one, whose memory is used again
	queued      int            // bytes of answers that it has to write; 0: it has not the duty

	used atomic.Bool // since idle was set

	mu        sync.Mutex
	exchanges map[uint64]*exchange
	last      uint64 // exchange that was begun
	idle      *time.Timer
	leaving   bool // no more is wanted on this stream
}

// newSession makes the stream of a connection, with the values of ctx.
func newSession(ctx context.Context, h *Handler, conn net.Conn, who *caller) *session {
	s := &session{
		h: h, conn: conn, from: conn, who: who, work: make(chan job), exchanges: map[uint64]*exchange{}, memory: share{of: h.large},
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.in = wire.NewMessageReader(s, wire.MaxCallBytes)
	s.out = newOutbox(conn, conn.SetWriteDeadline, h.opts.WriteTimeout, func(error) { s.close() })
	s.out.busy = true // until the stream is accepted
	return s
}

// close ends the stream at once, and with it what is being served.
func (s *session) close() {
	s.cancel()
	_ = s.conn.Close()
}

// serve accepts the stream and serves it until the connection ends. An error
// says what was wrong with what has come.
func (s *session) serve() error {
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		s.out.run()
	}()
	s.mu.Lock()
	idle := time.AfterFunc(sessionIdle, s.tick)
	s.idle = idle
	s.mu.Unlock()
	defer func() {
		idle.Stop()
		s.close()
		s.out.fail(errSessionClosed)
		s.memory.release()
		<-writing
	}()
	if err := s.conn.SetDeadline(time.Time{}); err != nil { // that of the server
		return fmt.Errorf("take the deadline away: %w", err)
	}
	if err := s.accept(); err != nil {
		return err
	}
	for {
		b, err := s.in.Next()
		if err == nil {
			s.read++
			err = s.take(b)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) || s.ctx.Err() != nil:
			return nil
		default:
			s.h.gate.note(err) // before the peer sees the end
			return err
		}
	}
}

// Read reads from the connection, once the answers are on their way to all that
// has come before. A message that has begun has to come within the time for one.
func (s *session) Read(b []byte) (int, error) {
	s.flush()
	begun := s.in.Begun() || s.sealed != nil && s.sealed.begun()
	if message := s.read + 1; begun && s.timed != message {
		s.timed = message
		if err := s.conn.SetReadDeadline(time.Now().Add(s.h.opts.BodyTimeout)); err != nil {
			return 0, err
		}
	} else if !begun && s.timed != 0 {
		s.timed = 0
		if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
	if full := s.memory.set(int64(s.in.Size())); full != nil {
		return 0, full
	}
	return s.from.Read(b)
}

// take handles a message of the peer. An error breaks the stream.
func (s *session) take(b []byte) error {
	call, err := wire.DecodeCall(b)
	switch {
	case err != nil:
		return err
	case call.Request != nil:
		return s.begin(call)
	case call.Cancel:
		if x := s.find(call.Exchange); x != nil {
			x.cancel()
		}
	case call.Credit > 0:
		s.credit(call.Exchange, call.Credit)
	}
	return nil // what is unknown is left alone
}

// accept sends the answer to the Upgrade, after which both sides sign if the
// Upgrade was signed.
func (s *session) accept() error {
	head := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + upgradeToken + "\r\n"
	var then io.Writer = s.conn
	if who := s.who.signed; who != nil {
		nonce := who.accept(func(name, value string) { head += name + ": " + value + "\r\n" }, http.StatusSwitchingProtocols)
		s.sealed = newOpener(s, who.key(purposeAsking, nonce), streamAhead)
		s.in = wire.NewMessageReader(s.sealed, wire.MaxCallBytes)
		then = newSealer(s.conn, who.key(purposeAnswering, nonce))
	}
	return s.out.begin([]byte(head+"\r\n"), then)
}

// find is an exchange under way, or nil: its end and what the peer still sends
// for it may cross.
func (s *session) find(id uint64) *exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exchanges[id]
}

// begin serves a request, or refuses it.
func (s *session) begin(call wire.Call) error {
	if call.Exchange <= s.last {
		return fmt.Errorf("%w: exchange %d after %d", wire.ErrMalformed, call.Exchange, s.last)
	}
	s.last = call.Exchange
	// A peer that does not read what it gets must not make this side collect it.
	if s.queued >= flushBytes {
		s.flush()
	}
	if s.queued == 0 {
		if err := s.out.await(s.ctx); err != nil {
			return err
		}
	}
	s.used.Store(true)
	if err := s.requests.Decode(call.Request, &s.req); err != nil {
		refusal, typed := errors.AsType[*gcnode.Error](err)
		if !typed {
			return err
		}
		return s.refuse(call.Exchange, refusal)
	}
	if err := s.h.valid(s.who); err != nil {
		return err
	}
	of, denied := s.h.admit(s.who, &s.req)
	if denied != nil {
		return s.refuse(call.Exchange, denied)
	}
	reply, prompt := s.h.answerNow(s.ctx, &s.req)
	if prompt && reply.Value.Len() <= copyBytes {
		return s.answer(call.Exchange, &reply)
	}
	memory, refusal := s.place(&s.req, len(call.Request), of)
	if refusal != nil {
		return s.refuse(call.Exchange, refusal)
	}
	req := s.req // whose memory is used again
	req.Keys = append([]string(nil), req.Keys...)
	if cap(s.req.Keys) > maxKeptKeys {
		s.req.Keys = nil
	}
	next := job{x: newExchange(s, call.Exchange, &req, memory), req: &req}
	next.x.of = of
	if prompt {
		large := reply // which would be allocated for the others otherwise
		next.reply = &large
	}
	s.mu.Lock()
	s.exchanges[call.Exchange] = next.x
	s.mu.Unlock()
	select {
	case s.work <- next:
	default:
		go s.serveJobs(next)
	}
	return nil
}

// place takes a place for a request, and memory if it is large, or says that
// there is none. The exchange gives both back.
func (s *session) place(req *gcnode.Request, encoded int, of role) (share, *gcnode.Error) {
	memory := share{of: s.h.large}
	if s.running() >= s.h.opts.MaxPerStream {
		return memory, &gcnode.Error{
			Kind: gcnode.KindOverloaded,
			Err:  fmt.Errorf("%d requests of this stream are being served", s.h.opts.MaxPerStream),
		}
	}
	if err := memory.set(sizeOf(req, encoded)); err != nil {
		return memory, err
	}
	err := s.h.places.take(of)
	if err != nil {
		memory.release()
	}
	return memory, err
}

// answer queues a reply that is the whole answer.
func (s *session) answer(id uint64, r *gcnode.Reply) error {
	return s.queue(func(b []byte) []byte { return wire.AppendEnd(appendReply(b, id, r), id, nil) })
}

// appendReply appends a reply without further pieces. One that is over a limit is
// replaced by an error that says so.
func appendReply(b []byte, id uint64, r *gcnode.Reply) []byte {
	out, err := wire.AppendReply(b, id, r)
	if refused, ok := errors.AsType[*gcnode.Error](err); ok {
		out, _ = wire.AppendReply(b, id, &gcnode.Reply{Key: r.Key, ListHash: r.ListHash, Err: refused})
	}
	return append(out.Head, out.Data...)
}

// refuse answers a request that is not begun.
func (s *session) refuse(id uint64, e *gcnode.Error) error {
	return s.queue(func(b []byte) []byte { return wire.AppendRefusal(b, id, e) })
}

// queue adds messages to what is waiting. If nobody else writes that, it is
// written before the next reading.
func (s *session) queue(fill func([]byte) []byte) error {
	added := 0
	_, duty, err := s.out.add(true, func(b []byte) []byte {
		filled := fill(b)
		added = len(filled) - len(b)
		return filled
	})
	if duty || s.queued > 0 {
		s.queued += added
	}
	return err
}

// flush writes what was queued.
func (s *session) flush() {
	if s.queued > 0 {
		s.queued = 0
		s.out.flush(1)
	}
}

// job is an exchange that is to be served.
type job struct {
	x     *exchange
	req   *gcnode.Request
	reply *gcnode.Reply // the answer, if it is known
}

// serveJobs serves exchanges, of which it has the first. A goroutine that has
// served one has the stack that the next one needs, so a few stay.
func (s *session) serveJobs(next job) {
	for {
		next.x.run(next)
		if s.spare.Add(1) > maxSpare {
			s.spare.Add(-1)
			return
		}
		select {
		case next = <-s.work:
			s.spare.Add(-1)
		case <-s.ctx.Done():
			return
		}
	}
}

// forget takes an exchange out that has ended, and reports whether the stream
// has waited for this to end, too.
func (s *session) forget(id uint64) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.exchanges, id)
	return s.leaving && len(s.exchanges) == 0
}

// running is how many exchanges are under way.
func (s *session) running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.exchanges)
}

// tick closes a stream on which nothing has happened since it was called last.
func (s *session) tick() {
	s.mu.Lock()
	idle := !s.used.Swap(false) && len(s.exchanges) == 0
	if !idle {
		s.idle.Reset(sessionIdle)
	}
	s.mu.Unlock()
	if idle {
		s.close()
	}
}

// goAway tells the peer that the stream will end, which it does when nothing is
// under way any more.
func (s *session) goAway() {
	err := s.out.sendNow(s.ctx, wire.AppendGoAway(nil))
	s.mu.Lock()
	s.leaving = true
	idle := len(s.exchanges) == 0
	s.mu.Unlock()
	if err != nil || idle {
		s.close()
	}
}

// finish ends a stream after its last answer. The peer closes it when it has
// read that.
func (s *session) finish() {
	half, ok := s.conn.(interface{ CloseWrite() error })
	if err := s.out.sendNow(s.ctx, nil); err != nil || !ok || half.CloseWrite() != nil {
		s.close()
		return
	}
	time.AfterFunc(lingerTime, s.close)
}
