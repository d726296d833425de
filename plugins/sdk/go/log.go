package getter

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
)

// A logSink takes finished lines. Its methods may be called concurrently.
type logSink interface {
	// Log writes one line without a line break at its end.
	Log(level slog.Level, line string)
	// LogLevel returns the lowest level that is recorded.
	LogLevel() slog.Level
}

// Logger returns a logger that writes to the node's log. Lines have the form
// of slog.TextHandler without time and level, which the node adds. The node
// cuts lines after 4 KiB and drops some when a getter logs too fast.
func (e *Env) Logger() *slog.Logger { return slog.New(e.LogHandler()) }

// LogHandler returns the handler behind Logger.
func (e *Env) LogHandler() slog.Handler {
	out := &lineWriter{sink: e.sink}
	return &logHandler{
		out: out,
		text: slog.NewTextHandler(out, &slog.HandlerOptions{
			Level:       slog.LevelDebug,
			ReplaceAttr: dropTimeAndLevel,
		}),
	}
}

// A logHandler formats lines as text and passes them on.
type logHandler struct {
	out  *lineWriter
	text slog.Handler
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.out.sink.LogLevel()
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.level = record.Level
	return h.text.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{out: h.out, text: h.text.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{out: h.out, text: h.text.WithGroup(name)}
}

func dropTimeAndLevel(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && (attr.Key == slog.TimeKey || attr.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return attr
}

// A lineWriter passes what a text handler writes, one line at a time, to a
// sink, at the level that was set before under mu.
type lineWriter struct {
	sink  logSink
	mu    sync.Mutex
	level slog.Level
}

func (w *lineWriter) Write(line []byte) (int, error) {
	w.sink.Log(w.level, string(bytes.TrimSuffix(line, []byte("\n"))))
	return len(line), nil
}
