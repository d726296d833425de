package wasm

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	defaultMemoryBytes   = 64 << 20
	defaultTimeout       = 10 * time.Second
	defaultQueue         = 1024
	defaultPending       = 64
	defaultFetches       = 1000
	defaultParallel      = 256
	defaultFetchBytes    = 64 << 20
	pageBytes            = 64 << 10
	maxAddressableBytes  = 4 << 30
	maxModuleBytes       = 64 << 20
	defaultCalls         = 100_000
	mostFuel             = 1 << 48
	defaultPluginName    = "plugin"
	maxPluginNameInBytes = 128
	mostFetchBytes       = 1 << 30
)

// Options configure a [Plugin]. The zero value is usable.
type Options struct {
	// Name is what the plugin is called in messages. Default: "plugin", with
	// [LoadFile] the base name of the file.
	Name string
	// SHA256 is the hash of the module in hexadecimal digits: another module
	// is refused, before anything of it is read. Default: any module.
	SHA256 string
	// Config is handed to the module: whole to gcnode_configure, by key to
	// config_get.
	Config map[string]string
	// Function is the export of a module for Extism that answers a key; default
	// "get". Other modules have none.
	Function string
	// Env is the environment that a module sees through WASI.
	Env map[string]string

	// AllowFetch lists the origins that the module may fetch from, as
	// "scheme://host[:port]". When it is empty a module that imports fetch
	// is refused.
	AllowFetch []string
	// AllowPrivate lets every host in AllowFetch resolve to a loopback,
	// link-local or private address. Without it only an entry that is such
	// an address itself reaches it, and "localhost" the loopback.
	AllowPrivate bool
	// MaxFetches bounds the HTTP exchanges of one request, redirects and
	// failed ones included; default 1000.
	MaxFetches int
	// MaxFetchBytes bounds what one request may send and receive by them, and
	// have waiting for that, in bytes; default 64 MiB, at most 1 GiB.
	MaxFetchBytes int64
	// ParallelFetches bounds how many exchanges that no guest waits for (by
	// fetch_start) are under way at the same time, in all instances; others
	// queue. Default 256.
	ParallelFetches int
	// Transport performs the exchanges. It must end when the context of the
	// request does. The addresses that it dials are its own responsibility:
	// AllowPrivate has no effect on it. Default: a transport without proxy.
	Transport http.RoundTripper
	// WrapTransport, when not nil, puts something around Transport, and
	// around the default one without giving up what that checks: a trace
	// context in each request, for example. What it adds to a request is not
	// counted.
	WrapTransport func(http.RoundTripper) http.RoundTripper

	// StoreBytes is the room of a store that all instances of the plugin
	// share; what was used least recently makes room. When it is 0 a module
	// that imports kv_get or kv_set is refused.
	StoreBytes int64

	// MaxMemoryBytes bounds the memory of one instance; default 64 MiB.
	MaxMemoryBytes int64
	// MaxValueBytes bounds a value; default and ceiling
	// [gcnode.MaxValueBytes].
	MaxValueBytes int
	// Timeout bounds one request: waiting for an instance, computing and
	// everything that the module asks of the host. The deadline of the
	// caller's context counts too if it is earlier. It also bounds the
	// start of an instance. Default 10 s.
	Timeout time.Duration
	// Instances is how many instances of the module there are at most, each of
	// which computes for one request at a time; default GOMAXPROCS. A module
	// that fetches by the blocking fetch occupies an instance meanwhile and
	// deserves more.
	Instances int
	// Pending is how many requests an instance has at the same time, if the
	// module can return while its fetches are under way (by fetch_start). It
	// computes for one of them, and the others wait for their answers. Default
	// 64.
	Pending int
	// Queue is how many callers may wait for an instance; more get
	// [gcnode.ErrOverloaded]. Default 1024; negative: nobody waits.
	Queue int

	// MaxFuel bounds the fuel (package fuel) of one request, besides its time: it
	// does not depend on how busy the machine is. A batch has as much for each of
	// its keys. What an instance has left of its last slice is not counted. At most
	// 1 << 48; default: not bounded.
	MaxFuel int64
	// Interruption is how a module is interrupted that cannot be given fuel.
	// Default: it is refused.
	Interruption Interruption
	// CallsPerInstance is how many requests an instance answers before a fresh one
	// takes its place, because few modules get every free() right; with 1 each
	// request has an instance of its own, and state of the module never outlives
	// it. Default 100,000.
	CallsPerInstance int
	// BreakAfter is how many instances in a row the module may lose (by traps,
	// deadlines and the like) before further requests are refused with
	// [gcnode.ErrOverloaded]: for a second at first, and for longer each time that
	// the one which is let through then loses an instance too, up to 30 s. It
	// spares the node the starts of a module that is broken, and lets a single key
	// that breaks it keep others from being answered. Default: never.
	BreakAfter int
	// Credentials are header fields, by origin, that every exchange with it has, in
	// place of those that the module may have set: it never sees them. Each origin
	// must be in AllowFetch. What is added is not counted.
	Credentials map[string]http.Header

	// FuelSlice is how much fuel (package fuel) a guest is given at once, at
	// least 1. Small slices make [Stats].Fuel exact and the guest slow, which
	// is for measuring. Default: what lasts about a millisecond.
	FuelSlice int64

	// Hooks are called when something happens.
	Hooks Hooks
	// Logger receives what the module logs and what happens to instances.
	// Default: discarded.
	Logger *slog.Logger
	// CacheDir keeps compiled modules between processes. Whoever can write
	// there decides what code runs, so only the owner may have access to it
	// (mode 0700); it is created when it does not exist. Default: none.
	CacheDir string
}

// withDefaults is a copy in which everything is set, or an error that names
// the field that cannot be used.
func (o Options) withDefaults() (Options, error) {
	errs := []error{
		notNegative("MaxFetches", o.MaxFetches),
		notNegative("MaxFetchBytes", o.MaxFetchBytes),
		notNegative("StoreBytes", o.StoreBytes),
		notNegative("MaxMemoryBytes", o.MaxMemoryBytes),
		notNegative("MaxValueBytes", o.MaxValueBytes),
		notNegative("Timeout", o.Timeout),
		notNegative("Instances", o.Instances),
		notNegative("Pending", o.Pending),
		notNegative("ParallelFetches", o.ParallelFetches),
		notNegative("FuelSlice", o.FuelSlice),
		notNegative("MaxFuel", o.MaxFuel),
		notNegative("CallsPerInstance", o.CallsPerInstance),
		notNegative("BreakAfter", o.BreakAfter),
		checkInterruption(o.Interruption),
		checkPin(o.SHA256),
		checkEnv(o.Env),
	}
	o.MaxFetches = orDefault(o.MaxFetches, defaultFetches)
	o.MaxFetchBytes = orDefault(o.MaxFetchBytes, defaultFetchBytes)
	o.MaxMemoryBytes = orDefault(o.MaxMemoryBytes, defaultMemoryBytes)
	o.MaxValueBytes = orDefault(o.MaxValueBytes, gcnode.MaxValueBytes)
	o.Timeout = orDefault(o.Timeout, defaultTimeout)
	o.Instances = orDefault(o.Instances, runtime.GOMAXPROCS(0))
	o.Pending = orDefault(o.Pending, defaultPending)
	o.ParallelFetches = orDefault(o.ParallelFetches, defaultParallel)
	o.CallsPerInstance = orDefault(o.CallsPerInstance, defaultCalls)
	o.Queue = max(orDefault(o.Queue, defaultQueue), 0)
	o.Name = orDefault(printable(o.Name, maxPluginNameInBytes), defaultPluginName)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxMemoryBytes < pageBytes || o.MaxMemoryBytes > maxAddressableBytes {
		errs = append(errs, fmt.Errorf("option MaxMemoryBytes is %d: it must be between %d and %d",
			o.MaxMemoryBytes, pageBytes, int64(maxAddressableBytes)))
	}
	if o.MaxFetchBytes > mostFetchBytes {
		errs = append(errs, fmt.Errorf("option MaxFetchBytes is %d: it must be at most %d", o.MaxFetchBytes, mostFetchBytes))
	}
	if o.MaxFuel > mostFuel {
		errs = append(errs, fmt.Errorf("option MaxFuel is %d: it must be at most %d", o.MaxFuel, int64(mostFuel)))
	}
	if o.MaxValueBytes > gcnode.MaxValueBytes {
		errs = append(errs, fmt.Errorf("option MaxValueBytes is %d: it must be at most %d",
			o.MaxValueBytes, gcnode.MaxValueBytes))
	}
	o.Config = maps.Clone(o.Config)
	o.Env = maps.Clone(o.Env)
	return o, errors.Join(errs...)
}

// function is the export of a module for Extism that answers a key.
func (o Options) function() string { return orDefault(o.Function, defaultFunction) }

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func notNegative[T int | int64 | time.Duration](name string, v T) error {
	if v < 0 {
		return fmt.Errorf("option %s is negative: %v", name, v)
	}
	return nil
}

// checkEnv refuses what cannot be told apart in the form "key=value\x00".
func checkEnv(env map[string]string) error {
	for k, v := range env {
		if k == "" || strings.ContainsAny(k, "=\x00") || strings.Contains(v, "\x00") {
			return fmt.Errorf("option Env has the entry %q: names are not empty and without '=', and neither names nor values contain NUL", k)
		}
	}
	return nil
}
