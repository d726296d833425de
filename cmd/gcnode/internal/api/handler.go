// Package api is the HTTP interface of a node for applications: values of
// groups, and statistics.
package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/access"
	gcnode "github.com/gcnode/gcnode/core"
)

// Paths of the interface. Those of a group are groupPrefix, the escaped name of
// the group, and one of the suffixes.
const (
	groupPrefix    = "/v1/groups/"
	valueSuffix    = "/value"    // one value
	valuesSuffix   = "/values"   // many, and all
	removalsSuffix = "/removals" // of many
	// StatsPath is where the statistics are.
	StatsPath = "/v1/stats"
)

// Options are what a [Handler] serves.
type Options struct {
	// Node answers the requests; required.
	Node *gcnode.Node
	// ContentTypes is the media type of each group's values; groups that are
	// not in it have application/octet-stream.
	ContentTypes map[string]string
	// Stats answers [StatsPath]; required.
	Stats http.Handler
	// MaxBodyBytes bounds the memory of all request bodies that are being
	// received or worked on, at least [MinBodyBytes].
	MaxBodyBytes int64
	// Guard says who may do what; nil: everybody everything.
	Guard *access.Guard
	// Logger gets one line for each request at level debug, and defects;
	// required.
	Logger *slog.Logger
}

// Handler serves the interface. It reads the path and the query as they were
// sent, so that any bytes can be a group and a key.
type Handler struct {
	opts   Options
	bodies *bodies
}

// NewHandler makes a handler.
func NewHandler(opts Options) (*Handler, error) {
	if opts.Node == nil || opts.Stats == nil || opts.Logger == nil {
		return nil, errors.New("api: node, stats and logger are required")
	}
	if opts.MaxBodyBytes < MinBodyBytes {
		return nil, fmt.Errorf("api: MaxBodyBytes %d is too small; at least %d are needed", opts.MaxBodyBytes, MinBodyBytes)
	}
	return &Handler{opts: opts, bodies: newBodies(opts.MaxBodyBytes)}, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if r.URL.RawPath != "" && r.URL.RawPath != path {
		writeError(w, failure{status: http.StatusBadRequest, kind: kindBadRequest, message: "the path is not properly percent-encoded"})
		return
	}
	caller, refusal := h.opts.Guard.Identify(r)
	if refusal != nil {
		h.turnAway(w, r, refusal)
		return
	}
	if path == StatsPath {
		if allow(w, r, http.MethodGet, http.MethodHead) {
			h.opts.Stats.ServeHTTP(w, r)
		}
		return
	}
	name, suffix, ok := groupOf(path)
	if !ok {
		writeError(w, failure{
			status: http.StatusNotFound, kind: kindNoSuchEndpoint,
			message: "there is nothing at this path; values are at " + groupPrefix + "{group}" + valueSuffix + "?key={key}",
		})
		return
	}
	if right, ok := rightFor(r.Method, suffix); ok {
		if refusal := caller.Check(right, name); refusal != nil {
			h.turnAway(w, r, refusal)
			return
		}
		if condition := conditionOf(r); condition != "" && right != access.Read {
			writeError(w, malformed("%s: values are set and removed without conditions; nothing is changed", condition).failure)
			return
		}
	}
	switch suffix {
	case valuesSuffix:
		h.serveValues(w, r, name)
	case removalsSuffix:
		if allow(w, r, http.MethodPost) {
			h.removeMany(w, r, name)
		}
	default:
		if allow(w, r, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete) {
			h.serveValue(w, r, name)
		}
	}
}

// groupOf is the name of the group in an escaped path, and what is behind it.
func groupOf(path string) (name, suffix string, ok bool) {
	path, ok = strings.CutPrefix(path, groupPrefix)
	end := strings.IndexByte(path, '/')
	if !ok || end < 0 {
		return "", "", false
	}
	name, suffix = path[:end], path[end:]
	if suffix != valueSuffix && suffix != valuesSuffix && suffix != removalsSuffix {
		return "", "", false
	}
	name, err := url.PathUnescape(name)
	return name, suffix, err == nil
}

// allow reports whether the method is one of those given, and otherwise
// answers the request.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeError(w, failure{
		status: http.StatusMethodNotAllowed, kind: kindMethodNotAllowed,
		message: fmt.Sprintf("%s is not possible here; %s are", r.Method, strings.Join(methods, ", ")),
	})
	return false
}

// lookup finds a group, and otherwise answers the request.
func (h *Handler) lookup(w http.ResponseWriter, name string) (*gcnode.Group, bool) {
	group, ok := h.opts.Node.Lookup(name)
	if !ok {
		writeError(w, failureOf(&gcnode.Error{Kind: gcnode.KindNoSuchGroup, Group: name}))
	}
	return group, ok
}

// serveValue reads, sets or removes a value.
func (h *Handler) serveValue(w http.ResponseWriter, r *http.Request, name string) {
	key, err := keyOf(r.URL.RawQuery)
	if err != nil {
		writeError(w, malformed("%v", err).failure)
		return
	}
	if len(key) > gcnode.MaxKeyBytes {
		writeError(w, tooLarge("the key has %d bytes; at most %d are allowed", len(key), gcnode.MaxKeyBytes).failure)
		return
	}
	group, ok := h.lookup(w, name)
	if !ok {
		return
	}
	if owner := group.Owner(key).ID; owner != "" {
		w.Header().Set(HeaderOwner, owner)
	}
	switch r.Method {
	case http.MethodDelete:
		h.finish(w, r, group, "remove", group.Remove(r.Context(), key))
	case http.MethodPut:
		h.set(w, r, group, key)
	default:
		h.get(w, r, group, key)
	}
}

// conditionOf is the header field that lets a request change something only if it
// is as its sender thinks; empty: there is none. Values have no versions that could
// be compared, and a read without its condition is good for everybody.
func conditionOf(r *http.Request) string {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Unmodified-Since"} {
		if len(r.Header.Values(name)) > 0 {
			return name
		}
	}
	return ""
}

// finish answers a request that has changed something, or failed to.
func (h *Handler) finish(w http.ResponseWriter, r *http.Request, group *gcnode.Group, did string, err error) {
	if err != nil {
		if _, ok := errors.AsType[*gcnode.PeerErrors](err); ok { // the others say what was attempted
			err = fmt.Errorf("%s: %w", did, err)
		}
		h.fail(w, r, group, err)
		return
	}
	h.log(r, group, http.StatusNoContent)
	w.WriteHeader(http.StatusNoContent)
}

// get answers with the value.
func (h *Handler) get(w http.ResponseWriter, r *http.Request, group *gcnode.Group, key string) {
	answer, err := group.Lookup(r.Context(), key)
	header := w.Header()
	if answer.Owner != "" { // the list of peers may have changed meanwhile
		header.Set(HeaderOwner, answer.Owner)
		header.Set(HeaderSource, answer.Source.String())
	}
	if err != nil {
		if errors.Is(err, gcnode.ErrNotFound) {
			header.Set("Cache-Control", cacheControl(answer.Keep))
		}
		h.fail(w, r, group, err)
		return
	}
	contentType := h.opts.ContentTypes[group.Name()]
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	header.Set("Cache-Control", cacheControl(answer.Keep))
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(answer.Value.Len()))
	header.Set("X-Content-Type-Options", "nosniff")
	h.log(r, group, http.StatusOK)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := answer.Value.WriteTo(w); err != nil {
		h.opts.Logger.LogAttrs(r.Context(), slog.LevelDebug, "the application left before it had the value",
			slog.String("group", group.Name()), slog.Any("error", err))
	}
}

// statusClientGone is what is logged and counted for an application that left
// before its answer was there. Nobody sees it otherwise.
const statusClientGone = 499

// fail answers with an error.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, group *gcnode.Group, err error) {
	if r.Context().Err() != nil {
		h.log(r, group, statusClientGone)
		w.WriteHeader(statusClientGone)
		return
	}
	f := failureOf(err)
	h.logDefect(r, group, err)
	h.log(r, group, f.status)
	writeError(w, f)
}

// log records a request.
func (h *Handler) log(r *http.Request, group *gcnode.Group, status int) {
	h.opts.Logger.LogAttrs(r.Context(), slog.LevelDebug, "request",
		slog.String("method", r.Method), slog.String("group", group.Name()), slog.Int("status", status))
}
