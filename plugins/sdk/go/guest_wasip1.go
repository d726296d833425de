package getter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gcnode/gcnode/plugins/sdk/go/internal/guest"
)

// Register names the function that opens the getter. Call it from an init
// function, once: in a reactor nothing else of package main runs.
func Register(open Open) {
	guest.Register(func(raw []byte) (guest.Handler, error) {
		config, err := decodeConfig(raw)
		if err != nil {
			return nil, err
		}
		get, err := open.open(&Env{Config: config, sink: guestSink{}})
		if err != nil {
			return nil, err
		}
		return get.handle, nil
	})
}

// handle answers a key in the terms of the guest ABI.
func (f Func) handle(ctx context.Context, key string) guest.Answer {
	answer := f.answer(ctx, key)
	if answer.Stack != "" {
		guestSink{}.Log(slog.LevelError, answer.Message+"\n"+answer.Stack)
	}
	bytes := answer.Value
	if answer.Status != StatusOK {
		bytes = []byte(answer.Message)
	}
	return guest.Answer{Status: int32(answer.Status), TTLMillis: ttlMillis(answer.TTL), Bytes: bytes}
}

// exchange performs one fetch in terms of encoded messages. The error is a
// *FetchError without its URL if the node told it otherwise than by an answer.
func exchange(ctx context.Context, message []byte) ([]byte, error) {
	answer, err := guest.Fetch(ctx, message)
	switch {
	case err == nil:
		return answer, nil
	case errors.Is(err, guest.ErrNoRequest):
		return nil, errNoRequest
	case errors.Is(err, guest.ErrUsedUp):
		return nil, &FetchError{Failure: FailureTooMany, Message: err.Error()}
	case errors.Is(err, guest.ErrRefused):
		return nil, fmt.Errorf("%w: %w", ErrPermanent, err)
	default: // the context is done
		return nil, err
	}
}

// yield lets the node call for other requests.
func yield(ctx context.Context) error {
	if err := guest.Yield(ctx); !errors.Is(err, guest.ErrNoRequest) {
		return err
	}
	return errNoRequest
}

// platform is what an Env has in a guest beside its log: functions are imported,
// each only if it is reached.
type platform struct{}

func (*Env) storeGet(key string) ([]byte, bool) { return guest.StoreGet(key) }

func (*Env) storeSet(key string, value []byte, ttl time.Duration) bool {
	return guest.StoreSet(key, value, ttlMillis(ttl))
}

// guestSink writes to the node's log.
type guestSink struct{}

// Log implements logSink.
func (guestSink) Log(level slog.Level, line string) {
	switch {
	case level < slog.LevelInfo:
		guest.Log(guest.Debug, line)
	case level < slog.LevelWarn:
		guest.Log(guest.Info, line)
	case level < slog.LevelError:
		guest.Log(guest.Warn, line)
	default:
		guest.Log(guest.Error, line)
	}
}

// LogLevel implements logSink.
func (guestSink) LogLevel() slog.Level {
	switch n := guest.LogLevel(); {
	case n <= guest.Debug:
		return slog.LevelDebug
	case n == guest.Info:
		return slog.LevelInfo
	case n == guest.Warn:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}
