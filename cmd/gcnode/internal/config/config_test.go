package config_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/api"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

// writeFiles writes a configuration and a file that looks like a module into
// a directory, and returns the path of the configuration.
func writeFiles(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "node.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "m.wasm"), []byte("\x00asm\x01\x00\x00\x00"), 0o600))
	header := "Authorization: Bearer s3cret\nX-Api-Key: a:b\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "example.header"), []byte(header), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "text.wasm"), []byte("hello"), 0o600))
	return path
}

// problems loads a configuration that is wrong, and returns what is said
// about it with the directory left out.
func problems(t *testing.T, text string, flags config.Flags) []string {
	t.Helper()
	path := writeFiles(t, text)
	_, err := config.Load(path, flags)
	var list *config.Error
	require.ErrorAs(t, err, &list)
	lines := make([]string, 0, len(list.Problems))
	for _, p := range list.Problems {
		lines = append(lines, strings.ReplaceAll(p.String(), filepath.Dir(path)+string(filepath.Separator), ""))
	}
	return lines
}

const minimal = "groups: {g: {plugin: {module: m.wasm}}}\n"

func TestDefaultsOfAMinimalFile(t *testing.T) {
	path := writeFiles(t, minimal)
	cfg, err := config.Load(path, config.Flags{})
	require.NoError(t, err)
	assert.Equal(t, &config.Config{
		ID:     "local",
		Listen: config.Listen{API: "127.0.0.1:8080", Admin: "127.0.0.1:8081"},
		Groups: []config.Group{{
			Name:        "g",
			ContentType: "application/octet-stream",
			MaxBytes:    64 << 20,
			TTL:         gcnode.Forever,
			NegativeTTL: 5 * time.Second,
			LoadTimeout: 30 * time.Second,
			HotAfter:    2,
			Plugin: config.Plugin{
				Module:         filepath.Join(filepath.Dir(path), "m.wasm"),
				MaxMemoryBytes: 64 << 20,
				Timeout:        10 * time.Second,
				Pending:        64, ParallelFetches: 256,
				Queue:         1024,
				MaxFetches:    1000,
				MaxFetchBytes: 64 << 20,
			},
		}},
		PeerTimeout:     2 * time.Second,
		HotTTL:          10 * time.Second,
		JoinTimeout:     5 * time.Second,
		ClockResolution: 5 * time.Millisecond,
		DrainTimeout:    20 * time.Second,
		PeerLimits:      config.PeerLimits{MaxRequests: 10_000, MaxRequestBytes: 512 << 20},
		MaxRequests:     10_000,
		MaxBodyBytes:    256 << 20,
	}, cfg)
}

const full = `
id: b
listen:
  peers: 10.0.0.6:7001
  api: "[::1]:80"
  admin: :0
peers:
  - {id: a, url: http://10.0.0.5:7001}
  - {id: b, url: "http://10.0.0.6:7001/", weight: 3}
groups:
  pages:
    plugin:
      module: m.wasm
      function: fetch_page
      memory: 32 MB
      timeout: 1m
      instances: 2
      pending: 5
      queue: 7
      store: 1MiB
      parallel_fetches: 6
      max_fetches: 9
      max_fetch_bytes: 1GiB
      interruption: engine
      max_fuel: 1000000000
      calls_per_instance: 1
      break_after: 10
      credentials: {"https://example.com": {file: example.header}}
      allow_fetch: [http://127.0.0.1:6060, https://example.com]
      allow_private: true
      config: {origin: http://127.0.0.1:6060, depth: 3, on: true}
      env: {TZ: UTC}
    content_type: text/html; charset=utf-8
    max_bytes: 1.5GiB
    ttl: 90s
    ttl_jitter: 10%
    negative_ttl: never
    refresh_ahead: 20s
    stale_while_revalidate: 1m
    stale_on_error: 1h
    load_timeout: 20s
    max_loads: 8
    max_queued_loads: 100
    hot_after: 3
  "a/b c":
    plugin: {module: m.wasm}
    ttl: no-store
    ttl_jitter: 0.25
    refresh_ahead: never
    max_loads: 1
    max_queued_loads: 0
log: {level: warn, format: json}
api: {max_requests: 50, max_body_bytes: 1GiB}
admin: {pprof: true}
peer_limits: {max_requests: 100, max_per_stream: 20, max_request_bytes: 200MiB}
peer_timeout: 500ms
hot_ttl: 3s
join_timeout: 30s
hedge_after: 20ms
clock_resolution: exact
drain_timeout: 1h
compilation_cache: cache
`

func TestEverySettingIsRead(t *testing.T) {
	path := writeFiles(t, full)
	dir := filepath.Dir(path)
	cfg, err := config.Load(path, config.Flags{})
	require.NoError(t, err)
	other := cfg.Groups[1]
	assert.Equal(t, "a/b c", other.Name)
	assert.Equal(t, gcnode.NoStore, other.TTL)
	assert.InDelta(t, 0.25, other.TTLJitter, 0)
	assert.Zero(t, other.RefreshAhead)
	assert.Equal(t, 1, other.MaxLoads)
	assert.Zero(t, other.MaxQueuedLoads)
	cfg.Groups = cfg.Groups[:1]
	assert.Equal(t, gcnode.GroupOptions{
		MaxBytes: 3 << 29, TTL: gcnode.For(90 * time.Second), TTLJitter: 0.1, NegativeTTL: -1, RefreshAhead: 20 * time.Second,
		StaleWhileRevalidate: time.Minute, StaleOnError: time.Hour, LoadTimeout: 20 * time.Second, MaxLoads: 8, MaxQueuedLoads: 100,
		HotAfter: 3,
	}, cfg.Groups[0].Options())
	assert.Equal(t, &config.Config{
		ID:     "b",
		Listen: config.Listen{Peers: "10.0.0.6:7001", API: "[::1]:80", Admin: ":0"},
		Peers: []gcnode.Peer{
			{ID: "a", Addr: "http://10.0.0.5:7001/", Weight: 1},
			{ID: "b", Addr: "http://10.0.0.6:7001/", Weight: 3},
		},
		Groups: []config.Group{{
			Name:                 "pages",
			ContentType:          "text/html; charset=utf-8",
			MaxBytes:             3 << 29,
			TTL:                  gcnode.For(90 * time.Second),
			TTLJitter:            0.1,
			NegativeTTL:          -1,
			RefreshAhead:         20 * time.Second,
			StaleWhileRevalidate: time.Minute,
			StaleOnError:         time.Hour,
			LoadTimeout:          20 * time.Second,
			MaxLoads:             8,
			MaxQueuedLoads:       100,
			HotAfter:             3,
			Plugin: config.Plugin{
				Module:          filepath.Join(dir, "m.wasm"),
				Function:        "fetch_page",
				MaxMemoryBytes:  32e6,
				Timeout:         time.Minute,
				Instances:       2,
				Pending:         5,
				Queue:           7,
				StoreBytes:      1 << 20,
				ParallelFetches: 6,
				AllowFetch:      []string{"http://127.0.0.1:6060", "https://example.com"},
				AllowPrivate:    true,
				MaxFetches:      9,
				MaxFetchBytes:   1 << 30,

				Interruption:     wasm.InterruptByEngine,
				MaxFuel:          1e9,
				CallsPerInstance: 1,
				BreakAfter:       10,
				Credentials: map[string]http.Header{
					"https://example.com": {"Authorization": {"Bearer s3cret"}, "X-Api-Key": {"a:b"}},
				},
				Config: map[string]string{"origin": "http://127.0.0.1:6060", "depth": "3", "on": "true"},
				Env:    map[string]string{"TZ": "UTC"},
			},
		}},
		Log:              config.Log{Level: slog.LevelWarn, JSON: true},
		PeerLimits:       config.PeerLimits{MaxRequests: 100, MaxPerStream: 20, MaxRequestBytes: 200 << 20},
		PeerTimeout:      500 * time.Millisecond,
		HotTTL:           3 * time.Second,
		JoinTimeout:      30 * time.Second,
		HedgeAfter:       20 * time.Millisecond,
		ClockResolution:  -1,
		DrainTimeout:     time.Hour,
		MaxRequests:      50,
		MaxBodyBytes:     1 << 30,
		CompilationCache: filepath.Join(dir, "cache"),
		Pprof:            true,
	}, cfg)
}

func TestFlagsOverrideTheFile(t *testing.T) {
	cfg, err := config.Load(writeFiles(t, full), config.Flags{
		ID:          "x",
		ListenPeers: "127.0.0.1:1",
		ListenAPI:   "127.0.0.1:2",
		ListenAdmin: "127.0.0.1:3",
		Peers:       []string{"x=http://h:1/p", "y=https://h"},
		LogLevel:    "error",
		LogFormat:   "text",
	})
	require.NoError(t, err)
	assert.Equal(t, "x", cfg.ID)
	assert.Equal(t, config.Listen{Peers: "127.0.0.1:1", API: "127.0.0.1:2", Admin: "127.0.0.1:3"}, cfg.Listen)
	assert.Equal(t, []gcnode.Peer{
		{ID: "x", Addr: "http://h:1/p", Weight: 1},
		{ID: "y", Addr: "https://h/", Weight: 1},
	}, cfg.Peers)
	assert.Equal(t, config.Log{Level: slog.LevelError}, cfg.Log)
}

func TestAllWrongSettingsAreReportedAtOnce(t *testing.T) {
	got := problems(t, `id: two words
listen:
  peers: 7001
  api: 127.0.0.1:99999
  web: :80
peers:
  - {id: a, url: "ftp://h/", weight: 0}
  - {id: a, url: http://h:1/}
  - {url: http://h:1/?x=1}
  - plain
groups:
  g:
    plugin:
      module: nowhere.wasm
      memory: 64 potatoes
      timeout: 5
      instances: many
      allow_fetch: [http://h/path, h]
      config: [a]
      env: {A: {}, "B=": c}
    max_bytes: 1KiB
    ttl: soon
    ttl: 1m
    negative_ttl: 0s
    content_type: "text html"
    ttl_jitter: 10
    refresh_ahead: 0s
    stale_while_revalidate: 9000h
    stale_on_error:
    max_loads: 0
    max_queued_loads: -1
  h:
    plugin: {module: text.wasm}
  i: {}
  j: {plugin: {}}
  k: {plugin: {module: m.wasm, function: ""}}
log: {level: loud, format: xml}
admin: {pprof: maybe}
peer_timeout: -1s
hot_tll: 3s
clock_resolution: 2s
drain_timeout:
`, config.Flags{LogLevel: "silent", Peers: []string{"b"}})
	assert.Equal(t, []string{
		`node.yaml:1: id: "two words" must be a word of printable ASCII characters, without spaces`,
		`node.yaml:3: listen.peers: "7001" must be host:port, such as 127.0.0.1:7001 or [::1]:7001`,
		`node.yaml:4: listen.api: "127.0.0.1:99999": the port "99999" must be a number from 0 to 65535`,
		`node.yaml:5: listen.web: there is no such setting; those here are peers, api, admin`,
		`node.yaml:7: peers[0].weight: "0" must be a whole number from 1 to 65535`,
		`node.yaml:7: peers[0].url: "ftp://h/" must be a URL such as http://10.0.0.5:7001/`,
		`node.yaml:8: peers[1].id: "a" is already the id of peers[0]`,
		`node.yaml:9: peers[2].id: is missing: every peer needs the id that it was started with`,
		`node.yaml:9: peers[2].url: "http://h:1/?x=1" must be a URL such as http://10.0.0.5:7001/, without user, query and fragment`,
		`node.yaml:10: peers[3]: must hold settings (key: value), not "plain"`,
		`node.yaml:14: groups.g.plugin.module: nowhere.wasm: no such file or directory`,
		`node.yaml:15: groups.g.plugin.memory: "64 potatoes" must be a size from 1MiB to 4GiB, such as 64MiB, 1.5GB or a number of bytes`,
		`node.yaml:16: groups.g.plugin.timeout: "5" must be a duration of at least 10ms, such as 500ms, 30s or 1h30m`,
		`node.yaml:17: groups.g.plugin.instances: "many" must be a whole number from 1 to 1024`,
		`node.yaml:18: groups.g.plugin.allow_fetch[0]: "http://h/path" must be an origin such as https://example.com or http://10.0.0.9:8080, without a path`,
		`node.yaml:18: groups.g.plugin.allow_fetch[1]: "h" must be an origin such as https://example.com or http://10.0.0.9:8080, without a path`,
		`node.yaml:19: groups.g.plugin.config: must hold settings (key: value), not a list`,
		`node.yaml:20: groups.g.plugin.env.A: must be text, not a group of settings`,
		`node.yaml:20: groups.g.plugin.env."B=": the name of a variable must not be empty or hold = or NUL`,
		`node.yaml:21: groups.g.max_bytes: "1KiB" must be a size from 64KiB to 16TiB, such as 64MiB, 1.5GB or a number of bytes`,
		`node.yaml:22: groups.g.ttl: "soon" must be a duration of at least 1ms, such as 500ms, 30s or 1h30m, or forever, or no-store`,
		`node.yaml:23: groups.g.ttl: is set twice, first on line 22`,
		`node.yaml:24: groups.g.negative_ttl: "0s" must be a duration from 1ms to 8760h, such as 500ms, 30s or 1h30m, or never`,
		`node.yaml:25: groups.g.content_type: "text html" must be a media type such as text/html; charset=utf-8`,
		`node.yaml:26: groups.g.ttl_jitter: "10" must be a number of at least 0 and below 1, such as 0.1, or its percentage, such as 10%`,
		`node.yaml:27: groups.g.refresh_ahead: "0s" must be a duration from 1ms to 8760h, such as 500ms, 30s or 1h30m, or never`,
		`node.yaml:28: groups.g.stale_while_revalidate: "9000h" must be a duration from 1ms to 8760h, such as 500ms, 30s or 1h30m, or never`,
		`node.yaml:29: groups.g.stale_on_error: must be a duration from 1ms to 8760h, such as 500ms, 30s or 1h30m, or never, not nothing`,
		`node.yaml:30: groups.g.max_loads: "0" must be a whole number from 1 to 1000000`,
		`node.yaml:31: groups.g.max_queued_loads: "-1" must be a whole number from 0 to 1000000`,
		`node.yaml:33: groups.h.plugin.module: text.wasm is not a WebAssembly module (it does not begin with \0asm)`,
		`node.yaml:34: groups.i.plugin: is missing: a group needs the module that its values come from (plugin: {module: file.wasm})`,
		`node.yaml:35: groups.j.plugin.module: is missing: the path of a WebAssembly module, relative to this file, or of its manifest (manifest: getter.yaml)`,
		`node.yaml:36: groups.k.plugin.function: must be the name of a function that the module exports, not empty`,
		`node.yaml:37: log.level: "loud" must be one of debug, info, warn, error`,
		`node.yaml:37: log.format: "xml" must be one of text, json`,
		`node.yaml:38: admin.pprof: "maybe" must be true or false`,
		`node.yaml:39: peer_timeout: "-1s" must be a duration from 40ms to 8760h, such as 500ms, 30s or 1h30m`,
		`node.yaml:40: hot_tll: there is no such setting; those here are id, listen, peers, transport, nats, discovery, peer_tls, peer_secrets, peer_accept_unsigned, peer_limits, groups, peer_access, log, api, access, admin, peer_timeout, hot_ttl, join_timeout, hedge_after, clock_resolution, drain_timeout, compilation_cache`,
		`node.yaml:41: clock_resolution: "2s" must be a duration from 1ms to 1s, such as 5ms or 0.5s, or exact`,
		`node.yaml:42: drain_timeout: must be a duration of at least 10ms, such as 500ms, 30s or 1h30m, not nothing`,
		`--peer: "b" must be id=url, such as b=http://10.0.0.6:7001/`,
		`--log-level: "silent" must be one of debug, info, warn, error`,
	}, got)
}

func TestSettingsThatDoNotFitTogether(t *testing.T) {
	const peers = "peers: [{id: a, url: http://h:1/}, {id: b, url: http://h:2/}]\n"
	for _, tc := range []struct {
		name, text string
		flags      config.Flags
		want       []string
	}{
		{"empty file", "", config.Flags{}, []string{
			`node.yaml: groups: is missing: a node serves at least one group (groups: {name: {plugin: {module: file.wasm}}})`,
		}},
		{"comment only", "# nothing\n", config.Flags{}, []string{
			`node.yaml: groups: is missing: a node serves at least one group (groups: {name: {plugin: {module: file.wasm}}})`,
		}},
		{"not yaml", "a: [1\nb: 2", config.Flags{}, []string{
			`node.yaml:2: the file is not as YAML should be: while parsing a flow sequence: did not find expected ',' or ']'`,
		}},
		{"two documents", minimal + "---\nid: a\n", config.Flags{}, []string{
			`node.yaml:2: the file is not as YAML should be: a second document begins here; the file must hold one`,
		}},
		{"a list", "- a\n", config.Flags{}, []string{
			`node.yaml:1: must hold settings (key: value), not a list`,
		}},
		{"no id and no listener", minimal + peers, config.Flags{}, []string{
			`node.yaml:1: id: is missing: a node with peers needs to know which of them it is (id in the file, or --id)`,
			`node.yaml: listen.peers: is missing: a node with peers needs an address where it listens for them, such as 10.0.0.5:7001`,
		}},
		{"more for one than for all", minimal + "peer_limits:\n  max_requests: 10\n  max_per_stream: 11\n  max_streams: 1\n", config.Flags{}, []string{
			`node.yaml:4: peer_limits.max_per_stream: 11 are more than max_requests, which is 10`,
			`node.yaml:5: peer_limits.max_streams: there is no such setting; those here are max_requests, max_per_stream, max_request_bytes`,
		}},
		{"nothing to sign with", minimal + "peer_accept_unsigned: true\n", config.Flags{}, []string{
			`node.yaml:2: peer_accept_unsigned: nothing is signed without peer_secrets: set those, or take this out`,
		}},
		{"not a member", minimal + peers, config.Flags{ID: "c", ListenPeers: ":1"}, []string{
			`node.yaml: peers: the list must include this node, "c"; it has "a", "b"`,
		}},
		{"two peers at the same place", minimal + "id: a\nlisten: {peers: :1}\npeers:\n" +
			"  - {id: a, url: http://h:1}\n  - {id: b, url: http://H:1/}\n", config.Flags{}, []string{
			`node.yaml:6: peers[1].url: "http://h:1/" is already the url of peers[0]`,
		}},
		{"two flags at the same place", minimal, config.Flags{ID: "a", ListenPeers: ":1", Peers: []string{"a=http://h:1", "b=http://h:1/"}}, []string{
			`--peer: b: "http://h:1/" is already the url of "a"`,
		}},
		{"one address for two listeners", minimal + "listen:\n  api: :80\n  admin: 0.0.0.0:080\n  peers: '[::]:80'\n", config.Flags{}, []string{
			`node.yaml:4: listen.admin: "0.0.0.0:080" is also listen.api; every listener needs an address of its own`,
			`node.yaml:5: listen.peers: "[::]:80" is also listen.api; every listener needs an address of its own`,
			`node.yaml:5: listen.peers: "[::]:80" is also listen.admin; every listener needs an address of its own`,
		}},
		{"the default of another listener", minimal + "listen: {api: 127.0.0.1:8081}", config.Flags{}, []string{
			`node.yaml:2: listen.api: "127.0.0.1:8081" is also the default of listen.admin; every listener needs an address of its own`,
		}},
		{"the default of an earlier listener", minimal, config.Flags{ListenPeers: "127.0.0.1:8080"}, []string{
			`--listen-peers: "127.0.0.1:8080" is also the default of listen.api; every listener needs an address of its own`,
		}},
		{"a listener's flag and the file", minimal + "listen: {admin: 127.0.0.1:8082}", config.Flags{ListenAPI: "127.0.0.1:8082"}, []string{
			`node.yaml:2: listen.admin: "127.0.0.1:8082" is also --listen-api; every listener needs an address of its own`,
		}},
		{"not UTF-8", minimal + "# caf\xe9\n", config.Flags{}, []string{
			`node.yaml:2: the file must be UTF-8 text, and the byte 0xe9 here is not`,
		}},
		{"NUL", minimal + "\nid: \"a\x00\"\n", config.Flags{}, []string{
			`node.yaml:3: the file must be text, and the byte 0x00 here is a control character`,
		}},
		{"reloading ahead of a life that is no longer", "groups:\n  g:\n    refresh_ahead: 5m\n    ttl: 300s\n    plugin: {module: m.wasm}\n" +
			"  h: {refresh_ahead: 5m, ttl: 301s, plugin: {module: m.wasm}}\n  i: {refresh_ahead: 5m, ttl: no-store, plugin: {module: m.wasm}}\n", config.Flags{}, []string{
			`node.yaml:3: groups.g.refresh_ahead: 5m is not shorter than ttl, which is 5m`,
		}},
		{"a queue without a limit", "groups:\n  g: {max_queued_loads: 0, plugin: {module: m.wasm}}\n  h: {max_queued_loads: 1, max_loads: x, plugin: {module: m.wasm}}\n" +
			"  i:\n    plugin: {module: m.wasm}\n    max_queued_loads: 1\n", config.Flags{}, []string{
			`node.yaml:3: groups.h.max_loads: "x" must be a whole number from 1 to 1000000`,
			`node.yaml:6: groups.i.max_queued_loads: is of no use without max_loads: no load waits for its turn while there is no limit on them`,
		}},
		{"a file for compiled modules", minimal + "compilation_cache: m.wasm\n", config.Flags{}, []string{
			`node.yaml:2: compilation_cache: m.wasm must be a directory`,
		}},
		{"compiled modules below a file", minimal + "compilation_cache: m.wasm/a/b\n", config.Flags{}, []string{
			`node.yaml:2: compilation_cache: m.wasm/a/b: not a directory`,
		}},
		{"what the plugin would refuse", "groups:\n  g:\n    plugin:\n      module: m.wasm\n      max_fetch_bytes: 1073741825\n" +
			"      allow_fetch: [\"http://*.example.com\"]\n      env: {A: \"b\\0c\"}\n", config.Flags{}, []string{
			`node.yaml:5: groups.g.plugin.max_fetch_bytes: "1073741825" must be a size from 1B to 1GiB, such as 64MiB, 1.5GB or a number of bytes`,
			`node.yaml:6: groups.g.plugin.allow_fetch[0]: "http://*.example.com": there are no wildcards; list every host`,
			`node.yaml:7: groups.g.plugin.env.A: the value of a variable must not hold NUL`,
		}},
		{"flags", minimal, config.Flags{
			ID: "é", ListenPeers: ":1", ListenAPI: "x", Peers: []string{"a=http://h:1", "a=http://h:2", "b=h", "=http://h"}, LogFormat: "yaml",
		}, []string{
			`--id: "é" must be a word of printable ASCII characters, without spaces`,
			`--listen-api: "x" must be host:port, such as 127.0.0.1:7001 or [::1]:7001`,
			`--peer: "a" is given twice`,
			`--peer: b: "h" must be a URL such as http://10.0.0.5:7001/`,
			`--peer: "=http://h" must be id=url, such as b=http://10.0.0.6:7001/`,
			`--log-format: "yaml" must be one of text, json`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, problems(t, tc.text, tc.flags))
		})
	}
}

func TestAFileThatCannotBeRead(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), config.Flags{})
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "configuration file:")

	_, err = config.Load(writeFiles(t, strings.Repeat("# padding\n", 1<<17)), config.Flags{})
	assert.ErrorContains(t, err, "is larger than 1MiB")

	dir := t.TempDir()
	_, err = config.Load(dir, config.Flags{})
	assert.EqualError(t, err, "configuration file: "+dir+" must be a regular file, not a directory, pipe or device")
}

func TestListenersThatLetTheSystemChoosePortsDoNotClash(t *testing.T) {
	_, err := config.Load(writeFiles(t, minimal+"listen: {api: 127.0.0.1:0, admin: 127.0.0.1:0, peers: 127.0.0.1:0}"), config.Flags{})
	assert.NoError(t, err)
}

// The node has bounds of its own. What is accepted here must not be refused
// when the node is made, which "check" does not do.
func TestTheNodeAcceptsEveryBound(t *testing.T) {
	for name, text := range map[string]string{
		"lowest": "groups: {g: {max_bytes: 64KiB, ttl: 2ms, ttl_jitter: 0, negative_ttl: 1ms, refresh_ahead: 1ms, stale_while_revalidate: 1ms, " +
			"stale_on_error: 1ms, load_timeout: 10ms, max_loads: 1, max_queued_loads: 0, hot_after: 1, plugin: {module: m.wasm}}}\n" +
			"peer_timeout: 40ms\nhot_ttl: 1ms\njoin_timeout: 10ms\nhedge_after: 1ms\nclock_resolution: 1ms\n" +
			"api: {max_requests: 1, max_body_bytes: 128MiB}\npeer_limits: {max_requests: 1, max_per_stream: 1, max_request_bytes: 137MiB}\n",
		"highest": "groups: {g: {ttl: 2562047h, ttl_jitter: 99.9%, negative_ttl: 8760h, refresh_ahead: 8760h, stale_while_revalidate: 8760h, " +
			"stale_on_error: 8760h, load_timeout: 8760h, max_loads: 1000000, max_queued_loads: 1000000, hot_after: 1000000, plugin: {module: m.wasm}}}\n" +
			"peer_timeout: 8760h\nhot_ttl: 8760h\njoin_timeout: 8760h\nhedge_after: 8760h\nclock_resolution: 1s\n" +
			"peer_limits: {max_requests: 1000000, max_per_stream: 1000000, max_request_bytes: 16TiB}\n",
		"nothing": "groups: {g: {ttl: no-store, negative_ttl: never, refresh_ahead: never, stale_while_revalidate: never, stale_on_error: never, " +
			"max_queued_loads: 0, plugin: {module: m.wasm}}}\nhedge_after: never\nclock_resolution: exact\n",
	} {
		cfg, err := config.Load(writeFiles(t, text), config.Flags{})
		require.NoError(t, err, name)
		node, err := gcnode.NewNode(gcnode.Config{
			PeerTimeout: cfg.PeerTimeout, HotTTL: cfg.HotTTL, JoinTimeout: cfg.JoinTimeout, HedgeAfter: cfg.HedgeAfter,
			ClockResolution: cfg.ClockResolution,
		})
		require.NoError(t, err, name)
		getter := gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
			return gcnode.Item[gcnode.Value]{}, nil
		})
		_, err = node.Group("g", getter, cfg.Groups[0].Options())
		require.NoError(t, err, name)
		limits := cfg.PeerLimits
		_, err = httptransport.NewHandler(node, httptransport.HandlerOptions{
			MaxConcurrent: limits.MaxRequests, MaxPerStream: limits.MaxPerStream, MaxRequestBytes: limits.MaxRequestBytes,
		})
		require.NoError(t, err, name)
		require.NoError(t, node.Close(t.Context()))
		assert.GreaterOrEqual(t, cfg.MaxBodyBytes, int64(api.MinBodyBytes), name)
	}
	assert.Equal(t, []string{
		`node.yaml:1: groups.g.negative_ttl: "8761h" must be a duration from 1ms to 8760h, such as 500ms, 30s or 1h30m, or never`,
		`node.yaml:1: groups.g.load_timeout: "8761h" must be a duration from 10ms to 8760h, such as 500ms, 30s or 1h30m`,
		`node.yaml:2: peer_timeout: "39ms" must be a duration from 40ms to 8760h, such as 500ms, 30s or 1h30m`,
		`node.yaml:3: hot_ttl: "8761h" must be a duration from 1ms to 8760h, such as 500ms, 30s or 1h30m`,
		`node.yaml:4: api.max_body_bytes: "127MiB" must be a size from 128MiB to 16TiB, such as 64MiB, 1.5GB or a number of bytes`,
		`node.yaml:5: peer_limits.max_request_bytes: "136MiB" must be a size from 137MiB to 16TiB, such as 64MiB, 1.5GB or a number of bytes`,
	}, problems(t, "groups: {g: {negative_ttl: 8761h, load_timeout: 8761h, plugin: {module: m.wasm}}}\n"+
		"peer_timeout: 39ms\nhot_ttl: 8761h\napi: {max_body_bytes: 127MiB}\npeer_limits: {max_request_bytes: 136MiB}\n", config.Flags{}))
}

func TestParts(t *testing.T) {
	load := func(text string) (*config.Config, error) {
		return config.Load(writeFiles(t, "groups: {g: {ttl_jitter: "+text+", plugin: {module: m.wasm}}}\n"), config.Flags{})
	}
	for text, want := range map[string]float64{"0": 0, "0.1": 0.1, ".5": 0.5, "10%": 0.1, "'12.5 %'": 0.125, "0%": 0, "0.999": 0.999, "99.9%": 0.999} {
		cfg, err := load(text)
		require.NoError(t, err, text)
		assert.InDelta(t, want, cfg.Groups[0].TTLJitter, 1e-15, text)
	}
	for _, text := range []string{"1", "1.0", "100%", "99.99999999999999999%", "10", "-0.1", "-10%", "1e-1", "0x0.1p0", "nan", "inf", "'%'", "''", "10%%", "0.1.2", "a tenth", "[0.1]", "~"} {
		_, err := load(text)
		assert.ErrorContains(t, err, "must be a number of at least 0 and below 1, such as 0.1, or its percentage, such as 10%", text)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "12": 12, "12B": 12, "64MiB": 64 << 20, "64 mib": 64 << 20, "1.5KiB": 1536, "2GB": 2e9, "1TiB": 1 << 40,
	} {
		got, err := config.ParseSize(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "MiB", "-1", "1e9", "0x10", "1.1", "1.2.3", "9223372036854775808", "99999999TiB", "inf", "NaN", "5 bytes"} {
		_, err := config.ParseSize(text)
		assert.Error(t, err, text)
	}
	for bytes, want := range map[int64]string{0: "0B", 1023: "1023B", 1536: "1.5KiB", 64 << 20: "64MiB", 5 << 40: "5TiB"} {
		assert.Equal(t, want, config.FormatSize(bytes))
	}
}
