package httptransport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
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
	// are answered with [gcnode.KindOverloaded]. 0 is DefaultMaxConcurrent.
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
	// piece of a large one. 0 is DefaultWriteTimeout.
	WriteTimeout time.Duration
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
	opts   HandlerOptions
	log    *slog.Logger
	places chan struct{} // one element for each request that is being served
	large  *budget

	mu       sync.Mutex
	sessions map[*session]struct{}
	closing  bool
	empty    chan struct{} // closed when closing and no session is left
}

// NewHandler returns what serves h to its peers. It looks at no path, and
// replaces the read and write deadlines of the server by its own. It needs a
// response writer that can flush, and for streams one that can be hijacked,
// perhaps through Unwrap. A panic of h is logged and answered as an internal
// error. It fails if h is nil, or an option is negative or too small.
//
// What comes before a request is the server's matter: it should have a
// ReadHeaderTimeout, and a MaxHeaderBytes of 16 KiB is plenty. It sets no limit
// to the number of connections, each of which takes about 32 KiB.
func NewHandler(h gcnode.Handler, opts HandlerOptions) (*Handler, error) {
	if h == nil {
		return nil, errors.New("new HTTP handler: there is no gcnode.Handler to serve")
	}
	if opts.MaxConcurrent < 0 || opts.MaxPerStream < 0 || opts.BodyTimeout < 0 || opts.WriteTimeout < 0 {
		return nil, fmt.Errorf("new HTTP handler: MaxConcurrent %d, MaxPerStream %d, BodyTimeout %v and WriteTimeout %v must not be negative",
			opts.MaxConcurrent, opts.MaxPerStream, opts.BodyTimeout, opts.WriteTimeout)
	}
	if opts.MaxRequestBytes != 0 && opts.MaxRequestBytes < MinRequestBytes {
		return nil, fmt.Errorf("new HTTP handler: MaxRequestBytes %d is less than a request with the largest value needs: set it to %d or more, or to 0",
			opts.MaxRequestBytes, MinRequestBytes)
	}
	opts.MaxConcurrent = cmp.Or(opts.MaxConcurrent, DefaultMaxConcurrent)
	opts.MaxPerStream = cmp.Or(opts.MaxPerStream, (opts.MaxConcurrent+1)/2)
	opts.MaxRequestBytes = cmp.Or(opts.MaxRequestBytes, DefaultMaxRequestBytes)
	opts.BodyTimeout = cmp.Or(opts.BodyTimeout, DefaultBodyTimeout)
	opts.WriteTimeout = cmp.Or(opts.WriteTimeout, DefaultWriteTimeout)
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		member: h, opts: opts, log: log, places: make(chan struct{}, opts.MaxConcurrent), large: newBudget(opts.MaxRequestBytes),
		sessions: map[*session]struct{}{}, empty: make(chan struct{}),
	}, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isUpgrade(r) {
		h.upgrade(w, r)
		return
	}
	// The server takes the deadline away when the body has been read to its
	// end, and with the end of the request.
	if err := setReadDeadline(http.NewResponseController(w), h.opts.BodyTimeout); err != nil {
		h.refuse(w, r, &problem{http.StatusInternalServerError, err.Error()})
		return
	}
	if problem := checkHeader(r); problem != nil {
		h.refuse(w, r, problem)
		return
	}
	answer := newAnswer(w, h.opts.WriteTimeout)
	if refusal := h.place(); refusal != nil {
		answer.refuse(refusal)
		return
	}
	defer func() { <-h.places }()
	memory := share{of: h.large}
	defer memory.release()
	req, err := h.read(w, r, &memory)
	refusal, typed := errors.AsType[*gcnode.Error](err)
	switch {
	case err == nil:
		answer.end(h.serve(r.Context(), req, answer))
	case typed && (refusal.Kind == gcnode.KindUnsupported || refusal.Kind == gcnode.KindOverloaded):
		answer.refuse(refusal)
	default:
		h.refuse(w, r, problemOf(err))
	}
}

// place takes one of the places for requests, or says that there is none.
func (h *Handler) place() *gcnode.Error {
	select {
	case h.places <- struct{}{}:
		return nil
	default:
		return &gcnode.Error{
			Kind: gcnode.KindOverloaded,
			Err:  fmt.Errorf("%d requests are being served", h.opts.MaxConcurrent),
		}
	}
}

// problem is an answer to what is no request of a peer.
type problem struct {
	status int
	text   string
}

// checkHeader finds what is wrong before any of the body is read.
func checkHeader(r *http.Request) *problem {
	if r.Method != http.MethodPost {
		return &problem{http.StatusMethodNotAllowed, "this is for members of a gcnode cluster, which send POST requests"}
	}
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != contentType {
		return &problem{http.StatusUnsupportedMediaType, "the content type is not " + contentType}
	}
	if r.ContentLength > maxBodyBytes {
		return &problem{
			http.StatusRequestEntityTooLarge,
			"the body has " + strconv.FormatInt(r.ContentLength, 10) + " bytes; at most " + strconv.Itoa(maxBodyBytes) + " are allowed",
		}
	}
	return nil
}

// problemOf is the answer to a body that cannot be read.
func problemOf(err error) *problem {
	text := "the body is no request: " + err.Error()
	_, tooLong := errors.AsType[*http.MaxBytesError](err)
	if tooLong || errors.Is(err, gcnode.ErrTooLarge) {
		return &problem{http.StatusRequestEntityTooLarge, text}
	}
	return &problem{http.StatusBadRequest, text}
}

// refuse answers what is no request of a peer.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, p *problem) {
	h.log.LogAttrs(r.Context(), slog.LevelDebug, "peer request refused",
		slog.String("remote", r.RemoteAddr), slog.Int("status", p.status), slog.String("reason", p.text))
	if p.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	http.Error(w, p.text, p.status)
}

// read reads the body, which is one request. It reads to the end, because
// only from then on does the server notice that the peer is gone.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, memory *share) (*gcnode.Request, error) {
	in := &deadlineReader{
		r: http.MaxBytesReader(w, r.Body, maxBodyBytes), control: http.NewResponseController(w), timeout: h.opts.BodyTimeout,
		memory: memory, most: maxBodyBytes,
	}
	if r.ContentLength >= 0 {
		in.most = r.ContentLength
	}
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

// serve lets the member answer, and turns a panic into an error.
func (h *Handler) serve(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.LogAttrs(ctx, slog.LevelError, "panic while a peer was served",
				slog.String("peer", req.From.ID), slog.String("op", req.Op.String()),
				slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = &gcnode.Error{Kind: gcnode.KindInternal, Err: fmt.Errorf("panic: %v", p)}
		}
	}()
	return h.member.ServePeer(ctx, req, w)
}

// ignoreUnsupported is nil for a response writer that has no deadlines, such
// as one in a test: the server's own apply then.
func ignoreUnsupported(err error) error {
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
