package natslink

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// events are what has happened to the connection. The zero value is ready for
// use.
type events struct {
	mu            sync.Mutex
	ending        bool
	lost          time.Time // zero: it is there
	interruptions uint64
	slow          uint64 // times that messages were thrown away
	err           string // the last one
}

// lostSince is since when there is no connection; zero: there is one.
func (e *events) lostSince() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lost
}

// expectEnd says that the connection is closed on purpose.
func (e *events) expectEnd() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ending = true
}

// interrupted takes note of a lost connection, and reports whether anybody has
// to know.
func (e *events) interrupted(err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ending {
		return false
	}
	e.interruptions++
	e.lost = time.Now()
	if err != nil {
		e.err = err.Error()
	}
	return true
}

// back returns how long there was no connection.
func (e *events) back() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	lost := e.lost
	e.lost = time.Time{}
	return time.Since(lost)
}

func (e *events) failed(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err.Error()
	if errors.Is(err, nats.ErrSlowConsumer) {
		e.slow++
	}
}

// handlers are the options that tell of what happens to the connection.
func (l *Link) handlers() []nats.Option {
	ctx := context.Background()
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if l.events.interrupted(err) {
				l.log.LogAttrs(ctx, slog.LevelWarn, "the connection to NATS is lost", slog.Any("err", err))
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			away := l.events.back()
			l.log.LogAttrs(ctx, slog.LevelInfo, "connected to NATS again", append(l.where(conn), slog.Duration("after", away.Round(time.Millisecond)))...)
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			l.events.failed(err)
			l.log.LogAttrs(ctx, slog.LevelDebug, "no connection to NATS", slog.String("err", err.Error()))
		}),
		nats.LameDuckModeHandler(func(conn *nats.Conn) {
			l.log.LogAttrs(ctx, slog.LevelWarn, "the NATS server is about to stop, and the node will be connected to another one", l.where(conn)...)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			l.events.failed(err)
			attrs := []slog.Attr{slog.String("err", err.Error())}
			if sub != nil {
				attrs = append(attrs, slog.String("subject", sub.Subject))
			}
			l.log.LogAttrs(ctx, slog.LevelError, "NATS reports an error", attrs...)
		}),
	}
}
