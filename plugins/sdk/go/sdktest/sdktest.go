//go:build !wasip1

// Package sdktest runs a getter natively, so that "go test" and a debugger see
// ordinary Go code. It stands in for a node: it hands over the configuration,
// collects the log, and performs fetches with an http.RoundTripper. Answers are
// what a node would be told.
//
// It is not a sandbox: time, memory and what may be fetched are not limited.
// Calls that are made concurrently run in parallel, where those of one instance
// only take turns; so the race detector finds what is wrong with both.
package sdktest

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

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
	// StoreBytes is the largest entry of the store, key and value. Other than
	// under a node, entries do not make room for others.
	StoreBytes int64
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
		stored: map[string]entry{},

		storeBytes: options.StoreBytes,
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

	storeBytes int64

	mu      sync.Mutex
	lines   []Line
	fetched []string
	stored  map[string]entry
}

// An entry is a value in the store.
type entry struct {
	value []byte
	until time.Time // zero: for good
}

// StoreGet implements getter.Host.
func (h *host) StoreGet(key string) (value []byte, found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, found := h.stored[key]
	if !found || !e.until.IsZero() && !time.Now().Before(e.until) {
		return nil, false
	}
	return slices.Clone(e.value), true
}

// StoreSet implements getter.Host.
func (h *host) StoreSet(key string, value []byte, ttl time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.stored, key)
	switch {
	case int64(len(key)+len(value)) > h.storeBytes:
		return false
	case ttl > 0:
		h.stored[key] = entry{slices.Clone(value), time.Now().Add(ttl)}
	case ttl == 0:
		h.stored[key] = entry{value: slices.Clone(value)}
	}
	return true
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
