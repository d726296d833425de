// Command probe is a getter whose keys are commands, for the tests of the SDK.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	_ "github.com/gcnode/gcnode/plugins/sdk/go/getterbatch"
)

func main() {}

func init() { getter.Register(open) }

func open(env *getter.Env) (getter.Func, error) {
	switch env.Config.String("open", "") {
	case "fail":
		return nil, errors.New("told to fail")
	case "panic":
		panic("told to panic")
	}
	p := &probe{env: env, log: env.Logger()}
	p.log.Info("opened", "settings", len(env.Config))
	return p.get, nil
}

type probe struct {
	env   *getter.Env
	log   *slog.Logger
	calls int
	ended string // how goroutines ended that were left behind
}

func (p *probe) get(ctx context.Context, key string) (getter.Item, error) {
	p.calls++
	command, arg, _ := strings.Cut(key, ":")
	switch command {
	case "echo":
		return item(arg), nil
	case "calls":
		return item(strconv.Itoa(p.calls)), nil
	case "setting":
		return item(p.env.Config.String(arg, "unset")), nil
	case "ttl":
		ttl, err := time.ParseDuration(arg)
		return getter.Item{TTL: ttl}, err
	case "default ttl":
		return getter.Item{}, nil
	case "no store":
		return getter.Item{TTL: getter.NoStore}, nil
	case "not found":
		return getter.Item{TTL: time.Minute}, fmt.Errorf("%w: told so", getter.ErrNotFound)
	case "transient":
		return getter.Item{}, errors.New("told so")
	case "permanent":
		return getter.Item{}, getter.ErrPermanent
	case "denied":
		return getter.Item{}, getter.ErrDenied
	case "overloaded":
		return getter.Item{}, getter.ErrOverloaded
	case "panic":
		panic(arg)
	case "nil":
		var missing *probe
		return item(strconv.Itoa(missing.calls)), nil
	case "goexit":
		runtime.Goexit()
	case "deadlock":
		<-make(chan int)
	case "sleep":
		d, err := time.ParseDuration(arg)
		time.Sleep(d)
		return item(arg), err
	case "spawn": // leaves a goroutine behind that can run
		go func() { p.ended += "ran " }()
	case "timer":
		time.AfterFunc(time.Millisecond, func() { p.ended += "rang " })
	case "stray panic":
		go func() { panic("in a goroutine of its own") }()
		runtime.Gosched()
	case "ended":
		return item(p.ended), nil
	case "leave": // leaves goroutines behind that wait
		p.leave(ctx, arg)
	case "goroutines":
		return item(goroutines()), nil
	case "log":
		p.log.LogAttrs(ctx, slog.LevelDebug, "low")
		p.log.LogAttrs(ctx, slog.LevelWarn, arg, slog.Int("n", 1))
	case "now":
		return item(strconv.FormatInt(time.Now().UnixMilli(), 10)), nil
	case "fetch":
		response, err := getter.Fetch(ctx, getter.FetchRequest{URL: arg, Header: getter.Header{{Name: "X-Probe", Value: "yes"}}})
		if err != nil {
			return getter.Item{}, err
		}
		return getter.Item{Value: append([]byte(response.Header.Get("x-answer")+" "), response.Body...)}, response.Err()
	case "make":
		n, err := strconv.Atoi(arg)
		return getter.Item{Value: make([]byte, n)}, err
	}
	return getter.Item{}, nil
}

// leave begins fetches that it does not wait for, with every kind of context.
func (p *probe) leave(ctx context.Context, url string) {
	derived, cancel := context.WithCancel(ctx)
	canceled, cancelNow := context.WithCancel(ctx)
	_ = context.AfterFunc(ctx, func() { p.ended += "after " })
	_ = context.AfterFunc(ctx, cancel)
	for _, c := range []context.Context{ctx, derived, context.WithoutCancel(ctx), canceled} {
		go func() {
			_, err := getter.Fetch(c, getter.FetchRequest{URL: url})
			p.ended += fmt.Sprintf("%v ", errors.Is(err, context.Canceled))
			_, err = getter.Fetch(c, getter.FetchRequest{URL: url})
			p.ended += fmt.Sprintf("%v ", errors.Is(err, context.Canceled))
		}()
	}
	runtime.Gosched()
	cancelNow()
}

func item(s string) getter.Item { return getter.Item{Value: []byte(s)} }

// goroutines shows that ordinary concurrency works within one call.
func goroutines() string {
	results := make(chan int)
	for n := range 10 {
		go func() {
			<-time.After(time.Duration(10-n) * time.Millisecond)
			results <- n
		}()
	}
	sum := 0
	for range 10 {
		sum += <-results
	}
	return strconv.Itoa(sum)
}
