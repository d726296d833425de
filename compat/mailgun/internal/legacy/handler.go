package legacy

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// maxBodiesBytes bounds the values that come at the same time.
	maxBodiesBytes = 256 << 20
	// bodyTimeout bounds the time that a peer takes to send a value, and
	// answerTimeout that to take one.
	bodyTimeout   = 30 * time.Second
	answerTimeout = 30 * time.Second
)

// Cache is what peers are answered from; a [*gcnode.Group] is one.
type Cache interface {
	GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error)
	Set(ctx context.Context, key string, it gcnode.Item[gcnode.Value]) error
	Remove(ctx context.Context, keys ...string) error
}

// HandlerOptions are those of [NewHandler].
type HandlerOptions struct {
	// BasePath is where the handler is; empty: [DefaultBasePath].
	BasePath string
	// Lookup is asked once for each request, if it names a group.
	Lookup func(group string) (Cache, bool)
	// Now is the clock of expiry times; nil: time.Now.
	Now func() time.Time
}

// Handler answers old peers. What they ask for is never asked of a further peer
// by a cache that sends its keys to such: that one is to be a [Group.Local].
type Handler struct {
	opts   HandlerOptions
	bodies atomic.Int64 // bytes that are being received
}

// NewHandler makes a handler.
func NewHandler(opts HandlerOptions) *Handler {
	opts.BasePath = cmp.Or(opts.BasePath, DefaultBasePath)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Handler{opts: opts}
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), h.opts.BasePath)
	if !ok {
		refuse(w, statusElsewhere, "the peers of groupcache are at "+h.opts.BasePath)
		return
	}
	group, key, err := splitPath(rest)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	cache, ok := h.opts.Lookup(group)
	if !ok {
		refuse(w, statusElsewhere, "no such group: "+clip(group))
		return
	}
	switch r.Method {
	case http.MethodGet:
		h.get(w, r, cache, key)
	case http.MethodPut:
		h.put(w, r, cache, group, key)
	case http.MethodDelete:
		if err := cache.Remove(r.Context(), key); err != nil {
			refuse(w, http.StatusInternalServerError, textOf(err))
		}
	default:
		w.Header().Set("Allow", "GET, PUT, DELETE")
		refuse(w, http.StatusMethodNotAllowed, "peers of groupcache send GET, PUT and DELETE")
	}
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request, cache Cache, key string) {
	it, err := cache.GetItem(r.Context(), key)
	if err != nil {
		refuse(w, statusOf(err), textOf(err))
		return
	}
	before, after := aroundValue(it, h.opts.Now())
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(before)+it.Value.Len()+len(after)))
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(answerTimeout)) // one without deadlines, in a test, has those of its server
	for _, part := range []io.WriterTo{bytes.NewReader(before), it.Value, bytes.NewReader(after)} {
		if _, err := part.WriteTo(w); err != nil {
			return // there is nobody to tell
		}
	}
	if control.Flush() == nil {
		_ = control.SetWriteDeadline(time.Time{}) // the connection goes on
	}
}

func (h *Handler) put(w http.ResponseWriter, r *http.Request, cache Cache, group, key string) {
	body, refusal := h.body(w, r)
	if refusal != nil {
		refuse(w, refusal.status, refusal.text)
		return
	}
	it, err := storedOf(body, group, key, h.opts.Now())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := cache.Set(r.Context(), key, it); err != nil {
		refuse(w, http.StatusInternalServerError, textOf(err))
	}
}

// refusal is why a body was not read.
type refusal struct {
	status int
	text   string
}

// body reads the value of a request, if its length is known and there is room.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	n := r.ContentLength
	switch {
	case n < 0:
		return nil, &refusal{http.StatusLengthRequired, "the length of the value is not known"}
	case n > maxMessageBytes:
		return nil, &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has %d bytes; at most %d are allowed", n, int64(maxMessageBytes))}
	case h.bodies.Add(n) > maxBodiesBytes:
		h.bodies.Add(-n)
		return nil, &refusal{http.StatusTooManyRequests, "too many values come at the same time"}
	}
	defer h.bodies.Add(-n)
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // the server takes it away after the request
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, n))
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "the body cannot be read: " + err.Error()}
	}
	return body, nil
}

// statusOf is how an old peer is told of an error.
func statusOf(err error) int {
	switch gcnode.KindOf(err) {
	case gcnode.KindNotFound:
		return http.StatusNotFound
	case gcnode.KindNoSuchGroup, gcnode.KindUnsupported, gcnode.KindUnreachable, gcnode.KindDraining:
		return statusElsewhere
	default:
		return http.StatusServiceUnavailable
	}
}

// textOf is what the getter has said, without what is said about it here.
func textOf(err error) string {
	for {
		e, ok := errors.AsType[*gcnode.Error](err)
		if !ok {
			return err.Error()
		}
		if e.Err == nil {
			return e.Kind.String()
		}
		err = e.Err
	}
}

func refuse(w http.ResponseWriter, status int, text string) {
	http.Error(w, text[:min(len(text), maxTextBytes)], status)
}
