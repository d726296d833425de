package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/transport/http/certs"
)

func TestSettingsOfNATS(t *testing.T) {
	load := func(text string) *config.Config {
		path := writeFiles(t, minimal+text)
		writeSecrets(t, filepath.Dir(path))
		cfg, err := config.Load(path, config.Flags{})
		require.NoError(t, err, text)
		for _, file := range []*string{&cfg.NATS.NKey, &cfg.NATS.Creds, &cfg.NATS.TLS.CA, &cfg.NATS.TLS.Cert, &cfg.NATS.TLS.Key} {
			if *file != "" {
				*file = filepath.Base(*file)
			}
		}
		if e := cfg.NATS.Embedded; e != nil && e.StoreDir != "" {
			e.StoreDir = filepath.Base(e.StoreDir)
		}
		return cfg
	}
	assert.Equal(t, &config.NATS{URLs: []string{"nats://h"}, Heartbeat: time.Second, Weight: 1},
		load("id: a\ntransport: nats\nnats: {url: nats://h}\n").NATS)
	assert.Equal(t, &config.NATS{
		URLs: []string{"tls://h:4222", "nats://[::1]:1"}, Cluster: "shop", Heartbeat: 200 * time.Millisecond, Weight: 3,
		User: "node", Password: "a-secret-in-a-variable-of-the-environment",
		Archive: &config.NATSArchive{MaxAge: 90 * time.Minute, MaxBytes: 16 << 20, Replicas: 3},
		TLS:     certs.Files{CA: "members.crt", Cert: "node.crt", Key: "node.key"},
	}, load(`id: a
transport: nats
nats:
  url: [tls://h:4222, "nats://[::1]:1"]
  cluster: shop
  heartbeat: 200ms
  weight: 3
  user: node
  password: {env: PEER_SECRET}
  archive: {max_age: 90m, replicas: 3}
  tls: {ca: members.crt, cert: node.crt, key: node.key}
`).NATS)
	cfg := load(`id: a
listen: {peers: ":7001"}
transport: nats
discovery: {confirm: 2, hold_back: {for: 10s}}
peer_tls: {cert: node.crt, key: node.key, ca: members.crt}
nats:
  embedded: true
  routes: [10.0.0.5:7001, cache.internal:7001]
  secret: {file: nodes.secret}
  clients: 127.0.0.1:4222
  token: {file: shop.token}
  jetstream: {dir: store, max_bytes: 2GiB}
  archive: {}
`)
	assert.Equal(t, &config.NATS{
		Heartbeat: time.Second, Weight: 1, Token: "0123456789abcdef",
		Archive: &config.NATSArchive{MaxAge: time.Hour, MaxBytes: 16 << 20, Replicas: 1},
		Embedded: &config.EmbeddedNATS{
			Routes: []string{"10.0.0.5:7001", "cache.internal:7001"}, Secret: "a-secret-of-the-file-with-the-name-nodes.secret",
			Clients: "127.0.0.1:4222", StoreDir: "store", MaxStore: 2 << 30,
		},
	}, cfg.NATS)
	assert.Equal(t, 2, cfg.Discovery.Confirm)
	assert.True(t, cfg.PeerTLS.On())
}

func TestKeysForNATS(t *testing.T) {
	user, err := nkeys.CreateUser()
	require.NoError(t, err)
	seed, err := user.Seed()
	require.NoError(t, err)
	account, err := nkeys.CreateAccount()
	require.NoError(t, err)
	foreign, err := account.Seed()
	require.NoError(t, err)
	creds := "-----BEGIN NATS USER JWT-----\neyJ0.eyJ0.sig\n------END NATS USER JWT------\n\n" +
		"-----BEGIN USER NKEY SEED-----\n" + string(seed) + "\n------END USER NKEY SEED------\n"
	load := func(setting, content string) error {
		path := writeFiles(t, minimal+"id: a\ntransport: nats\nnats: {url: nats://h, "+setting+": key}\n")
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "key"), []byte(content), 0o600))
		_, err := config.Load(path, config.Flags{})
		return err
	}
	require.NoError(t, load("nkey", string(seed)+"\n"))
	require.NoError(t, load("creds", creds))
	for _, wrong := range []string{"", "SU", string(foreign)} {
		err := load("nkey", wrong)
		require.ErrorContains(t, err, "nats.nkey: there is no seed of a user in key (it begins with SU)")
		assert.NotContains(t, err.Error(), string(foreign))
	}
	for _, wrong := range []string{"", string(seed), string(foreign)} {
		require.ErrorContains(t, load("creds", wrong), "nats.creds: there are no JWT and seed of a user in key")
	}
}

func TestWrongSettingsOfNATS(t *testing.T) {
	const nats = minimal + "id: a\ntransport: nats\n"
	t.Setenv("EMPTY", "")
	t.Setenv("SHORT", "short")
	for _, tc := range []struct {
		name, text string
		flags      config.Flags
		want       []string
	}{
		{"another transport", minimal + "transport: tcp\nnats: {url: nats://h}\n", config.Flags{}, []string{
			`node.yaml:2: transport: "tcp" must be one of http, nats`,
		}},
		{"NATS without the transport", minimal + "nats: {url: nats://h}\n", config.Flags{}, []string{
			`node.yaml:2: nats: is of no use without transport: nats`,
		}},
		{"no servers", nats, config.Flags{}, []string{
			`node.yaml:1: nats.url: is missing: the servers that connect the nodes, such as nats://10.0.0.2:4222 (or embedded: true, and each node is one)`,
		}},
		{"no id", minimal + "transport: nats\nnats: {url: nats://h}\n", config.Flags{}, []string{
			`node.yaml:1: id: is missing: every node needs one that no other has (id in the file, or --id)`,
		}},
		{"addresses", nats + "nats:\n  url:\n  - h:4222\n  - http://h\n  - nats://user:pass@h\n  - nats://h:x\n", config.Flags{}, []string{
			`node.yaml:6: nats.url[0]: "h:4222" must be the URL of a NATS server, such as nats://10.0.0.2:4222 (or tls, ws, wss)`,
			`node.yaml:7: nats.url[1]: "http://h" must be the URL of a NATS server, such as nats://10.0.0.2:4222 (or tls, ws, wss)`,
			`node.yaml:8: nats.url[2]: "nats://…@h" has a secret in it; set user and password, or token, which come from files or the environment`,
			`node.yaml:9: nats.url[3]: "nats://h:x" must be the URL of a NATS server, such as nats://10.0.0.2:4222 (or tls, ws, wss)`,
		}},
		{"no address", nats + "nats: {url: []}\n", config.Flags{}, []string{
			`node.yaml:4: nats.url: must be the URL of a NATS server, such as nats://10.0.0.2:4222, or a list of them`,
		}},
		{"what is for HTTP", nats + "nats: {url: nats://h}\nlisten: {peers: \":1\"}\npeers: [{id: a, url: http://h:1}]\n" +
			"discovery: {file: f}\n", config.Flags{Peers: []string{"a=http://h"}, ListenPeers: ":2"}, []string{
			`node.yaml:5: listen.peers: is of no use with nats.url; the nodes reach each other through the servers`,
			`node.yaml:6: peers: is of no use with transport: nats; the nodes find each other`,
			`node.yaml:7: discovery.file: is of no use with transport: nats; the nodes find each other`,
			`--peer: is of no use with transport: nats; the nodes find each other`,
			`--listen-peers: is of no use with nats.url; the nodes reach each other through the servers`,
		}},
		{"details", nats + "nats:\n  url: nats://h\n  cluster: a.b\n  heartbeat: 1ms\n  weight: 0\n  tls: {cert: m.wasm}\n  token: {env: EMPTY}\n  routes: [h:1]\n", config.Flags{}, []string{
			`node.yaml:6: nats.cluster: "a.b" must have up to 64 letters, digits, - and _`,
			`node.yaml:7: nats.heartbeat: "1ms" must be a duration from 20ms to 1m, such as 500ms, 30s or 1h30m`,
			`node.yaml:8: nats.weight: "0" must be a whole number from 1 to 65535`,
			`node.yaml:9: nats.tls: a certificate and its key are needed, or neither`,
			`node.yaml:10: nats.token.env: there must be one secret in it, not 0`,
			`node.yaml:11: nats.routes: is of no use without embedded: true; it is for the server within the node`,
		}},
		{"two ways to say who it is", nats + "nats:\n  url: nats://h\n  user: u\n  token: {env: SHORT}\n", config.Flags{}, []string{
			`node.yaml:4: nats.password: is missing: a user needs a name and a password`,
			`node.yaml:7: nats.token: there is user already; a node says in one way who it is`,
		}},
		{"two servers", nats + "nats: {url: nats://h, embedded: true}\nlisten: {peers: \":1\"}\n", config.Flags{}, []string{
			`node.yaml:4: nats.url: cannot stand beside embedded; the nodes use either servers that are there, or their own`,
		}},
		{"embedded", nats + "nats:\n  embedded: true\n  secret: {env: SHORT}\n  creds: m.wasm\n  token: {env: SHORT}\n  jetstream: {}\n", config.Flags{}, []string{
			`node.yaml:4: nats.routes: is missing: addresses where nodes listen for each other (listen.peers), by which this one finds them, such as [10.0.0.5:7001]`,
			`node.yaml:6: nats.secret.env: a secret must have 16 characters or more, such as those of: openssl rand -hex 32`,
			`node.yaml:7: nats.creds: there are no JWT and seed of a user in m.wasm, as nsc and nk write them`,
			`node.yaml:7: nats.creds: there is token already; a node says in one way who it is`,
			`node.yaml:7: nats.creds: is of no use with embedded: true; it is for connections to servers that are there`,
			`node.yaml:8: nats.token: is of no use without clients; nobody but the node reaches its server otherwise, and other servers need secret`,
			`node.yaml:9: nats.jetstream.dir: is missing: JetStream needs a directory for its streams, which belongs to this node alone`,
			`node.yaml: listen.peers: is missing: a node with peers needs an address where it listens for them, such as 10.0.0.5:7001`,
		}},
		{"removals that are kept", nats + "listen: {peers: \":1\"}\nnats:\n  embedded: true\n  routes: [h:1]\n  archive: {max_age: 1s, max_bytes: 1, replicas: 6}\n", config.Flags{}, []string{
			`node.yaml:8: nats.archive.max_age: "1s" must be a duration from 1m to 720h, such as 500ms, 30s or 1h30m`,
			`node.yaml:8: nats.archive.max_bytes: "1" must be a size from 1MiB to 16TiB, such as 64MiB, 1.5GB or a number of bytes`,
			`node.yaml:8: nats.archive.replicas: "6" must be a whole number from 1 to 5`,
			`node.yaml:8: nats.archive: needs jetstream beside embedded: the servers within the nodes keep it`,
		}},
		{"where it stores", nats + "listen: {peers: \":1\"}\nnats: {embedded: true, routes: [\":1\", h], jetstream: {dir: m.wasm, max_bytes: 1}}\n", config.Flags{}, []string{
			`node.yaml:5: nats.routes[0]: ":1" must be an address of a node, host:port as in its listen.peers, such as 10.0.0.5:7001`,
			`node.yaml:5: nats.routes[1]: "h" must be an address of a node, host:port as in its listen.peers, such as 10.0.0.5:7001`,
			`node.yaml:5: nats.jetstream.dir: m.wasm must be a directory`,
			`node.yaml:5: nats.jetstream.max_bytes: "1" must be a size from 1MiB to 16TiB, such as 64MiB, 1.5GB or a number of bytes`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, problems(t, tc.text, tc.flags))
		})
	}
}
