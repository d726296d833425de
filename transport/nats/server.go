package natstransport

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// DefaultMaxConcurrent is the default of [ServerOptions.MaxConcurrent].
	DefaultMaxConcurrent = 10_000
	// DefaultBodyTimeout is the default of [ServerOptions.BodyTimeout].
	DefaultBodyTimeout = 10 * time.Second
	// DefaultWriteTimeout is the default of [ServerOptions.WriteTimeout].
	DefaultWriteTimeout = 30 * time.Second
	// maxStreams is how many streams a server has, a few for each peer.
	maxStreams = 2 * gcnode.MaxPeers
	// queueGroup lets one instance of a member answer who opens a stream by the
	// member's ID.
	queueGroup = "gcnode"
)

// ServerOptions are those of [Serve]. ID is required.
type ServerOptions struct {
	// ID is that of the member.
	ID string
	// Cluster is the name of the cluster, as in [ClientOptions].
	Cluster string
	// MaxConcurrent is how many requests are served at the same time; more
	// are answered with [gcnode.KindOverloaded]. 0 is DefaultMaxConcurrent.
	MaxConcurrent int
	// BodyTimeout bounds the time between two pieces of the value of a request.
	// 0 is DefaultBodyTimeout.
	BodyTimeout time.Duration
	// WriteTimeout bounds the time in which a peer takes nothing of what waits
	// for it, or of one answer. 0 is DefaultWriteTimeout.
	WriteTimeout time.Duration
	// MaxPendingBytes bounds what has come from all peers and was not looked at
	// yet, as in [ClientOptions].
	MaxPendingBytes int
	// Version is shown by the tools of NATS, in the form 1.2.3. Empty is that of
	// this module in the program.
	Version string
	// NoService keeps the member from being listed as a NATS micro service.
	NoService bool
	// Logger gets panics of the handler and what is wrong with streams. nil:
	// nothing is logged.
	Logger *slog.Logger
}

// Server serves a member over NATS.
type Server struct {
	member   gcnode.Handler
	prompt   gcnode.PromptHandler // member, if it is one
	nc       *nats.Conn
	subjects subjects
	opts     ServerOptions
	log      *slog.Logger
	instance string
	pub      *publisher
	watch    *watch
	service  micro.Service // nil: there is none
	packets  *nats.Subscription
	byID     *nats.Subscription // in place of the service, as is
	events   *nats.Subscription // for what is broadcast
	farewell *farewell
	places   chan struct{} // one element for each request that is being served
	work     chan job      // for goroutines that have nothing to do
	spare    atomic.Int32  // how many these are
	ctx      context.Context
	cancel   context.CancelFunc
	counts   counts

	mu            sync.Mutex // taken before that of a conversation, never after
	last          uint64
	era           era
	conversations map[uint64]*conversation
	interrupted   []string // where to tell that a stream has ended
	closing       bool
	closed        bool
	empty         chan struct{} // closed when closing and nothing is under way
}

// Serve serves h to its peers until Close, and applies the removals that they
// broadcast, on a connection that stays the
// program's. A panic of h is logged and answered as an internal error. Unless
// told otherwise it makes the member a NATS micro service; the closed and error
// handlers of the connection have to be set before. It fails if h is nil or an
// option makes no sense, if NATS cannot be reached, and if the user of the
// connection lacks a permission, which the error names.
func Serve(nc *nats.Conn, h gcnode.Handler, opts ServerOptions) (*Server, error) {
	s, err := newServer(nc, h, opts)
	if err == nil {
		err = s.start()
	}
	if err != nil {
		return nil, fmt.Errorf("serve over NATS: %w", err)
	}
	return s, nil
}

func newServer(nc *nats.Conn, h gcnode.Handler, opts ServerOptions) (*Server, error) {
	names, err := newSubjects(opts.Cluster)
	switch {
	case err != nil:
		return nil, err
	case nc == nil:
		return nil, errors.New("there is no connection")
	case h == nil:
		return nil, errors.New("there is no gcnode.Handler to serve")
	case opts.ID == "" || len(opts.ID) > gcnode.MaxIDBytes:
		return nil, fmt.Errorf("the ID has %d bytes; a member has one of 1 to %d", len(opts.ID), gcnode.MaxIDBytes)
	case opts.MaxConcurrent < 0 || opts.BodyTimeout < 0 || opts.WriteTimeout < 0:
		return nil, fmt.Errorf("MaxConcurrent %d, BodyTimeout %v and WriteTimeout %v must not be negative",
			opts.MaxConcurrent, opts.BodyTimeout, opts.WriteTimeout)
	}
	if err := checkPending(opts.MaxPendingBytes); err != nil {
		return nil, err
	}
	opts.MaxConcurrent = cmp.Or(opts.MaxConcurrent, DefaultMaxConcurrent)
	opts.BodyTimeout = cmp.Or(opts.BodyTimeout, DefaultBodyTimeout)
	opts.WriteTimeout = cmp.Or(opts.WriteTimeout, DefaultWriteTimeout)
	opts.MaxPendingBytes = cmp.Or(opts.MaxPendingBytes, DefaultMaxPendingBytes)
	s := &Server{
		member: h, nc: nc, subjects: names, opts: opts, log: opts.Logger, instance: rand.Text(),
		places: make(chan struct{}, opts.MaxConcurrent), work: make(chan job),
		era: era{nc: nc}, conversations: map[uint64]*conversation{}, empty: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.prompt, _ = h.(gcnode.PromptHandler)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// start subscribes, and returns when NATS knows of it.
func (s *Server) start() (err error) {
	before, subject := s.nc.LastError(), s.subjects.at(s.instance, "*")
	if s.farewell, err = newFarewell(s.nc, s.subjects); err != nil {
		s.cancel()
		return err
	}
	s.pub = newPublisher(s.nc)
	s.watch = newWatch(s.nc, s.changed, s.tick)
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.packets, err = s.nc.Subscribe(subject, s.receive); err == nil {
		err = s.packets.SetPendingLimits(-1, s.opts.MaxPendingBytes)
	}
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	if s.opts.NoService {
		err = s.listen()
	} else {
		err = s.addService()
	}
	if err != nil {
		return err
	}
	// An answer to nobody, to find out whether answers may go.
	if err := s.nc.Publish(s.subjects.back(s.instance, streamToken(0)), nil); err != nil {
		return err
	}
	return settle(s.nc, before, string(s.subjects), controlPrefix)
}

// listen subscribes to what the endpoints of a service are for.
func (s *Server) listen() (err error) {
	subject := s.subjects.node(s.opts.ID)
	s.byID, err = s.nc.QueueSubscribe(subject, queueGroup, func(m *nats.Msg) { s.open(m.Reply) })
	if err == nil {
		subject = s.subjects.event("*")
		l := newListener(s)
		s.events, err = s.nc.Subscribe(subject, func(m *nats.Msg) { l.hear(m.Subject, m.Reply, m.Data) })
	}
	if err == nil {
		err = s.events.SetPendingLimits(-1, s.opts.MaxPendingBytes)
	}
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	return nil
}

// Addr is the address of this instance of the member. It changes with each
// Serve, so that nobody takes the next life of a member for this one.
func (s *Server) Addr() string { return s.instance }

// open begins a stream.
func (s *Server) open(reply string) {
	if reply == "" {
		return // there is nobody to answer
	}
	if v, refusal := s.newConversation(reply); refusal != nil {
		s.tell(reply, refusal)
	} else {
		v.welcome()
	}
}

// newConversation makes room for a stream.
func (s *Server) newConversation(reply string) (*conversation, *gcnode.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return nil, &gcnode.Error{Kind: gcnode.KindDraining}
	case len(s.conversations) >= maxStreams:
		return nil, &gcnode.Error{Kind: gcnode.KindOverloaded, Err: fmt.Errorf("there are %d streams", maxStreams)}
	}
	s.last++
	s.era.begin(s.last)
	v := newConversation(s, s.last, reply)
	s.conversations[v.number] = v
	s.counts.streams.Add(1)
	return v, nil
}

// tell says that a stream has ended, to who does not know.
func (s *Server) tell(reply string, why *gcnode.Error) {
	_ = s.nc.Publish(reply, wire.AppendPacket(nil, &wire.Packet{Close: why})) // or it will ask again
}

// receive takes a packet of a peer, in the one goroutine of the subscription.
func (s *Server) receive(m *nats.Msg) {
	if lastToken(m.Subject) == openToken {
		s.open(m.Reply)
		return
	}
	number, _ := streamNumber(m.Subject)
	s.mu.Lock()
	v := s.conversations[number]
	s.mu.Unlock()
	p, err := wire.DecodePacket(m.Data)
	switch {
	case v != nil && v.to == m.Reply:
		v.receive(&p, err)
	case m.Reply != "" && p.Close == nil:
		s.tell(m.Reply, &gcnode.Error{Kind: gcnode.KindUnreachable, Err: errors.New("this member knows nothing of the stream")})
	}
}

// all are the conversations that there are.
func (s *Server) all() []*conversation {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*conversation, 0, len(s.conversations))
	for _, v := range s.conversations {
		all = append(all, v)
	}
	return all
}

// changed takes note of what happens to the connection.
func (s *Server) changed(status nats.Status) {
	switch status {
	case nats.CONNECTED:
		s.mu.Lock()
		interrupted := s.interrupted
		s.interrupted = nil
		s.mu.Unlock()
		for _, reply := range interrupted {
			s.tell(reply, &gcnode.Error{Kind: gcnode.KindUnreachable, Err: errDisconnected})
		}
	case nats.DRAINING_SUBS: // nothing of the peers arrives any more, not even what they have taken
		s.mu.Lock()
		s.closing = true
		s.mu.Unlock()
		for _, v := range s.all() {
			v.end(unusable(status), &gcnode.Error{Kind: gcnode.KindDraining})
		}
		s.pub.close()
		s.farewell.said()
	default:
		s.mu.Lock()
		over := s.era.over(status)
		s.mu.Unlock()
		for _, v := range s.all() {
			if v.number < over {
				v.end(unusable(status), nil)
			}
		}
	}
}

// tick looks after the conversations, once in a tickTime.
func (s *Server) tick() {
	for _, v := range s.all() {
		v.tick()
	}
}

// place takes one of the places for requests, or says that there is none.
func (s *Server) place() *gcnode.Error {
	select {
	case s.places <- struct{}{}:
		return nil
	default:
		s.counts.refused.Add(1)
		return &gcnode.Error{
			Kind: gcnode.KindOverloaded,
			Err:  fmt.Errorf("%d requests are being served", s.opts.MaxConcurrent),
		}
	}
}

// serve lets the member answer, and turns a panic into an error.
func (s *Server) serve(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicked(ctx, req, p)
		}
	}()
	return s.member.ServePeer(ctx, req, w)
}

// answerNow is the member's answer if it has one without waiting.
func (s *Server) answerNow(ctx context.Context, req *gcnode.Request) (r gcnode.Reply, ok bool) {
	if s.prompt == nil {
		return gcnode.Reply{}, false
	}
	defer func() {
		if p := recover(); p != nil {
			r, ok = gcnode.Reply{Err: s.panicked(ctx, req, p)}, true
		}
	}()
	return s.prompt.AnswerNow(req)
}

// panicked logs a panic of the member and is the error that comes of it.
func (s *Server) panicked(ctx context.Context, req *gcnode.Request, p any) *gcnode.Error {
	s.log.LogAttrs(ctx, slog.LevelError, "panic while a peer was served",
		slog.String("peer", req.From.ID), slog.String("op", req.Op.String()),
		slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	return &gcnode.Error{Kind: gcnode.KindInternal, Err: fmt.Errorf("panic: %v", p)}
}
