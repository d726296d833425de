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

	gcnode "github.com/gcnode/gcnode/core"
)

// Paths of the interface. A value's path is groupPrefix, the escaped name of
// the group, valueSuffix.
const (
	groupPrefix = "/v1/groups/"
	valueSuffix = "/value"
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
	// Logger gets one line for each request at level debug, and defects;
	// required.
	Logger *slog.Logger
}

// Handler serves the interface. It reads the path and the query as they were
// sent, so that any bytes can be a group and a key.
type Handler struct {
	opts Options
}

// NewHandler makes a handler.
func NewHandler(opts Options) (*Handler, error) {
	if opts.Node == nil || opts.Stats == nil || opts.Logger == nil {
		return nil, errors.New("api: node, stats and logger are required")
	}
	return &Handler{opts: opts}, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	if r.URL.RawPath != "" && r.URL.RawPath != path {
		writeError(w, failure{status: http.StatusBadRequest, kind: kindBadRequest, message: "the path is not properly percent-encoded"})
		return
	}
	if path == StatsPath {
		if allow(w, r, http.MethodGet, http.MethodHead) {
			h.opts.Stats.ServeHTTP(w, r)
		}
		return
	}
	group, ok := groupOf(path)
	if !ok {
		writeError(w, failure{
			status: http.StatusNotFound, kind: kindNoSuchEndpoint,
			message: "there is nothing at this path; values are at " + groupPrefix + "{group}" + valueSuffix + "?key={key}",
		})
		return
	}
	if allow(w, r, http.MethodGet, http.MethodHead, http.MethodDelete) {
		h.serveValue(w, r, group)
	}
}

// groupOf is the name of the group in an escaped path.
func groupOf(path string) (string, bool) {
	escaped, ok := strings.CutPrefix(path, groupPrefix)
	if !ok {
		return "", false
	}
	escaped, ok = strings.CutSuffix(escaped, valueSuffix)
	if !ok || strings.Contains(escaped, "/") {
		return "", false
	}
	group, err := url.PathUnescape(escaped)
	return group, err == nil
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

// serveValue reads or removes a value.
func (h *Handler) serveValue(w http.ResponseWriter, r *http.Request, name string) {
	key, err := keyOf(r.URL.RawQuery)
	if err != nil {
		writeError(w, failure{status: http.StatusBadRequest, kind: kindBadRequest, message: err.Error()})
		return
	}
	if len(key) > gcnode.MaxKeyBytes {
		writeError(w, failure{
			status: http.StatusRequestEntityTooLarge, kind: kindName(gcnode.KindTooLarge),
			message: fmt.Sprintf("the key has %d bytes; at most %d are allowed", len(key), gcnode.MaxKeyBytes),
		})
		return
	}
	group, ok := h.opts.Node.Lookup(name)
	if !ok {
		writeError(w, failureOf(&gcnode.Error{Kind: gcnode.KindNoSuchGroup, Group: name}))
		return
	}
	if owner := group.Owner(key).ID; owner != "" {
		w.Header().Set(HeaderOwner, owner)
	}
	if r.Method == http.MethodDelete {
		h.remove(w, r, group, key)
		return
	}
	h.get(w, r, group, key)
}

// remove takes the key out of every node.
func (h *Handler) remove(w http.ResponseWriter, r *http.Request, group *gcnode.Group, key string) {
	if err := group.Remove(r.Context(), key); err != nil {
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
	if f.kind == kindName(gcnode.KindInternal) {
		h.opts.Logger.LogAttrs(r.Context(), slog.LevelError, "request failed by a defect",
			slog.String("method", r.Method), slog.String("group", group.Name()), slog.Any("error", err))
	}
	h.log(r, group, f.status)
	writeError(w, f)
}

// log records a request.
func (h *Handler) log(r *http.Request, group *gcnode.Group, status int) {
	h.opts.Logger.LogAttrs(r.Context(), slog.LevelDebug, "request",
		slog.String("method", r.Method), slog.String("group", group.Name()), slog.Int("status", status))
}
