//go:build !wasip1

// Package sdktest runs a getter natively, so that "go test" and a debugger see
// ordinary Go code. It stands in for a node: it hands over the configuration,
// collects the log, and performs fetches with an http.RoundTripper. Answers are
// what a node would be told.
//
// It is not a sandbox: time, memory and what may be fetched are not limited,
// and calls may run concurrently although a node never does that within one
// instance.
package sdktest

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// Options are what a node would be configured with. The zero value has no
// settings, records lines from slog.LevelInfo on and denies every fetch.
type Options struct {
	Config getter.Config
	// Transport performs the fetches. If it is nil, they are denied.
	Transport http.RoundTripper
	// LogLevel is the lowest level that is recorded.
	LogLevel slog.Level
}

// A Line is one line of the log.
type Line struct {
	Level slog.Level
	Text  string
}

// An Instance is an opened getter. It is safe for concurrent use if the getter
// is.
type Instance struct {
	get  getter.Func
	host *host
}

// Start opens a getter. The error is the one for which a node would refuse the
// module.
func Start(open getter.Open, options Options) (*Instance, error) {
	h := &host{
		client: &http.Client{Transport: options.Transport},
		denied: options.Transport == nil,
		level:  options.LogLevel,
	}
	get, err := open.Start(options.Config, h)
	if err != nil {
		return nil, err
	}
	return &Instance{get: get, host: h}, nil
}

// Get asks the getter for one key. A deadline of ctx is seen by the getter,
// which it would not be under a node.
func (i *Instance) Get(ctx context.Context, key string) getter.Answer {
	return i.get.Answer(ctx, key)
}

// Log returns the lines that were logged so far.
func (i *Instance) Log() []Line {
	i.host.mu.Lock()
	defer i.host.mu.Unlock()
	return slices.Clone(i.host.lines)
}

// Fetched returns the URLs that were fetched so far, in order. A redirect
// counts once, with the URL that the getter asked for.
func (i *Instance) Fetched() []string {
	i.host.mu.Lock()
	defer i.host.mu.Unlock()
	return slices.Clone(i.host.fetched)
}

// A host is a getter.Host.
type host struct {
	client *http.Client
	denied bool
	level  slog.Level

	mu      sync.Mutex
	lines   []Line
	fetched []string
}

// LogLevel implements getter.Host.
func (h *host) LogLevel() slog.Level { return h.level }

// Log implements getter.Host.
func (h *host) Log(level slog.Level, line string) {
	if level < h.level {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, Line{Level: level, Text: line})
}
