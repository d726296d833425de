package conformance

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// recorder is a log of level info and above that keeps what guests log.
type recorder struct {
	mu    sync.Mutex
	lines []line
}

type line struct {
	level slog.Level
	text  string
}

// Enabled implements [slog.Handler].
func (r *recorder) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements [slog.Handler].
func (r *recorder) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "line" {
			r.lines = append(r.lines, line{record.Level, a.Value.String()})
		}
		return true
	})
	return nil
}

// WithAttrs implements [slog.Handler].
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler { return r }

// WithGroup implements [slog.Handler].
func (r *recorder) WithGroup(string) slog.Handler { return r }

// levelsOf are the levels of the lines that hold a text.
func (r *recorder) levelsOf(text string) []slog.Level {
	r.mu.Lock()
	defer r.mu.Unlock()
	var levels []slog.Level
	for _, l := range r.lines {
		if strings.Contains(l.text, text) {
			levels = append(levels, l.level)
		}
	}
	return levels
}
