// Command go is a getter for the conformance suite: the key is a command and
// its arguments.
package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	_ "github.com/gcnode/gcnode/plugins/sdk/go/getterbatch"
)

func main() {}

func init() { getter.Register(open) }

func open(env *getter.Env) (getter.Func, error) {
	if env.Config.String("open", "") == "fail" {
		return nil, errors.New("told to fail")
	}
	if env.Config.String("open", "") == "strict" {
		if err := env.Config.Only("open", "known"); err != nil {
			return nil, err
		}
	}
	p := &probe{config: env.Config, store: env.Store(), log: env.Logger(), begun: time.Now()}
	return p.get, nil
}

type probe struct {
	config getter.Config
	store  getter.Store
	log    *slog.Logger
	begun  time.Time
}

func (p *probe) get(ctx context.Context, key string) (getter.Item, error) {
	command, rest, _ := strings.Cut(key, ":")
	switch command {
	case "echo":
		return text(rest)
	case "size":
		return text(strings.Repeat("x", number(rest)))
	case "ttl":
		return getter.Item{TTL: ttl(rest)}, nil
	case "nostore":
		return getter.Item{TTL: getter.NoStore}, nil
	case "notfound":
		life, message, _ := strings.Cut(rest, ":")
		return getter.Item{TTL: ttl(life)}, fmt.Errorf("%w: %s", getter.ErrNotFound, message)
	case "transient":
		return getter.Item{}, errors.New(rest)
	case "permanent":
		return getter.Item{}, fmt.Errorf("%w: %s", getter.ErrPermanent, rest)
	case "denied":
		return getter.Item{}, fmt.Errorf("%w: %s", getter.ErrDenied, rest)
	case "overloaded":
		return getter.Item{}, fmt.Errorf("%w: %s", getter.ErrOverloaded, rest)
	case "setting":
		return text(p.config.String(rest, "unset"))
	case "duration":
		d, err := p.config.Duration(rest, 7*time.Millisecond)
		if err != nil {
			return text("invalid")
		}
		return text(strconv.FormatInt(d.Milliseconds(), 10))
	case "log":
		level, line, _ := strings.Cut(rest, ":")
		return p.write(ctx, slog.Level(4*(number(level)-1)), line)
	case "now":
		return text(strconv.FormatInt(time.Now().UnixMilli(), 10))
	case "monotonic":
		return text(strconv.FormatInt(int64(time.Since(p.begun)), 10))
	case "set":
		life, rest, _ := strings.Cut(rest, ":")
		storeKey, value, _ := strings.Cut(rest, ":")
		return p.set(storeKey, value, number(life))
	case "stored":
		value, found := p.store.Get(rest)
		if !found {
			return getter.Item{}, getter.ErrNotFound
		}
		return getter.Item{Value: value}, nil
	case "escape":
		return text(getter.Escape(rest))
	case "trap":
		panic("told to")
	case "until": // until:KEY, of this probe alone: computes until something is stored
		return p.until(ctx, rest)
	case "pull": // pull:URL, of this probe alone: changes places with a goroutine that fetches
		return pull(ctx, rest)
	case "spin":
		for {
		}
	default:
		return fetch(ctx, command, rest)
	}
}

func (p *probe) until(ctx context.Context, key string) (getter.Item, error) {
	for {
		if value, found := p.store.Get(key); found {
			return getter.Item{Value: value}, nil
		}
		if err := getter.Yield(ctx); err != nil {
			return getter.Item{}, err
		}
	}
}

// pull uses what the SDK itself is made with.
func pull(ctx context.Context, arg string) (getter.Item, error) {
	next, stop := iter.Pull2(func(yield func(string, error) bool) {
		switch arg {
		case "panic":
			panic("pulled")
		case "goexit":
			runtime.Goexit()
		}
		for range 3 {
			response, err := getter.Fetch(ctx, getter.FetchRequest{URL: arg})
			if !yield(string(response.Body), err) {
				return
			}
		}
	})
	defer stop()
	var all string
	for {
		body, err, more := next()
		if !more || err != nil {
			return getter.Item{Value: []byte(all)}, err
		}
		all += body
	}
}

func (p *probe) write(ctx context.Context, level slog.Level, line string) (getter.Item, error) {
	p.log.LogAttrs(ctx, level, line)
	if p.log.Enabled(ctx, level) {
		return text("logs")
	}
	return text("silent")
}

func (p *probe) set(key, value string, millis int) (getter.Item, error) {
	if millis == 0 {
		p.store.Remove(key)
		return text("stored")
	}
	if !p.store.Set(key, []byte(value), ttl(strconv.Itoa(millis))) {
		return text("no room")
	}
	return text("stored")
}

func text(s string) (getter.Item, error) { return getter.Item{Value: []byte(s)}, nil }

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func ttl(millis string) time.Duration {
	return max(time.Duration(number(millis))*time.Millisecond, 0)
}

func fetch(ctx context.Context, command, rest string) (getter.Item, error) {
	request := getter.FetchRequest{Header: getter.Header{{Name: "X-Probe", Value: "yes"}}}
	count := 1
	if command == "again" || command == "many" || command == "limit" || command == "timeout" {
		argument, url, _ := strings.Cut(rest, ":")
		count, rest = number(argument), url
	}
	request.URL = rest
	switch command {
	case "many":
		return many(ctx, request, count)
	case "limit":
		request.MaxBodyBytes = uint32(count)
		return failure(ctx, request)
	case "timeout":
		request.Timeout = time.Duration(count) * time.Millisecond
		return failure(ctx, request)
	case "failure":
		return failure(ctx, request)
	case "post":
		request.Method, request.Body = "POST", []byte("posted")
	case "fetch", "again":
	default:
		return getter.Item{}, fmt.Errorf("%w: no such command", getter.ErrPermanent)
	}
	var response getter.FetchResponse
	for range count {
		var err error
		if response, err = getter.Fetch(ctx, request); err != nil {
			return getter.Item{}, err
		}
		if err := response.Err(); err != nil {
			return getter.Item{TTL: time.Minute}, err
		}
	}
	return text(response.Header.Get("x-answer") + " " + string(response.Body))
}

func failure(ctx context.Context, request getter.FetchRequest) (getter.Item, error) {
	_, err := getter.Fetch(ctx, request)
	if failed, ok := errors.AsType[*getter.FetchError](err); ok {
		return text(strconv.Itoa(int(failed.Failure)))
	}
	return text("0")
}

func many(ctx context.Context, request getter.FetchRequest, count int) (getter.Item, error) {
	var wg sync.WaitGroup
	good, size := 0, 0 // goroutines take turns, and only where they block
	for range count {
		wg.Go(func() {
			if response, err := getter.Fetch(ctx, request); err == nil && response.StatusCode == 200 {
				good++
				size += len(response.Body)
			}
		})
	}
	wg.Wait()
	return text(fmt.Sprint(good, " ", size))
}
