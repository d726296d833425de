package wasm

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder keeps what is logged.
type recorder struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *recorder) lines() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func newRecorder() (*slog.Logger, *recorder) {
	r := &recorder{}
	return slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{
		Level: slog.LevelInfo,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})), r
}

func TestGuestLog(t *testing.T) {
	t.Parallel()
	logger, lines := newRecorder()
	p := loadVerbs(t, Options{Logger: logger, Name: "users", Instances: 1})
	assert.Equal(t, "1", get(t, p, "log:0:hidden"), "info is the lowest level that is recorded")
	get(t, p, "log:1:one\nlevel=ERROR \x1b[0mline")
	get(t, p, "log:2:two")
	get(t, p, "log:3:three")
	get(t, p, "log:-7:out of range")
	get(t, p, "log:1:"+strings.Repeat("x", maxLineBytes)+"cut")
	get(t, p, "print:printed")
	want := `level=INFO msg="guest log" plugin=users from=log line="one | level=ERROR [0mline"
level=WARN msg="guest log" plugin=users from=log line=two
level=ERROR msg="guest log" plugin=users from=log line=three
level=ERROR msg="guest log" plugin=users from=log line="out of range"
level=INFO msg="guest log" plugin=users from=log line=` + strings.Repeat("x", maxLineBytes) + `
level=INFO msg="guest log" plugin=users from=stdout line=printed
level=WARN msg="guest log" plugin=users from=stderr line=printed
`
	assert.Equal(t, want, lines.lines())
}

func TestReasonsAreLogged(t *testing.T) {
	t.Parallel()
	logger, lines := newRecorder()
	p := loadVerbs(t, Options{Logger: logger, Instances: 1})
	_, err := p.GetItem(t.Context(), "panic:the reason")
	require.Error(t, err)
	assert.Contains(t, lines.lines(), "the reason", "what Go prints")
	assert.Contains(t, lines.lines(), `msg="guest stopped"`)
	assert.Contains(t, lines.lines(), "main.get", "the names of functions are in the trace")
}

func TestFloodIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	logger, lines := newRecorder()
	p := loadVerbs(t, Options{Logger: logger, Timeout: patience})
	const flood = 20_000
	get(t, p, "flood:"+strconv.Itoa(flood))
	dropped := p.Stats().LogLinesDropped
	recorded := strings.Count(lines.lines(), "line=\"line ")
	assert.Positive(t, dropped)
	assert.EqualValues(t, flood, uint64(recorded)+dropped)
	require.NoError(t, p.Close(t.Context()))
	assert.Contains(t, lines.lines(), "lines were dropped")
}

func TestLogLimitRefills(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		logger, lines := newRecorder()
		var dropped atomic.Uint64
		l := newGuestLog(logger, "p", &dropped)
		for range lineBurst + 7 {
			l.line(levelInfo, "log", []byte("x"))
		}
		assert.EqualValues(t, 7, dropped.Load())
		assert.Equal(t, lineBurst, strings.Count(lines.lines(), "line=x"))
		assert.NotContains(t, lines.lines(), "too fast")

		timer := time.NewTimer(time.Second)
		<-timer.C
		for range linesPerSecond + 1 {
			l.line(levelInfo, "log", []byte("y"))
		}
		assert.Equal(t, linesPerSecond, strings.Count(lines.lines(), "line=y"))
		assert.Contains(t, lines.lines(), "lines=7")
	})
}

func TestLinesAreCutFromStreams(t *testing.T) {
	t.Parallel()
	logger, lines := newRecorder()
	var dropped atomic.Uint64
	b := lineBuffer{log: newGuestLog(logger, "p", &dropped), level: levelInfo, stream: "stdout"}
	for _, part := range []string{"a", "b\n\nc", "d\ne", strings.Repeat("f", 2*maxLineBytes), "g\nh"} {
		b.write([]byte(part))
	}
	b.flush()
	b.flush()
	var got []string
	for l := range strings.Lines(lines.lines()) {
		_, line, _ := strings.Cut(strings.TrimSpace(l), "line=")
		got = append(got, line)
	}
	assert.Equal(t, []string{"ab", "cd", "e" + strings.Repeat("f", maxLineBytes-1), "h"}, got)
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                         "",
		"\n":                       "",
		"plain":                    "plain",
		"took 1h30m\nunknown name": "took 1h30m | unknown name",
		"a\r\nb\r\n":               "a | b",
	} {
		assert.Equal(t, want, oneLine(in, 100))
	}
	assert.Equal(t, "a | ", oneLine("a\nbc", 4), "what replaces newlines counts")
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                          "",
		"plain äö 日本":               "plain äö 日本",
		"tab\there\nand\r\x00\x7f":  "tabhereand",
		"\xff\xfe invalid \xe2\x28": " invalid (",
		"real \ufffd stays":         "real \ufffd stays",
		"left\u202eright\u200b":     "leftright",
		"line\u2028break":           "linebreak",
		"c1\u0085control":           "c1control",
	} {
		assert.Equal(t, want, printable(in, 100))
	}
	assert.Equal(t, "ab", printable("abc", 2))
	assert.Equal(t, "a", printable("aä", 2), "no half characters")
}
