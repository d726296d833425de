package wasm

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxLineBytes   = 4 << 10
	linesPerSecond = 100
	lineBurst      = 200
	maxTraceBytes  = 4 << 10
)

// The levels of guests' logs, in the order of the guest ABI.
const (
	levelDebug = slog.LevelDebug
	levelInfo  = slog.LevelInfo
	levelWarn  = slog.LevelWarn
	levelError = slog.LevelError
)

// numberOfError is the number of the highest level in the guest ABI.
const numberOfError = 3

// levelOf is the level with a number of the guest ABI.
func levelOf(number int32) slog.Level {
	switch number {
	case 0:
		return levelDebug
	case 1:
		return levelInfo
	case 2:
		return levelWarn
	default:
		return levelError
	}
}

// guestLog is the log of a plugin. All instances share it and its limit of
// lines. It is safe for concurrent use.
type guestLog struct {
	logger  *slog.Logger
	dropped atomic.Uint64 // lines since the last one that was recorded
	total   *atomic.Uint64

	mu     sync.Mutex
	tokens float64
	filled time.Time
}

func newGuestLog(logger *slog.Logger, plugin string, dropped *atomic.Uint64) *guestLog {
	return &guestLog{
		logger: logger.With(slog.String("plugin", plugin)),
		total:  dropped,
		tokens: lineBurst,
		filled: time.Now(),
	}
}

// lowest is the lowest level, as a number of the guest ABI, that is recorded:
// 4 if none is.
func (l *guestLog) lowest() int32 {
	for number := range int32(numberOfError + 1) {
		if l.logger.Enabled(context.Background(), levelOf(number)) {
			return number
		}
	}
	return numberOfError + 1
}

// line records a line that came from a guest by way of origin. It keeps
// nothing of text.
func (l *guestLog) line(level slog.Level, origin string, text []byte) {
	if !l.logger.Enabled(context.Background(), level) || !l.take() {
		return
	}
	shown := oneLine(string(text[:min(len(text), maxLineBytes)]), maxLineBytes)
	l.logger.LogAttrs(context.Background(), level, "guest log", slog.String("from", origin), slog.String("line", shown))
}

// failure records why the host or a trap ended a guest.
func (l *guestLog) failure(s *stop, cause error) {
	level := levelWarn
	if s.reason == discardCanceled || s.reason == discardClosed {
		level = levelDebug // that is not the guest's fault
	}
	if !l.logger.Enabled(context.Background(), level) || !l.take() {
		return
	}
	trace := oneLine(cause.Error(), maxTraceBytes)
	l.logger.LogAttrs(context.Background(), level, "guest stopped",
		slog.String("reason", s.reason.String()), slog.String("error", s.Error()), slog.String("trace", trace))
}

// take takes the permission to record a line, and tells the log about those
// that were dropped before.
func (l *guestLog) take() bool {
	if !l.allow(time.Now()) {
		l.dropped.Add(1)
		l.total.Add(1)
		return false
	}
	l.tellDropped()
	return true
}

// tellDropped tells the log how many lines are missing.
func (l *guestLog) tellDropped() {
	if n := l.dropped.Swap(0); n > 0 {
		l.logger.LogAttrs(context.Background(), levelWarn, "guest logged too fast: lines were dropped", slog.Uint64("lines", n))
	}
}

func (l *guestLog) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = min(l.tokens+now.Sub(l.filled).Seconds()*linesPerSecond, lineBurst)
	l.filled = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

// lineBuffer cuts an output stream of a guest into lines for the log. What
// does not fit into a line is dropped.
type lineBuffer struct {
	log    *guestLog
	level  slog.Level
	stream string
	line   []byte
}

func (b *lineBuffer) write(p []byte) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			b.add(p)
			return
		}
		b.add(p[:end])
		b.flush()
		p = p[end+1:]
	}
}

func (b *lineBuffer) add(p []byte) {
	b.line = append(b.line, p[:min(len(p), maxLineBytes-len(b.line))]...)
}

// flush records the line as it is, if there is anything in it.
func (b *lineBuffer) flush() {
	if len(b.line) == 0 {
		return
	}
	b.log.line(b.level, b.stream, b.line)
	b.line = b.line[:0]
}
