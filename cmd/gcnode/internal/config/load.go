package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// maxFileBytes bounds the configuration file, and those with secrets.
const maxFileBytes = 1 << 20

// The bounds of single settings.
const (
	minGroupBytes   = 64 * kibibyte
	maxGroupBytes   = 16 * tebibyte
	minBodyBytes    = 2 * gcnode.MaxValueBytes // as the interface asks for
	minPeerBytes    = (httptransport.MinRequestBytes + mebibyte - 1) / mebibyte * mebibyte
	minMemory       = 1 * mebibyte
	maxMemory       = 4 * gibibyte
	maxRequests     = 1_000_000
	maxInstances    = 1024
	maxPending      = 10_000
	maxStore        = 1 * gibibyte
	maxQueue        = 1_000_000
	maxLoads        = 1_000_000
	maxHotAfter     = 1_000_000
	maxFetches      = 1_000_000
	maxFuel         = 1 << 48
	maxCalls        = 1_000_000_000
	maxFetchBytes   = 1 * gibibyte
	shortestTime    = time.Millisecond
	longestTime     = 365 * 24 * time.Hour
	maxWeight       = 65535
	wasmMagic       = "\x00asm"
	forever         = "forever"
	noStore         = "no-store"
	never           = "never"
	exact           = "exact"
	coarsestClock   = time.Second
	smallestTimeout = 10 * time.Millisecond
	smallestSilence = 40 * time.Millisecond // has room for the signs of life of a peer
)

// Load reads a configuration file and puts the flags on top. An error is
// either an [*Error], which lists every wrong setting, or says that the
// file cannot be read.
func Load(path string, flags Flags) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return parse(data, path, flags)
}

// readFile reads a file of bounded size. Other things than files are refused
// before they are opened, which might wait for ever.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, pathError(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s must be a regular file, not a directory, pipe or device", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, pathError(err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, pathError(err)
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %s", path, FormatSize(maxFileBytes))
	}
	return data, nil
}

// parse reads the text of the file that was at path.
func parse(data []byte, path string, flags Flags) (*Config, error) {
	found := &problems{}
	if line, message := checkText(data); line > 0 {
		found.add(path, line, "", "%s", message)
		return nil, found.err()
	}
	root, err := documentRoot(data)
	if err != nil {
		line, message := syntaxError(err)
		found.add(path, line, "", "%s", message)
		return nil, found.err()
	}
	cfg := defaults()
	file := newSection(path, "", root, found)
	r := reader{dir: filepath.Dir(path), problems: found}
	r.read(file, cfg)
	file.close()
	flags.apply(cfg, found)
	r.checkMembers(file, cfg, flags)
	r.checkSchemes(file, cfg)
	r.checkListeners(cfg, flags)
	if err := found.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// documentRoot is the top node of the one document in data, nil when it is
// empty.
func documentRoot(data []byte) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(strings.NewReader(string(data)))
	if err != nil {
		return nil, err
	}
	var document, more yaml.Node
	switch err := loader.Load(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := loader.Load(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, err
		}
		return nil, &yaml.LoadError{
			Message: "a second document begins here; the file must hold one",
			Mark:    yaml.Mark{Line: more.Line},
		}
	}
	if document.Kind == yaml.DocumentNode && len(document.Content) == 1 {
		return document.Content[0], nil
	}
	return &document, nil
}

// syntaxError is the place and the message of what the YAML parser refused.
func syntaxError(err error) (line int, message string) {
	refused, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return 0, "the file is not YAML: " + err.Error()
	}
	message = refused.Message
	if refused.ContextMsg != "" {
		message = refused.ContextMsg + ": " + message
	}
	return refused.Mark.Line, "the file is not as YAML should be: " + message
}

// reader turns the file's sections into a configuration.
type reader struct {
	dir      string // relative paths in the file start here
	problems *problems
	listen   *section
	peers    []string // the path of each peer in the file
	peerIDs  []string // of peer_secrets, also of those that cannot be used

	modulesMayLack bool // a module need not be there to be named

	discovered setting // where the file says where the members come from
}

// read takes every setting of the file.
func (r *reader) read(file *section, cfg *Config) {
	r.id(file, "id", &cfg.ID)

	r.listen = file.section("listen")
	r.address(r.listen, "peers", &cfg.Listen.Peers)
	r.address(r.listen, "api", &cfg.Listen.API)
	r.address(r.listen, "admin", &cfg.Listen.Admin)
	r.listen.close()

	for _, peer := range file.sections("peers", "peers, each with id and url") {
		r.peer(peer, cfg)
	}
	r.transport(file, cfg)
	r.discovery(file, cfg)
	r.peerTLS(file.section("peer_tls"), cfg)
	r.peerSecrets(file.section("peer_secrets"), cfg)
	file.boolean("peer_accept_unsigned", &cfg.PeerAcceptUnsigned)
	r.peerLimits(file.section("peer_limits"), cfg)
	r.groups(file, cfg)
	r.peerAccess(file, cfg)
	r.checkUnsigned(file, cfg)

	logging := file.section("log")
	r.logLevel(logging, &cfg.Log.Level)
	r.logFormat(logging, &cfg.Log.JSON)
	logging.close()

	api := file.section("api")
	api.count("max_requests", &cfg.MaxRequests, 1, maxRequests)
	api.size("max_body_bytes", &cfg.MaxBodyBytes, minBodyBytes, maxGroupBytes)
	apiTLS := api.section("tls")
	r.certificates(apiTLS, "client_ca", &cfg.TLS)
	apiTLS.close()
	r.tokens(api.section("tokens"), cfg)
	api.close()
	r.access(file, cfg)

	admin := file.section("admin")
	admin.boolean("pprof", &cfg.Pprof)
	admin.close()

	file.duration("peer_timeout", &cfg.PeerTimeout, smallestSilence, longestTime, nil)
	file.duration("hot_ttl", &cfg.HotTTL, shortestTime, longestTime, nil)
	file.duration("join_timeout", &cfg.JoinTimeout, smallestTimeout, longestTime, nil)
	file.duration("hedge_after", &cfg.HedgeAfter, shortestTime, longestTime, map[string]time.Duration{never: 0})
	file.duration("clock_resolution", &cfg.ClockResolution, shortestTime, coarsestClock, map[string]time.Duration{exact: -1})
	file.duration("drain_timeout", &cfg.DrainTimeout, smallestTimeout, 0, nil)
	if t, ok := file.text("compilation_cache", "a directory", &cfg.CompilationCache); ok {
		cfg.CompilationCache = r.path(cfg.CompilationCache)
		if err := checkCache(cfg.CompilationCache); err != nil {
			t.wrong("%s", err)
		}
	}
}

// path resolves a path of the file.
func (r *reader) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.dir, path)
}

// id reads the name of a node.
func (r *reader) id(in *section, key string, dst *string) (setting, bool) {
	var id string
	t, ok := in.text(key, "the name of a node, such as a or cache-1", &id)
	if !ok {
		return t, false
	}
	if err := checkID(id); err != nil {
		t.wrong("%s", err)
		return t, false
	}
	*dst = id
	return t, true
}

// address reads where to listen.
func (r *reader) address(in *section, key string, dst *string) {
	var address string
	t, ok := in.text(key, "an address to listen on, such as 127.0.0.1:7001", &address)
	if !ok {
		return
	}
	if err := checkAddress(address); err != nil {
		t.wrong("%s", err)
		return
	}
	*dst = address
}

// peer reads one member of the cluster.
func (r *reader) peer(in *section, cfg *Config) {
	var peer gcnode.Peer
	id, hasID := r.id(in, "id", &peer.ID)
	url, hasURL := in.text("url", "the address of the peer, such as http://10.0.0.5:7001/", &peer.Addr)
	weight := 1
	in.count("weight", &weight, 1, maxWeight)
	if in.find("id") == nil {
		in.missing("id", "every peer needs the id that it was started with")
	}
	if in.find("url") == nil {
		in.missing("url", "every peer needs the address where it listens for peers, such as http://10.0.0.5:7001/")
	}
	in.close()
	if hasURL {
		addr, err := checkPeerURL(peer.Addr)
		if err != nil {
			url.wrong("%s", err)
		}
		peer.Addr = addr
	}
	if !hasID {
		return
	}
	for i, other := range cfg.Peers {
		if other.ID == peer.ID {
			id.wrong("%q is already the id of %s", peer.ID, r.peers[i])
			return
		}
		if peer.Addr != "" && other.Addr == peer.Addr {
			url.wrong("%q is already the url of %s", peer.Addr, r.peers[i])
		}
	}
	peer.Weight = uint16(weight)
	cfg.Peers = append(cfg.Peers, peer)
	r.peers = append(r.peers, in.path)
}

// logLevel reads the lowest level that is logged.
func (r *reader) logLevel(in *section, dst *slog.Level) {
	var name string
	t, ok := in.text("level", "one of "+logLevels, &name)
	if !ok {
		return
	}
	level, err := parseLogLevel(name)
	if err != nil {
		t.wrong("%s", err)
		return
	}
	*dst = level
}

// logFormat reads the form of the log's lines.
func (r *reader) logFormat(in *section, dst *bool) {
	var name string
	t, ok := in.text("format", "one of "+logFormats, &name)
	if !ok {
		return
	}
	json, err := parseLogFormat(name)
	if err != nil {
		t.wrong("%s", err)
		return
	}
	*dst = json
}

// checkMembers checks that id, peers and the peer listener fit together.
func (r *reader) checkMembers(file *section, cfg *Config, flags Flags) {
	if cfg.NATS != nil {
		r.checkNATS(file, cfg, flags)
		return
	}
	if r.discovered.in != nil {
		r.checkDiscovered(file, cfg, flags)
		if len(flags.Peers) > 0 {
			cfg.Discovery = Discovery{}
		}
	}
	if cfg.Discovery.On() {
		return
	}
	if len(cfg.Peers) == 0 {
		if cfg.ID == "" && file.find("id") == nil && flags.ID == "" {
			cfg.ID = DefaultID
		}
		return
	}
	switch {
	case cfg.ID != "":
		r.checkSelf(file, cfg)
	case file.find("id") == nil && flags.ID == "":
		file.missing("id", "a node with peers needs to know which of them it is (id in the file, or --id)")
	}
	r.needListener(cfg, flags)
}

// needListener reports that the node does not listen for others.
func (r *reader) needListener(cfg *Config, flags Flags) {
	if cfg.Listen.Peers == "" && r.listen.find("peers") == nil && flags.ListenPeers == "" {
		r.problems.add(r.listen.file, 0, "listen.peers",
			"is missing: a node with peers needs an address where it listens for them, such as 10.0.0.5:7001")
	}
}

// checkSelf checks that the node is one of the peers.
func (r *reader) checkSelf(file *section, cfg *Config) {
	ids := make([]string, 0, len(cfg.Peers))
	for _, peer := range cfg.Peers {
		if peer.ID == cfg.ID {
			return
		}
		ids = append(ids, peer.ID)
	}
	r.problems.add(file.file, 0, "peers", "the list must include this node, %q; it has %s", cfg.ID, quoted(ids))
}
