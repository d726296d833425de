package groupcache

import (
	"context"
	"log/slog"
	"maps"
	"sync/atomic"
)

// Logger takes what no caller can be told. Each of its methods but Printf returns
// a logger that Printf is called on in the end; none of them may change the
// logger that it is called on.
type Logger interface {
	Error() Logger
	Warn() Logger
	Info() Logger
	Debug() Logger
	ErrorField(label string, err error) Logger
	StringField(label, val string) Logger
	WithFields(fields map[string]any) Logger
	Printf(format string, args ...any)
}

// SetLoggerFromLogger sets the logger of this process; nil logs nothing, as it is
// at the beginning. The example shows one for log/slog. An entry of logrus has a
// level only when it logs:
//
//	type logrusLogger struct {
//		*logrus.Entry
//		level logrus.Level
//	}
//
//	func (l logrusLogger) Error() groupcache.Logger { return logrusLogger{l.Entry, logrus.ErrorLevel} }
//
//	// Warn, Info and Debug are like Error.
//
//	func (l logrusLogger) ErrorField(label string, err error) groupcache.Logger {
//		return logrusLogger{l.WithField(label, err), l.level}
//	}
//
//	func (l logrusLogger) StringField(label, val string) groupcache.Logger {
//		return logrusLogger{l.WithField(label, val), l.level}
//	}
//
//	func (l logrusLogger) WithFields(fields map[string]any) groupcache.Logger {
//		return logrusLogger{l.Entry.WithFields(fields), l.level}
//	}
//
//	func (l logrusLogger) Printf(format string, args ...any) { l.Logf(l.level, format, args...) }
//
//	groupcache.SetLoggerFromLogger(logrusLogger{entry, logrus.InfoLevel})
func SetLoggerFromLogger(log Logger) { process.logs.set(log) }

// logs is where the records of the core go: to the logger that is set at that
// time.
type logs struct {
	to     atomic.Pointer[Logger]
	parent *logs          // has the logger, if there is one
	fields map[string]any // of all records
	group  string         // what the names of further fields begin with
}

func (l *logs) set(to Logger) {
	if to == nil {
		l.to.Store(nil)
		return
	}
	l.to.Store(&to)
}

// logger is what the core is given.
func (l *logs) logger() *slog.Logger { return slog.New(l) }

// current is the logger that is set now, or nil.
func (l *logs) current() Logger {
	if l.parent != nil {
		return l.parent.current()
	}
	if to := l.to.Load(); to != nil {
		return *to
	}
	return nil
}

// Enabled implements [slog.Handler].
func (l *logs) Enabled(context.Context, slog.Level) bool { return l.current() != nil }

// Handle implements [slog.Handler].
func (l *logs) Handle(_ context.Context, r slog.Record) error {
	to := l.current()
	if to == nil {
		return nil
	}
	switch {
	case r.Level >= slog.LevelError:
		to = to.Error()
	case r.Level >= slog.LevelWarn:
		to = to.Warn()
	case r.Level >= slog.LevelInfo:
		to = to.Info()
	default:
		to = to.Debug()
	}
	fields := map[string]any{"category": "groupcache"}
	maps.Copy(fields, l.fields)
	r.Attrs(func(a slog.Attr) bool {
		fields[l.group+a.Key] = a.Value.Resolve().Any()
		return true
	})
	to.WithFields(fields).Printf("%s", r.Message)
	return nil
}

// WithAttrs implements [slog.Handler].
func (l *logs) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := maps.Clone(l.fields)
	if fields == nil {
		fields = map[string]any{}
	}
	for _, a := range attrs {
		fields[l.group+a.Key] = a.Value.Resolve().Any()
	}
	return &logs{parent: l, fields: fields, group: l.group}
}

// WithGroup implements [slog.Handler].
func (l *logs) WithGroup(name string) slog.Handler {
	return &logs{parent: l, fields: l.fields, group: l.group + name + "."}
}
