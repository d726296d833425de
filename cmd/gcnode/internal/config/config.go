// Package config reads what a node is told to be: the configuration file,
// with flags on top. It reports every wrong setting at once, with its place.
package config

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/access"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/http/certs"
)

// Config is a whole and checked configuration.
type Config struct {
	// ID is the node's name in the cluster; it decides which keys it owns.
	ID     string
	Listen Listen
	// Peers is the full member list, this node included; empty: it comes from
	// Discovery, or the node is alone.
	Peers     []gcnode.Peer
	Discovery Discovery
	// NATS is what members talk over; nil: HTTP. Over NATS they find each other.
	NATS    *NATS
	PeerTLS PeerTLS
	// PeerSecrets are those by which members know each other, ordered as in the
	// file: the first one signs. Empty: nothing is signed.
	PeerSecrets []httptransport.Secret
	// PeerAcceptUnsigned lets nodes in that have none of the secrets.
	PeerAcceptUnsigned bool
	// PeerAccess is what members and their clients may do; nil: everything.
	PeerAccess map[string]httptransport.Grant
	PeerLimits PeerLimits
	Groups     []Group // ordered as in the file
	Log        Log
	// PeerTimeout is the silence after which a peer counts as dead.
	PeerTimeout time.Duration
	// HotTTL is the longest life of a copy of another node's value.
	HotTTL time.Duration
	// JoinTimeout is how long a node that starts waits for members that do not
	// answer.
	JoinTimeout time.Duration
	// HedgeAfter is how long a fetch waits for a node before the next in line is
	// asked as well, or runs its plugin if it is this one; 0: never.
	HedgeAfter time.Duration
	// ClockResolution is how much longer than its life a value may be served;
	// negative: the clock is read each time.
	ClockResolution time.Duration
	// DrainTimeout bounds the time from the first signal to the exit.
	DrainTimeout time.Duration
	// CompilationCache is a directory that keeps compiled modules between
	// starts; empty: none.
	CompilationCache string
	// MaxRequests is how many requests of applications are answered at a time.
	MaxRequests int
	// MaxBodyBytes bounds the memory of all bodies that applications send.
	MaxBodyBytes int64
	// TLS are the certificates of the listener for applications, and the
	// authorities of those who use it.
	TLS certs.Files
	// Tokens are the secrets by which applications show who they are, ordered as
	// in the file. Without any, and without TLS.CA, everybody may do
	// everything.
	Tokens []access.Token
	// Access is what those may do who have shown who they are.
	Access access.List
	// Pprof adds Go's profiling endpoints to the administration listener.
	Pprof bool
}

// Listen holds the addresses (host:port) of the three listeners.
type Listen struct {
	Peers string // empty: none; only without other nodes
	API   string
	Admin string
}

// PeerLimits bound what other nodes and their clients ask for at the same time.
type PeerLimits struct {
	MaxRequests int
	// MaxPerStream is how many of them one connection may have; 0: half.
	MaxPerStream int
	// MaxRequestBytes bounds the memory of all large requests.
	MaxRequestBytes int64
}

// Log says what is logged and how.
type Log struct {
	Level slog.Level
	JSON  bool // else text
}

// Group is one group of values and the plugin that knows where they come from.
type Group struct {
	Name   string
	Plugin Plugin
	// ContentType is told to applications with every value of the group.
	ContentType string
	// MaxBytes bounds the memory of the group on this node.
	MaxBytes int64
	// TTL is the life of a value when the plugin does not say.
	TTL gcnode.Lifetime
	// NegativeTTL is the life of "not found"; negative: it is not remembered.
	NegativeTTL time.Duration
	// TTLJitter is up to which part of a life is cut off at random.
	TTLJitter float64
	// RefreshAhead is how long before its end a value is reloaded when it is
	// asked for; 0: never.
	RefreshAhead time.Duration
	// StaleWhileRevalidate is for how long after its life a value is served
	// while it is reloaded.
	StaleWhileRevalidate time.Duration
	// StaleOnError is for how long after its life a value is served that
	// cannot be reloaded.
	StaleOnError time.Duration
	// LoadTimeout bounds one load.
	LoadTimeout time.Duration
	// MaxLoads bounds the loads that run at the same time; 0: no bound.
	MaxLoads int
	// MaxQueuedLoads is how many more may wait for their turn.
	MaxQueuedLoads int
	// HotAfter is the how-manieth fetch of another node's value makes a copy.
	HotAfter int
}

// Options are those of the node's group.
func (g *Group) Options() gcnode.GroupOptions {
	return gcnode.GroupOptions{
		MaxBytes:             g.MaxBytes,
		TTL:                  g.TTL,
		TTLJitter:            g.TTLJitter,
		NegativeTTL:          g.NegativeTTL,
		RefreshAhead:         g.RefreshAhead,
		StaleWhileRevalidate: g.StaleWhileRevalidate,
		StaleOnError:         g.StaleOnError,
		LoadTimeout:          g.LoadTimeout,
		MaxLoads:             g.MaxLoads,
		MaxQueuedLoads:       g.MaxQueuedLoads,
		HotAfter:             g.HotAfter,
	}
}

// Path is where the group stands in the file, such as groups.godoc.
func (g *Group) Path() string { return "groups." + quotedKey(g.Name) }

// Plugin is a getter that is supplied as a WebAssembly module.
type Plugin struct {
	// Module is the path of the module, absolute or relative to the working
	// directory.
	Module string
	// SHA256 is the hash of the only module that may run; empty: any.
	SHA256 string
	// Function is the export of a module for Extism that answers a key; empty:
	// "get", and the only choice for other modules.
	Function string
	// MaxMemoryBytes is the limit of one instance.
	MaxMemoryBytes int64
	// Timeout is one deadline for queueing, the guest and its fetches.
	Timeout time.Duration
	// Instances is how many requests compute at the same time; 0: one per CPU.
	Instances int
	// Pending is how many requests of one instance may wait for fetches.
	Pending int
	// Queue is how many callers may wait for an instance.
	Queue int
	// StoreBytes is the room that the instances share; 0: there is none.
	StoreBytes int64
	// AllowFetch are the origins that the guest may fetch from.
	AllowFetch []string
	// AllowPrivate lets the names in AllowFetch resolve to private addresses.
	AllowPrivate bool
	// MaxFetches and MaxFetchBytes bound what one request may fetch.
	MaxFetches    int
	MaxFetchBytes int64
	// ParallelFetches bounds the fetches that no guest waits for.
	ParallelFetches int
	// Interruption is how a module is interrupted that cannot be given fuel.
	Interruption wasm.Interruption
	// MaxFuel bounds what one request may compute; 0: its time alone does.
	MaxFuel int
	// CallsPerInstance is how many requests an instance answers; 0: 100,000.
	CallsPerInstance int
	// BreakAfter is how many instances in a row may be lost before requests are
	// refused for a while; 0: never.
	BreakAfter int
	// Credentials are header fields that the guest does not see, by origin.
	Credentials map[string]http.Header
	Config      map[string]string
	Env         map[string]string
}

// The ids and limits that are used when the file is silent.
const (
	DefaultID           = "local"
	DefaultAPI          = "127.0.0.1:8080"
	DefaultAdmin        = "127.0.0.1:8081"
	DefaultContentType  = "application/octet-stream"
	DefaultPeerTimeout  = 2 * time.Second
	DefaultHotTTL       = 10 * time.Second
	DefaultJoinTimeout  = 5 * time.Second
	DefaultHotAfter     = 2
	DefaultResolution   = 5 * time.Millisecond
	DefaultDrainTimeout = 20 * time.Second
	DefaultMaxRequests  = 10_000
	DefaultMaxBodyBytes = 256 * mebibyte
	DefaultMaxBytes     = 64 * mebibyte
	DefaultNegativeTTL  = 5 * time.Second
	DefaultLoadTimeout  = 30 * time.Second
	DefaultMemory       = 64 * mebibyte
	DefaultTimeout      = 10 * time.Second
	DefaultQueue        = 1024
	DefaultPending      = 64
	DefaultParallel     = 256
	DefaultMaxFetches   = 1000
	DefaultFetchBytes   = 64 * mebibyte
)

// defaults is the configuration of an empty file.
func defaults() *Config {
	return &Config{
		Listen:          Listen{API: DefaultAPI, Admin: DefaultAdmin},
		PeerTimeout:     DefaultPeerTimeout,
		HotTTL:          DefaultHotTTL,
		JoinTimeout:     DefaultJoinTimeout,
		ClockResolution: DefaultResolution,
		DrainTimeout:    DefaultDrainTimeout,
		PeerLimits:      PeerLimits{MaxRequests: httptransport.DefaultMaxConcurrent, MaxRequestBytes: httptransport.DefaultMaxRequestBytes},
		MaxRequests:     DefaultMaxRequests,
		MaxBodyBytes:    DefaultMaxBodyBytes,
	}
}

// defaultGroup is a group about which the file says nothing but its name.
func defaultGroup(name string) Group {
	return Group{
		Name:        name,
		ContentType: DefaultContentType,
		MaxBytes:    DefaultMaxBytes,
		TTL:         gcnode.Forever,
		NegativeTTL: DefaultNegativeTTL,
		LoadTimeout: DefaultLoadTimeout,
		HotAfter:    DefaultHotAfter,
		Plugin:      defaultPlugin(),
	}
}

// defaultPlugin is a plugin about which nothing is said but its module.
func defaultPlugin() Plugin {
	return Plugin{
		MaxMemoryBytes:  DefaultMemory,
		Timeout:         DefaultTimeout,
		Queue:           DefaultQueue,
		MaxFetches:      DefaultMaxFetches,
		Pending:         DefaultPending,
		ParallelFetches: DefaultParallel,
		MaxFetchBytes:   DefaultFetchBytes,
	}
}
