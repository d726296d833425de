package httptransport

import (
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
	// answers at once ([gcnode.PromptHandler]) does not count. 0 is
	// DefaultMaxConcurrent.
	MaxConcurrent int
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
	prompt gcnode.PromptHandler // the member, if it is one
	opts   HandlerOptions
	log    *slog.Logger
	places chan struct{} // one element for each request that is being served

	mu       sync.Mutex
	sessions map[*session]struct{}
	closing  bool
	empty    chan struct{} // closed when closing and no session is left
}

// NewHandler returns what serves h to its peers. It looks at no path, and
// replaces the read and write deadlines of the server by its own. It needs a
// response writer that can flush, and for streams one that can be hijacked,
// perhaps through Unwrap. A panic of h is logged and answered as an internal
// error. It fails if h is nil or an option is negative.
func NewHandler(h gcnode.Handler, opts HandlerOptions) (*Handler, error) {
	if h == nil {
		return nil, errors.New("new HTTP handler: there is no gcnode.Handler to serve")
	}
	if opts.MaxConcurrent < 0 || opts.BodyTimeout < 0 || opts.WriteTimeout < 0 {
		return nil, fmt.Errorf("new HTTP handler: MaxConcurrent %d, BodyTimeout %v and WriteTimeout %v must not be negative",
			opts.MaxConcurrent, opts.BodyTimeout, opts.WriteTimeout)
	}
	if opts.MaxConcurrent == 0 {
		opts.MaxConcurrent = DefaultMaxConcurrent
	}
	if opts.BodyTimeout == 0 {
		opts.BodyTimeout = DefaultBodyTimeout
	}
	if opts.WriteTimeout == 0 {
		opts.WriteTimeout = DefaultWriteTimeout
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	prompt, _ := h.(gcnode.PromptHandler)
	return &Handler{
		member: h, prompt: prompt, opts: opts, log: log, places: make(chan struct{}, opts.MaxConcurrent),
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
	req, err := h.read(w, r)
	refusal, typed := errors.AsType[*gcnode.Error](err)
	switch {
	case err == nil:
		answer.end(h.serve(r.Context(), req, answer))
	case typed && refusal.Kind == gcnode.KindUnsupported:
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
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (*gcnode.Request, error) {
	body := wire.NewReader(&deadlineReader{
		r: http.MaxBytesReader(w, r.Body, maxBodyBytes), control: http.NewResponseController(w), timeout: h.opts.BodyTimeout,
	})
	req, err := body.ReadRequest()
	if err != nil && !errors.Is(err, gcnode.ErrUnsupported) {
		return nil, err
	}
	if err := body.ReadEOF(); err != nil {
		return nil, err
	}
	return req, err
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
