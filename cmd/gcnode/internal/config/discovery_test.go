package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/discovery"
)

func TestEverySettingOfDiscoveryIsRead(t *testing.T) {
	const listens = minimal + "listen: {peers: '10.0.0.5:7001'}\n"
	for name, c := range map[string]struct {
		text, id string
		want     config.Discovery
		source   string
	}{
		"addresses": {
			text: listens + "discovery: {dns: peers.example.com., port: 7001}\n", id: "10.0.0.5:7001",
			want:   config.Discovery{DNS: "peers.example.com.", Port: 7001},
			source: "dns A peers.example.com.",
		},
		"addresses with an id": {
			text: minimal + "id: '[fd00::5]:7001'\nlisten: {peers: ':7001'}\n" +
				"discovery: {dns: peers, records: aaaa, port: 7001, server: '[::1]:5353', refresh: 1m, timeout: 1s, confirm: 2, hold_back: {answers: 6, for: 5m}}\n",
			id: "[fd00::5]:7001",
			want: config.Discovery{
				DNS: "peers", Records: discovery.AAAA, Port: 7001, Server: "[::1]:5353", Refresh: time.Minute, Timeout: time.Second,
				Confirm: 2, HoldBack: discovery.HoldBack{Answers: 6, For: 5 * time.Minute},
			},
			source: "dns AAAA peers",
		},
		"services": {
			text: listens + "id: cache-0.example.com:7001\ndiscovery: {dns: _peers._tcp.example.com., records: SRV, hold_back: {for: 10ms}}\n",
			id:   "cache-0.example.com:7001",
			want: config.Discovery{
				DNS: "_peers._tcp.example.com.", Records: discovery.SRV, HoldBack: discovery.HoldBack{For: 10 * time.Millisecond},
			},
			source: "dns SRV _peers._tcp.example.com.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Load(writeFiles(t, c.text), config.Flags{})
			require.NoError(t, err)
			assert.Equal(t, c.want, cfg.Discovery)
			assert.Equal(t, c.id, cfg.ID)
			source, err := cfg.Discovery.Source()
			require.NoError(t, err)
			assert.Equal(t, c.source, source.String())
		})
	}
}

func TestAFileWithMembersIsLookedAt(t *testing.T) {
	path := writeFiles(t, minimal+"id: a\nlisten: {peers: ':1'}\ndiscovery: {file: peers, refresh: 10s}\n")
	file := filepath.Join(filepath.Dir(path), "peers")
	for text, wrong := range map[string]string{
		"a http://h:1\nb http://H:2":     "",
		"b http://h:2":                   `discovery: ` + file + `: the list must include this node, "a"; it has "b"`,
		"a http://h:1\nb nats://h":       `discovery: ` + file + `:2: "nats://h" must be a URL such as http://10.0.0.5:7001/`,
		"a http://h:1\né http://h:2":     `discovery: ` + file + `:2: "é" must be a word of printable ASCII characters, without spaces`,
		"a http://h:1\nb http://H:1/":    `discovery: ` + file + `:2: the url "http://h:1/" is already that of line 1`,
		"a":                              `discovery: ` + file + `:1: a line must be`,
		"a http://h:1 0\nb http://h:2 x": `discovery: ` + file + `:2: the weight "x"`,
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		cfg, err := config.Load(path, config.Flags{})
		if wrong != "" {
			require.ErrorContains(t, err, wrong)
			continue
		}
		require.NoError(t, err)
		source, err := cfg.Discovery.Source()
		require.NoError(t, err)
		require.IsType(t, &discovery.File{}, source)
		peers, err := source.(*discovery.File).Read()
		require.NoError(t, err)
		assert.Equal(t, []gcnode.Peer{{ID: "a", Addr: "http://h:1/", Weight: 1}, {ID: "b", Addr: "http://h:2/", Weight: 1}}, peers,
			"addresses have the form that those of the configuration have")
	}
	require.NoError(t, os.Remove(file))
	_, err := config.Load(path, config.Flags{})
	require.ErrorContains(t, err, `node.yaml:4: discovery: `+file+`: no such file or directory`)
}

func TestPeersFromFlagsReplaceDiscovery(t *testing.T) {
	cfg, err := config.Load(writeFiles(t, minimal+"listen: {peers: ':1'}\ndiscovery: {dns: peers, port: 1}\n"),
		config.Flags{ID: "a", Peers: []string{"a=http://h:1", "b=http://h:2"}})
	require.NoError(t, err)
	assert.False(t, cfg.Discovery.On())
	assert.Len(t, cfg.Peers, 2)
}

func TestSettingsOfDiscoveryThatAreWrong(t *testing.T) {
	const member = minimal + "id: '10.0.0.5:7001'\nlisten: {peers: ':7001'}\n"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"every value", member + `discovery:
  dns: "two words"
  records: txt
  port: 0
  server: 10.0.0.2
  refresh: 1ms
  timeout: x
  confirm: 0
  hold_back: {answers: 0, for: 0s, more: 1}
  name: x
`, []string{
			`node.yaml:5: discovery.dns: "two words" must be a name such as peers.example.com.`,
			`node.yaml:6: discovery.records: "txt" must be one of a, aaaa, srv`,
			`node.yaml:7: discovery.port: "0" must be a whole number from 1 to 65535`,
			`node.yaml:8: discovery.server: "10.0.0.2" must be the address of a DNS server, such as 10.0.0.2:53`,
			`node.yaml:9: discovery.refresh: "1ms" must be a duration from 10ms to 8760h, such as 500ms, 30s or 1h30m`,
			`node.yaml:10: discovery.timeout: "x" must be a duration from 10ms to 8760h, such as 500ms, 30s or 1h30m`,
			`node.yaml:11: discovery.confirm: "0" must be a whole number from 1 to 1000000`,
			`node.yaml:12: discovery.hold_back.answers: "0" must be a whole number from 1 to 1000000`,
			`node.yaml:12: discovery.hold_back.for: "0s" must be a duration from 10ms to 8760h, such as 500ms, 30s or 1h30m`,
			`node.yaml:12: discovery.hold_back.more: there is no such setting; those here are answers, for`,
			`node.yaml:13: discovery.name: there is no such setting; those here are file, dns, records, port, server, refresh, timeout, confirm, hold_back`,
		}},
		{"nothing", member + "discovery:\n", []string{
			`node.yaml:4: discovery: must have either file or dns, which say where the list of members comes from`,
		}},
		{"both", member + "discovery: {dns: x, file: y, port: 1}\n", []string{
			`node.yaml:4: discovery: must have either file or dns, which say where the list of members comes from`,
		}},
		{"no mapping", member + "discovery: peers.yaml\n", []string{
			`node.yaml:4: discovery: must hold settings (key: value), not "peers.yaml"`,
		}},
		{"beside peers", member + "peers: [{id: '10.0.0.5:7001', url: 'http://h:1'}]\ndiscovery: {dns: x, port: 7001}\n", []string{
			`node.yaml:5: discovery: cannot stand beside peers; the members come from one of them`,
		}},
		{"no port", member + "discovery: {dns: x, hold_back: {}}\n", []string{
			`node.yaml:4: discovery.port: is missing: A records do not say on which port the members listen (or use srv records)`,
			`node.yaml:4: discovery.hold_back: must have answers or for, which say what confirms a list that loses most of the members`,
		}},
		{"what is of no use", minimal + "id: a:1\nlisten: {peers: ':1'}\ndiscovery: {dns: x, records: srv, port: 1}\n", []string{
			`node.yaml:4: discovery.port: is of no use with SRV records, which say the ports`,
		}},
		{"no listener", minimal + "id: '10.0.0.5:7001'\ndiscovery: {dns: x, port: 7001}\n", []string{
			`node.yaml: listen.peers: is missing: a node with peers needs an address where it listens for them, such as 10.0.0.5:7001`,
		}},
		{"no id and all addresses", minimal + "listen: {peers: ':7001'}\ndiscovery: {dns: x, port: 7001}\n", []string{
			`node.yaml:1: id: is missing: a node needs to know which of the members it is: its address as in the A records and the port, such as 10.0.0.5:7001`,
		}},
		{"no id with services", minimal + "listen: {peers: '10.0.0.5:7001'}\ndiscovery: {dns: x, records: srv}\n", []string{
			`node.yaml:1: id: is missing: a node needs to know which of the members it is: its target and port as in the SRV records, such as cache-0.peers.example.com:7001`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, problems(t, c.text, config.Flags{}))
		})
	}
}

func TestAnIDThatNoRecordCanGiveIsRefused(t *testing.T) {
	const text = minimal + "listen: {peers: ':7001'}\ndiscovery: "
	for _, c := range []struct {
		discovery, id string
		right         bool
	}{
		{"{dns: x, port: 7001}", "10.0.0.5:7001", true},
		{"{dns: x, port: 7001}", "10.0.0.5:7002", false},
		{"{dns: x, port: 7001}", "10.0.0.5", false},
		{"{dns: x, port: 7001}", "cache-0", false},
		{"{dns: x, port: 7001}", "cache-0:7001", false},
		{"{dns: x, port: 7001}", "[fd00::5]:7001", false},
		{"{dns: x, port: 7001, records: aaaa}", "[fd00::5]:7001", true},
		{"{dns: x, port: 7001, records: aaaa}", "[FD00::5]:7001", false},
		{"{dns: x, port: 7001, records: aaaa}", "10.0.0.5:7001", false},
		{"{dns: x, records: srv}", "cache-0.example.com:7001", true},
		{"{dns: x, records: srv}", "cache-0.example.com.:7001", false},
		{"{dns: x, records: srv}", "Cache-0:7001", false},
		{"{dns: x, records: srv}", "cache-0", false},
		{"{dns: x, records: srv}", ":7001", false},
	} {
		_, err := config.Load(writeFiles(t, text+c.discovery), config.Flags{ID: c.id})
		if c.right {
			require.NoError(t, err, "%s in %s", c.id, c.discovery)
			continue
		}
		require.ErrorContains(t, err, "node.yaml:3: discovery: the id of the node, \""+c.id+"\", must be its ", "%s in %s", c.id, c.discovery)
	}
}

// The sources have bounds of their own. What is accepted here must not be
// refused when the node starts, which "check" does not do.
func TestTheSourcesAcceptEveryBound(t *testing.T) {
	for _, text := range []string{
		"{dns: x, port: 1, refresh: 10ms, timeout: 10ms, confirm: 1, hold_back: {answers: 1, for: 10ms}}",
		"{dns: x, port: 1, refresh: 8760h, timeout: 8760h, confirm: 1000000, hold_back: {answers: 1000000, for: 8760h}}",
	} {
		cfg, err := config.Load(writeFiles(t, minimal+"id: '10.0.0.5:1'\nlisten: {peers: ':1'}\ndiscovery: "+text), config.Flags{})
		require.NoError(t, err)
		source, err := cfg.Discovery.Source()
		require.NoError(t, err)
		node, err := gcnode.NewNode(gcnode.Config{})
		require.NoError(t, err)
		_, err = discovery.New(node, source, discovery.Options{Self: cfg.ID, Confirm: cfg.Discovery.Confirm, HoldBack: cfg.Discovery.HoldBack})
		require.NoError(t, err)
		require.NoError(t, node.Close(t.Context()))
	}
}
