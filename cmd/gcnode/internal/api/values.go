package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// TypeNDJSON is the media type of results, one in each line.
	TypeNDJSON = "application/x-ndjson"
	// TypeJSON is that of a list of keys in an array.
	TypeJSON = "application/json"

	// lineTime is how long the application may take for a result, or a piece of
	// a large one.
	lineTime = time.Minute
	// queuedResults is how many results may wait for the application while
	// further ones come in.
	queuedResults = 64
	// partKeys are the keys of a request that are got together, at most, and
	// parallelParts how many such parts are got at a time: what an application has
	// not read yet is held in memory.
	partKeys      = 250
	parallelParts = 4
)

// serveValues reads many values, or removes all.
func (h *Handler) serveValues(w http.ResponseWriter, r *http.Request, name string) {
	if !allow(w, r, http.MethodPost, http.MethodDelete) {
		return
	}
	if r.Method == http.MethodDelete {
		h.clear(w, r, name)
		return
	}
	group, keys, ok := h.readKeys(w, r, name)
	if ok {
		h.stream(w, r, group, keys)
	}
}

// clear takes all values of the group out of every node.
func (h *Handler) clear(w http.ResponseWriter, r *http.Request, name string) {
	if err := allOf(r.URL.RawQuery); err != nil {
		writeError(w, malformed("%v", err).failure)
		return
	}
	if group, ok := h.lookup(w, name); ok {
		h.finish(w, r, group, "clear", group.Clear(r.Context()))
	}
}

// removeMany takes keys out of every node.
func (h *Handler) removeMany(w http.ResponseWriter, r *http.Request, name string) {
	group, keys, ok := h.readKeys(w, r, name)
	if ok {
		h.finish(w, r, group, "remove", group.Remove(r.Context(), keys...))
	}
}

// readKeys reads the keys that a request lists in its body, and otherwise
// answers it.
func (h *Handler) readKeys(w http.ResponseWriter, r *http.Request, name string) (*gcnode.Group, []string, bool) {
	if r.URL.RawQuery != "" {
		writeError(w, malformed("the query must be empty: the keys are listed in the body").failure)
		return nil, nil, false
	}
	// A form on any web page can send other types, but not these, to a node that
	// its reader can reach.
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != TypeJSON && got != TypeNDJSON {
		writeError(w, failure{
			status: http.StatusUnsupportedMediaType, kind: kindBadRequest,
			message: "the list of keys must have the Content-Type " + TypeJSON + " or " + TypeNDJSON,
		})
		return nil, nil, false
	}
	group, ok := h.lookup(w, name)
	if !ok {
		return nil, nil, false
	}
	list, err := h.bodies.read(r, "the list of keys", maxKeysBody)
	if err != nil {
		h.fail(w, r, group, err)
		return nil, nil, false
	}
	defer list.release()
	keys, err := parseKeys(list.String())
	if err != nil {
		h.fail(w, r, group, err)
		return nil, nil, false
	}
	return group, keys, true
}

// result is the answer to one key.
type result struct {
	gcnode.Result[gcnode.Value]

	err error
}

// stream answers with the values of the keys as they become ready: each is sent
// when no other is.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, group *gcnode.Group, keys []string) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", TypeNDJSON)
	header.Set("X-Content-Type-Options", "nosniff")
	lines := newLineWriter(w)
	w.WriteHeader(http.StatusOK)
	lines.flush()

	ctx, cancel := context.WithCancel(r.Context())
	results := make(chan result, queuedResults)
	go func() {
		defer close(results)
		collect(ctx, group, keys, results)
	}()
	defer func() {
		cancel()
		for range results { // it ends when nothing runs any more
		}
	}()
	for res := range results {
		if r.Context().Err() != nil {
			break
		}
		h.logDefect(r, group, res.err)
		lines.write(&res)
		if len(results) == 0 {
			lines.flush()
		}
		if lines.err != nil {
			break
		}
	}
	if r.Context().Err() != nil || lines.err != nil {
		h.log(r, group, statusClientGone)
		panic(http.ErrAbortHandler) //nolint:forbidigo // the one way to cut off what would look like the whole answer
	}
	h.log(r, group, http.StatusOK)
}

// collect sends the results of all keys in the order of their readiness, until
// ctx ends. The parts are about equal: one of a single key would not wait for its
// turn where others load as much as the group allows.
func collect(ctx context.Context, group *gcnode.Group, keys []string, results chan<- result) {
	parts := (len(keys) + partKeys - 1) / partKeys
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(parts, parallelParts) {
		wg.Go(func() {
			for n := int(next.Add(1)); n <= parts && ctx.Err() == nil; n = int(next.Add(1)) {
				from := len(keys) * (n - 1) / parts
				for res, err := range group.Stream(ctx, keys[from:len(keys)*n/parts]) {
					res.Index += from
					select {
					case results <- result{res, err}:
					case <-ctx.Done():
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// lineWriter writes results to an application.
type lineWriter struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	buffer     *bufio.Writer
	err        error
}

func newLineWriter(w http.ResponseWriter) *lineWriter {
	l := &lineWriter{w: w, controller: http.NewResponseController(w)}
	l.buffer = bufio.NewWriterSize(l, pieceBytes)
	return l
}

// Write sends a piece, for which the application has time of its own.
func (l *lineWriter) Write(p []byte) (int, error) {
	extend(l.controller, lineTime)
	n, err := l.w.Write(p)
	if err != nil {
		l.err = err
	}
	return n, err
}

// flush sends what there is.
func (l *lineWriter) flush() {
	extend(l.controller, lineTime)
	if err := errors.Join(l.buffer.Flush(), l.controller.Flush()); err != nil && !errors.Is(err, http.ErrNotSupported) {
		l.err = err
	}
}

// write writes a result in one line.
func (l *lineWriter) write(res *result) {
	b := l.buffer
	_, _ = b.WriteString(`{"index":` + strconv.Itoa(res.Index) + `,"key":`)
	writeText(b, res.Key)
	life := gcnode.NoStore
	if res.err == nil || errors.Is(res.err, gcnode.ErrNotFound) {
		life = res.Keep
	}
	if res.err == nil {
		_, _ = b.WriteString(`,"value":`)
		writeText(b, res.Value.String())
	} else {
		detail, err := json.Marshal(failureOf(res.err).detail())
		if err != nil {
			detail = []byte(`{"kind":"internal","message":"the error cannot be shown"}`)
		}
		_, _ = b.WriteString(`,"error":`)
		_, _ = b.Write(detail)
	}
	_, _ = b.WriteString(`,"cache_control":"` + cacheControl(life) + "\"}\n")
}

// Result is a line of the answer to a request for many values.
type Result struct {
	// Index is the place of the key in the list.
	Index int  `json:"index"`
	Key   Text `json:"key"`
	// Value is there unless there is an error.
	Value Text         `json:"value"`
	Error *ErrorDetail `json:"error,omitempty"`
	// CacheControl is how long the value, or that there is none, may be kept.
	CacheControl string `json:"cache_control"`
}

// logDefect logs an error that is the node's own fault.
func (h *Handler) logDefect(r *http.Request, group *gcnode.Group, err error) {
	if err != nil && failureOf(err).kind == kindName(gcnode.KindInternal) {
		h.opts.Logger.LogAttrs(r.Context(), slog.LevelError, "request failed by a defect",
			slog.String("method", r.Method), slog.String("group", group.Name()), slog.Any("error", err))
	}
}
