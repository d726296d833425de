package status

import gcnode "github.com/gcnode/gcnode/core"

// Report is the JSON of the statistics.
type Report struct {
	Node Node `json:"node"`
	// Discovery is nil for a node that is alone.
	Discovery *Discovery `json:"discovery,omitempty"`
	// PeerListener is nil for a node that does not listen to others.
	PeerListener *PeerListener `json:"peer_listener,omitempty"`
	// NATS is nil for a node that reaches the others by HTTP.
	NATS   *NATS   `json:"nats,omitempty"`
	Peers  []Peer  `json:"peers"`  // the other nodes, by id
	Groups []Group `json:"groups"` // by name
}

// Node is this node.
type Node struct {
	ID            string `json:"id"`
	Version       string `json:"version"`
	GoVersion     string `json:"go_version"`
	UptimeSeconds int64  `json:"uptime_seconds"`
	// Joined is false while the node joins its cluster.
	Joined bool `json:"joined"`
	// Silent are the nodes that this one has joined without, by id.
	Silent []string `json:"silent"`
	// Gaps counts how often everything was dropped because removals could have
	// been missed.
	Gaps uint64 `json:"gaps"`
	// RetryingRemovals counts removals that some node has not confirmed yet.
	RetryingRemovals int `json:"retrying_removals"`
}

// Peer is another node, as this one sees it.
type Peer struct {
	ID   string `json:"id"`
	Addr string `json:"url"`
	Down bool   `json:"down"`
	// Stream says that requests share a connection at the moment, and NoStream
	// why they cannot; both are zero when nothing was asked lately.
	Stream   bool   `json:"stream"`
	NoStream string `json:"no_stream"`
	// Unsigned says that its last answer was not signed, which is accepted.
	Unsigned bool `json:"unsigned"`
	// Posts are requests that were a POST of their own, Bundles POSTs that had
	// several fetches in them, and Bundled those that these have answered.
	Posts     uint64  `json:"posts"`
	Bundles   uint64  `json:"bundles"`
	Bundled   uint64  `json:"bundled"`
	Requests  uint64  `json:"requests"`
	Errors    uint64  `json:"errors"`
	FetchTime Latency `json:"fetch_time"`
}

// PeerListener is what became of requests of other nodes and their clients.
type PeerListener struct {
	SignaturesRefused Signatures `json:"signatures_refused"`
	// Denied counts requests that their senders may not make.
	Denied uint64 `json:"denied"`
	// Unsigned counts requests that were let in without a signature.
	Unsigned uint64 `json:"unsigned"`
}

// Signatures counts requests that were refused for theirs, by reason.
type Signatures struct {
	Missing     uint64 `json:"missing"`
	Unknown     uint64 `json:"unknown"`
	Wrong       uint64 `json:"wrong"`
	Misdirected uint64 `json:"misdirected"`
	Clock       uint64 `json:"clock"`
	Early       uint64 `json:"early"`
	Replayed    uint64 `json:"replayed"`
	TooMany     uint64 `json:"too_many"`
	Outdated    uint64 `json:"outdated"`
}

// Latency is how long something took, in seconds.
type Latency struct {
	Count uint64  `json:"count"`
	Sum   float64 `json:"sum_seconds"`
	P50   float64 `json:"p50_seconds"`
	P99   float64 `json:"p99_seconds"`
	P999  float64 `json:"p99_9_seconds"`
	// Observed is what the figures are made of.
	Observed gcnode.Latency `json:"-"`
}

// Group is the part of a group that is on this node.
type Group struct {
	Name          string  `json:"name"`
	Gets          uint64  `json:"gets"`
	Hits          uint64  `json:"hits"`
	HotHits       uint64  `json:"hot_hits"`
	NegativeHits  uint64  `json:"negative_hits"`
	StaleHits     uint64  `json:"stale_hits"`
	Joined        uint64  `json:"joined"`
	Fetches       uint64  `json:"fetches"`
	FetchErrors   uint64  `json:"fetch_errors"`
	Failovers     uint64  `json:"failovers"`
	Loads         uint64  `json:"loads"`
	LoadsNotFound uint64  `json:"loads_not_found"`
	LoadErrors    uint64  `json:"load_errors"`
	Refreshes     uint64  `json:"refreshes"`
	Overloaded    uint64  `json:"overloaded"`
	StaleOnError  uint64  `json:"stale_on_error"`
	Loading       int     `json:"loading"` // 0 without a limit on loads
	Queued        int     `json:"queued"`
	ServedFetches uint64  `json:"served_fetches"`
	Peeks         uint64  `json:"peeks"`
	PeekHits      uint64  `json:"peek_hits"`
	Inherited     uint64  `json:"inherited"`
	HotAdmitted   uint64  `json:"hot_admitted"`
	HotRefused    uint64  `json:"hot_refused"`
	Revalidated   uint64  `json:"revalidated"`
	Hedges        uint64  `json:"hedges"`
	HedgesWon     uint64  `json:"hedges_won"`
	Sets          uint64  `json:"sets"`
	Removals      uint64  `json:"removals"`
	Clears        uint64  `json:"clears"`
	LoadTime      Latency `json:"load_time"`
	Owned         Store   `json:"owned"`
	Hot           Store   `json:"hot"`
	Plugin        *Plugin `json:"plugin,omitempty"`
}

// Store is a part of a group's memory.
type Store struct {
	Entries  int    `json:"entries"`
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`
	Evicted  uint64 `json:"evicted"`
	Expired  uint64 `json:"expired"`
	Removed  uint64 `json:"removed"`
	Replaced uint64 `json:"replaced"`
	Rejected uint64 `json:"rejected"`
}

// Plugin is what became of the calls of a group's module.
type Plugin struct {
	Calls           Calls     `json:"calls"`
	Fetches         Fetches   `json:"fetches"`
	Instances       Instances `json:"instances"`
	Queue           Queue     `json:"queue"`
	Times           Times     `json:"times"`
	Interruption    string    `json:"interruption"` // fuel or engine
	Fuel            uint64    `json:"fuel"`
	LogLinesDropped uint64    `json:"log_lines_dropped"`
}

// Calls counts finished calls by outcome.
type Calls struct {
	OK         uint64 `json:"ok"`
	NotFound   uint64 `json:"not_found"`
	Transient  uint64 `json:"transient"`
	Permanent  uint64 `json:"permanent"`
	Denied     uint64 `json:"denied"`
	Overloaded uint64 `json:"overloaded"`
	TooLarge   uint64 `json:"too_large"`
	Timeout    uint64 `json:"timeout"`
	Canceled   uint64 `json:"canceled"`
	Other      uint64 `json:"other"`
}

// Fetches counts the HTTP exchanges that the module asked for.
type Fetches struct {
	Started uint64 `json:"started"`
	Denied  uint64 `json:"denied"`
	Failed  uint64 `json:"failed"`
}

// Instances are the running copies of the module.
type Instances struct {
	Live      int       `json:"live"`
	Idle      int       `json:"idle"`
	Pending   int       `json:"pending"`
	Memory    int64     `json:"memory_bytes"`
	Created   uint64    `json:"created"`
	Discarded Discarded `json:"discarded"`
}

// Discarded counts instances that were thrown away, by reason.
type Discarded struct {
	Trap     uint64 `json:"trap"`
	Exit     uint64 `json:"exit"`
	Timeout  uint64 `json:"timeout"`
	Canceled uint64 `json:"canceled"`
	Contract uint64 `json:"contract"`
	Memory   uint64 `json:"memory"`
	Fuel     uint64 `json:"fuel"`
	Worn     uint64 `json:"worn"`
	Failed   uint64 `json:"failed"`
	Closed   uint64 `json:"closed"`
}

// Times says where time went, in seconds in all.
type Times struct {
	Queue   float64 `json:"queue_seconds"`
	Guest   float64 `json:"guest_seconds"`
	Fetch   float64 `json:"fetch_seconds"`
	Compile float64 `json:"compile_seconds"`
}

// Queue describes the callers that wait for an instance.
type Queue struct {
	Waiting  int    `json:"waiting"`
	Waited   uint64 `json:"waited"`
	Rejected uint64 `json:"rejected"`
}

// Count is a figure with the name that it has in the JSON.
type Count struct {
	Name  string
	Count uint64
}

// ByOutcome lists the calls.
func (c Calls) ByOutcome() []Count {
	return []Count{
		{"ok", c.OK},
		{"not_found", c.NotFound},
		{"transient", c.Transient},
		{"permanent", c.Permanent},
		{"denied", c.Denied},
		{"overloaded", c.Overloaded},
		{"too_large", c.TooLarge},
		{"timeout", c.Timeout},
		{"canceled", c.Canceled},
		{"other", c.Other},
	}
}

// ByReason lists the refused requests.
func (s Signatures) ByReason() []Count {
	return []Count{
		{"missing", s.Missing},
		{"unknown", s.Unknown},
		{"wrong", s.Wrong},
		{"misdirected", s.Misdirected},
		{"clock", s.Clock},
		{"early", s.Early},
		{"replayed", s.Replayed},
		{"too_many", s.TooMany},
		{"outdated", s.Outdated},
	}
}

// ByReason lists the discarded instances.
func (d Discarded) ByReason() []Count {
	return []Count{
		{"trap", d.Trap},
		{"exit", d.Exit},
		{"timeout", d.Timeout},
		{"canceled", d.Canceled},
		{"contract", d.Contract},
		{"memory", d.Memory},
		{"fuel", d.Fuel},
		{"worn", d.Worn},
		{"failed", d.Failed},
		{"closed", d.Closed},
	}
}
