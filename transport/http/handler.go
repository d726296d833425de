package httptransport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

const (
	// DefaultMaxConcurrent is the default of [HandlerOptions.MaxConcurrent].
	DefaultMaxConcurrent = 10_000
	// DefaultMaxRequestBytes is the default of [HandlerOptions.MaxRequestBytes].
	DefaultMaxRequestBytes = 512 << 20
	// MinRequestBytes is the least that it can be: one request with the largest
	// value, and what that grows out of.
	MinRequestBytes = 2 * maxBodyBytes
	// DefaultBodyTimeout is the default of [HandlerOptions.BodyTimeout].
	DefaultBodyTimeout = 10 * time.Second
	// DefaultWriteTimeout is the default of [HandlerOptions.WriteTimeout].
	DefaultWriteTimeout = 30 * time.Second
	// maxBodyBytes is a request with its value.
	maxBodyBytes = wire.MaxRequestBytes
)

// HandlerOptions are those of [NewHandler]. The zero value is ready for use.
type HandlerOptions struct {
	// MaxConcurrent is how many requests are served at the same time; more
	// are answered with [gcnode.KindOverloaded]. On a stream, what the member
	// answers at once ([gcnode.PromptHandler]) does not count. Half of them at
	// most are of clients that are no members; see Access. 0 is
	// DefaultMaxConcurrent.
	MaxConcurrent int
	// MaxPerStream is how many of them one stream may have, so that a peer with
	// many leaves places to others. 0 is half of MaxConcurrent.
	MaxPerStream int
	// MaxRequestBytes bounds the memory that requests of more than 16 KiB take
	// together, from when they begin to arrive until they are answered; what
	// would be more is answered with [gcnode.KindOverloaded], or, when it is the
	// beginning of a message on a stream, ends that. It is at least
	// MinRequestBytes. 0 is DefaultMaxRequestBytes.
	MaxRequestBytes int64
	// BodyTimeout bounds the time that a peer takes to send a request; of a
	// large one, each 4 MiB. 0 is DefaultBodyTimeout.
	BodyTimeout time.Duration
	// WriteTimeout bounds the time that a peer takes to receive a reply, or a
	// piece of a large one, and on a stream to say that it takes more. 0 is
	// DefaultWriteTimeout.
	WriteTimeout time.Duration
	// Self is the ID of the member, for which requests are signed. It goes with
	// Secrets.
	Self string
	// Secrets makes the handler refuse what is not signed with one of them
	// (unless [Secrets.AcceptUnsigned] is on), and sign its answers. Who sends must have them too; nil: nobody has to sign. Use
	// them where others may reach the handler, or TLS with certificates on both
	// sides: without either, whoever reaches it is a member.
	Secrets *Secrets
	// ClockWindow is how far the time of a signature may be from the clock here,
	// in both directions. 0 is DefaultClockWindow.
	ClockWindow time.Duration
	// MaxNonces is how many signed requests are remembered, so that none is
	// accepted twice: those of twice the ClockWindow, a stream being one. Half of
	// them at most are of clients that are no members; see Access. Beyond it they
	// are answered with [gcnode.KindOverloaded]. 0 is DefaultMaxNonces.
	MaxNonces int
	// Now is the clock of signatures; nil: time.Now.
	Now func() time.Time
	// Access says what senders may do. nil: everything.
	Access *Access
	// Logger gets panics of the handler and refused requests. nil: nothing is
	// logged.
	Logger *slog.Logger
}

// Handler serves a member over HTTP: an [http.Handler] that may be mounted
// anywhere. Peers turn their connections to it into streams where they can,
// and a server's Shutdown and Close know nothing of those: call those of the
// handler after the server's.
type Handler struct {
	member gcnode.Handler
	prompt gcnode.PromptHandler // the member, if it is one
	opts   HandlerOptions
	log    *slog.Logger
	gate   *gate   // nil: nobody has to sign
	places *places // for the requests that are being served
	large  *budget

	unsigned, denied atomic.Uint64 // see HandlerStats

	mu       sync.Mutex
	sessions map[*session]struct{}
	closing  bool
	empty    chan struct{} // closed when closing and no session is left
}

// NewHandler returns what serves h to its peers. It looks at no path, and
// replaces the read and write deadlines of the server by its own. The response
// writer should be one that can flush, and for streams one that can be hijacked,
// perhaps through Unwrap. Without flushing, as in an [http.TimeoutHandler], signs
// of life do not arrive either, so that who loads for longer than the PeerTimeout
// of others is taken for dead. A panic of h is logged and answered as an internal
// error. It fails if h is nil, an option is negative or too small, or there are
// Secrets without Self.
//
// What comes before a request is the server's matter: it should have a
// ReadHeaderTimeout, and a MaxHeaderBytes of 16 KiB is plenty. It sets no limit
// to the number of connections, each of which takes up to 64 KiB when it is idle.
func NewHandler(h gcnode.Handler, opts HandlerOptions) (*Handler, error) {
	if h == nil {
		return nil, errors.New("new HTTP handler: there is no gcnode.Handler to serve")
	}
	if opts.MaxConcurrent < 0 || opts.MaxPerStream < 0 || opts.BodyTimeout < 0 || opts.WriteTimeout < 0 {
		return nil, fmt.Errorf("new HTTP handler: MaxConcurrent %d, MaxPerStream %d, BodyTimeout %v and WriteTimeout %v must not be negative",
			opts.MaxConcurrent, opts.MaxPerStream, opts.BodyTimeout, opts.WriteTimeout)
	}
	if opts.ClockWindow < 0 || opts.MaxNonces < 0 {
		return nil, fmt.Errorf("new HTTP handler: ClockWindow %v and MaxNonces %d must not be negative", opts.ClockWindow, opts.MaxNonces)
	}
	if opts.Secrets != nil && opts.Self == "" {
		return nil, errors.New("new HTTP handler: with Secrets it needs Self, the ID of the member, for which requests are signed")
	}
	if opts.MaxRequestBytes != 0 && opts.MaxRequestBytes < MinRequestBytes {
		return nil, fmt.Errorf("new HTTP handler: MaxRequestBytes %d is less than a request with the largest value needs: set it to %d or more, or to 0",
			opts.MaxRequestBytes, MinRequestBytes)
	}
	opts.MaxConcurrent = cmp.Or(opts.MaxConcurrent, DefaultMaxConcurrent)
	opts.MaxPerStream = cmp.Or(opts.MaxPerStream, half(opts.MaxConcurrent))
	opts.MaxRequestBytes = cmp.Or(opts.MaxRequestBytes, DefaultMaxRequestBytes)
	opts.BodyTimeout = cmp.Or(opts.BodyTimeout, DefaultBodyTimeout)
	opts.WriteTimeout = cmp.Or(opts.WriteTimeout, DefaultWriteTimeout)
	opts.ClockWindow = cmp.Or(opts.ClockWindow, DefaultClockWindow)
	opts.MaxNonces = cmp.Or(opts.MaxNonces, DefaultMaxNonces)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	prompt, _ := h.(gcnode.PromptHandler)
	return &Handler{
		member: h, prompt: prompt, opts: opts, log: log, gate: newGate(opts),
		places: newPlaces(opts.MaxConcurrent), large: newBudget(opts.MaxRequestBytes),
		sessions: map[*session]struct{}{}, empty: make(chan struct{}),
	}, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	stream := isUpgrade(r)
	if !stream {
		// The server takes the deadline away when the body has been read to its
		// end, and with the end of the request.
		if err := setReadDeadline(http.NewResponseController(w), h.opts.BodyTimeout); err != nil {
			h.refuse(w, r, nil, &problem{http.StatusInternalServerError, err.Error()})
			return
		}
	}
	who, err := h.authenticate(r)
	if err != nil {
		h.turnAway(w, r, who, err)
		return
	}
	if stream {
		h.upgrade(w, r, who)
		return
	}
	if problem := h.checkHeader(r); problem != nil {
		h.refuse(w, r, who, problem)
		return
	}
	of := h.opts.Access.role(who.names)
	if refusal := h.places.take(of); refusal != nil {
		h.decline(w, r, who, refusal)
		return
	}
	defer h.places.leave(of)
	memory := share{of: h.large}
	defer memory.release()
	if isBundle(r) {
		err = h.serveBundle(w, r, who, &memory)
	} else {
		err = h.serveRequest(w, r, who, &memory)
	}
	refusal, typed := errors.AsType[*gcnode.Error](err)
	switch {
	case err == nil:
	case typed && refusal.Kind == gcnode.KindOverloaded && !isBundle(r):
		memory.release()
		h.refuseEarly(w, r, who, refusal)
	case typed && (refusal.Kind == gcnode.KindUnsupported || refusal.Kind == gcnode.KindOverloaded):
		h.decline(w, r, who, refusal)
	default:
		h.refuse(w, r, who, problemOf(err))
	}
}

// serveRequest serves a plain request. An error is what is wrong with it, of
// which nothing is answered then.
func (h *Handler) serveRequest(w http.ResponseWriter, r *http.Request, who *caller, memory *share) error {
	req, err := h.read(w, r, who, memory)
	if err != nil {
		return err
	}
	if len(req.Keys) > 1 && !canFlush(w) {
		return &problem{http.StatusNotImplemented, "replies cannot be sent here as they become ready: ask for each key by itself"}
	}
	h.answer(r.Context(), who, req, newAnswer(w, h.opts.WriteTimeout, who))
	return nil
}

// decline answers a request that is not begun.
func (h *Handler) decline(w http.ResponseWriter, r *http.Request, who *caller, e *gcnode.Error) {
	if isBundle(r) {
		h.writeBundle(w, who, wire.AppendRefusal(nil, 0, e))
		return
	}
	newAnswer(w, h.opts.WriteTimeout, who).refuse(e)
}

// answer lets the member answer a plain request, if its sender may ask for it.
func (h *Handler) answer(ctx context.Context, who *caller, req *gcnode.Request, a *answer) {
	of, denied := h.admit(who, req)
	if denied != nil {
		a.refuse(denied)
		return
	}
	reply, prompt := h.answerNow(ctx, req)
	switch {
	case prompt:
		a.whole(reply)
	case of == isMember:
		a.end(h.serve(ctx, req, a))
	default:
		a.end(h.serve(ctx, req, clientWriter{a}))
	}
}

// problem is an answer to what is no request of a peer.
type problem struct {
	status int
	text   string
}

// Error implements the error interface.
func (p *problem) Error() string { return p.text }

// checkHeader finds what is wrong before any of the body is read.
func (h *Handler) checkHeader(r *http.Request) *problem {
	if r.Method != http.MethodPost {
		return &problem{http.StatusMethodNotAllowed, "this is for members of a gcnode cluster, which send POST requests"}
	}
	most := int64(maxBodyBytes)
	switch got := mediaType(r.Header); {
	case got == bundleType && h.prompt == nil:
		return &problem{http.StatusUnsupportedMediaType, "this member answers nothing at once, so that it takes no bundles"}
	case got == bundleType:
		most = wire.MaxBundleBytes
	case got != contentType:
		return &problem{http.StatusUnsupportedMediaType, "the content type is not " + contentType}
	}
	if r.ContentLength > most {
		return &problem{
			http.StatusRequestEntityTooLarge,
			"the body has " + strconv.FormatInt(r.ContentLength, 10) + " bytes; at most " + strconv.FormatInt(most, 10) + " are allowed",
		}
	}
	return nil
}

// mediaType is the content type without its parameters; empty: there is none.
func mediaType(header http.Header) string {
	text := header.Get("Content-Type")
	if text == contentType || text == bundleType {
		return text
	}
	got, _, err := mime.ParseMediaType(text)
	if err != nil {
		return ""
	}
	return got
}

// problemOf is the answer to a body that cannot be read.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	text := "the body is no request: " + err.Error()
	_, tooLong := errors.AsType[*http.MaxBytesError](err)
	if tooLong || errors.Is(err, gcnode.ErrTooLarge) {
		return &problem{http.StatusRequestEntityTooLarge, text}
	}
	return &problem{http.StatusBadRequest, text}
}

// refuse answers what is no request of a peer. The answer is signed if it is known
// who has asked.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, who *caller, p *problem) {
	h.log.LogAttrs(r.Context(), slog.LevelDebug, "peer request refused",
		slog.String("remote", r.RemoteAddr), slog.Int("status", p.status), slog.String("reason", p.text))
	switch p.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", challenge(h.opts.Self))
	}
	if who == nil || who.signed == nil {
		http.Error(w, p.text, p.status)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	body := who.seal(w.Header(), p.status, w)
	w.WriteHeader(p.status)
	_, _ = io.WriteString(body, p.text) // or there is nobody to tell
}

// read reads the body, which is one request. It reads to the end, because
// only from then on does the server notice that the peer is gone.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, who *caller, memory *share) (*gcnode.Request, error) {
	in := h.body(w, r, who, memory, maxBodyBytes)
	body := wire.NewReader(in)
	req, err := body.ReadRequest()
	if err != nil && !errors.Is(err, gcnode.ErrUnsupported) {
		return nil, err
	}
	if err := body.ReadEOF(); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if full := memory.set(sizeOf(req, in.came)); full != nil {
		return nil, full
	}
	return req, nil
}

// body is what is read of a request, up to a limit.
func (h *Handler) body(w http.ResponseWriter, r *http.Request, who *caller, memory *share, most int64) *deadlineReader {
	in := &deadlineReader{
		r: who.body(http.MaxBytesReader(w, r.Body, most)), control: http.NewResponseController(w), timeout: h.opts.BodyTimeout,
		memory: memory, most: most,
	}
	if r.ContentLength >= 0 {
		in.most = r.ContentLength
	}
	return in
}

// refuseEarly answers a request for which there is no memory while its body
// comes. It reads the rest, of which it keeps nothing: were the connection closed
// while the peer sends, the peer might not get to the answer.
func (h *Handler) refuseEarly(w http.ResponseWriter, r *http.Request, who *caller, e *gcnode.Error) {
	control := http.NewResponseController(w)
	a := newAnswer(w, h.opts.WriteTimeout, who)
	a.refuse(e)
	if a.out.flush() != nil || setReadDeadline(control, h.opts.BodyTimeout) != nil {
		return
	}
	rest := &deadlineReader{
		r: http.MaxBytesReader(w, r.Body, maxBodyBytes), control: control, timeout: h.opts.BodyTimeout, memory: &share{of: h.large},
	}
	_, _ = io.Copy(io.Discard, rest) // or there is nobody to tell
}

// serve lets the member answer, and turns a panic into an error.
func (h *Handler) serve(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = h.panicked(ctx, req, p)
		}
	}()
	return h.member.ServePeer(ctx, req, w)
}

// answerNow is the member's answer if it has one without waiting.
func (h *Handler) answerNow(ctx context.Context, req *gcnode.Request) (r gcnode.Reply, ok bool) {
	if h.prompt == nil {
		return gcnode.Reply{}, false
	}
	defer func() {
		if p := recover(); p != nil {
			r, ok = gcnode.Reply{Err: h.panicked(ctx, req, p)}, true
		}
	}()
	return h.prompt.AnswerNow(req)
}

// panicked logs a panic of the member and is the error that comes of it.
func (h *Handler) panicked(ctx context.Context, req *gcnode.Request, p any) *gcnode.Error {
	h.log.LogAttrs(ctx, slog.LevelError, "panic while a peer was served",
		slog.String("peer", req.From.ID), slog.String("op", req.Op.String()),
		slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	return &gcnode.Error{Kind: gcnode.KindInternal, Err: fmt.Errorf("panic: %v", p)}
}

// ignoreUnsupported is nil for a response writer that has no deadlines, such
// as one in a test: the server's own apply then.
func ignoreUnsupported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
