package groupcache_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	groupcache "github.com/gcnode/gcnode/compat/mailgun"
)

// slogLogger is a Logger that writes to a logger of log/slog.
type slogLogger struct {
	*slog.Logger

	level slog.Level
}

func (l slogLogger) Error() groupcache.Logger { return slogLogger{l.Logger, slog.LevelError} }
func (l slogLogger) Warn() groupcache.Logger  { return slogLogger{l.Logger, slog.LevelWarn} }
func (l slogLogger) Info() groupcache.Logger  { return slogLogger{l.Logger, slog.LevelInfo} }
func (l slogLogger) Debug() groupcache.Logger { return slogLogger{l.Logger, slog.LevelDebug} }

func (l slogLogger) ErrorField(label string, err error) groupcache.Logger {
	return slogLogger{l.With(slog.Any(label, err)), l.level}
}

func (l slogLogger) StringField(label, val string) groupcache.Logger {
	return slogLogger{l.With(slog.String(label, val)), l.level}
}

func (l slogLogger) WithFields(fields map[string]any) groupcache.Logger {
	for label, val := range fields {
		l.Logger = l.With(slog.Any(label, val))
	}
	return l
}

func (l slogLogger) Printf(format string, args ...any) {
	l.LogAttrs(context.Background(), l.level, fmt.Sprintf(format, args...)) //nolint:sloglint // the message is made elsewhere
}

// What this package has to say goes to log/slog. For logrus see the comment of the
// function.
func ExampleSetLoggerFromLogger() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	groupcache.SetLoggerFromLogger(slogLogger{log, slog.LevelInfo})
	fmt.Println("it is set")
	groupcache.SetLoggerFromLogger(nil)
	// Output: it is set
}
