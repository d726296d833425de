package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/access"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/http/certs"
	"github.com/gcnode/gcnode/transport/http/certs/certstest"
)

func TestAccessOfApplications(t *testing.T) {
	path := writeFiles(t, minimal+`
api:
  tls: {cert: node.crt, key: node.key, client_ca: ca.crt}
  tokens:
    shop: {file: shop.token}
    job: {env: GCNODE_TEST_JOB}
access:
  shop: {read: [g], write: [g], rate: 500}
  job: {remove: ["*"]}
  till: {read: ["*"]}
`)
	dir := filepath.Dir(path)
	authority, err := certstest.New(dir)
	require.NoError(t, err)
	require.NoError(t, authority.Give("node"))
	const first, second, third = "the first secret of it", "the second secret of it", "the secret of the job"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop.token"), []byte(first+"\n\n  "+second+"\n"), 0o600))
	t.Setenv("GCNODE_TEST_JOB", third)
	_, err = config.Load(path, config.Flags{})
	require.ErrorContains(t, err, "printable ASCII without spaces")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop.token"), []byte("first-secret-of-it\n\n  second-secret-of-it\n"), 0o600))
	t.Setenv("GCNODE_TEST_JOB", "the-secret-of-the-job")
	cfg, err := config.Load(path, config.Flags{})
	require.NoError(t, err)
	assert.Equal(t, []access.Token{
		{Name: "shop", Secrets: []string{"first-secret-of-it", "second-secret-of-it"}},
		{Name: "job", Secrets: []string{"the-secret-of-the-job"}},
	}, cfg.Tokens)
	assert.Equal(t, access.List{
		"shop": {Read: []string{"g"}, Write: []string{"g"}, Rate: 500},
		"job":  {Remove: []string{"*"}},
		"till": {Read: []string{"*"}},
	}, cfg.Access)
	assert.Equal(t, certs.Files{
		Cert: filepath.Join(dir, "node.crt"), Key: filepath.Join(dir, "node.key"), CA: filepath.Join(dir, "ca.crt"),
	}, cfg.TLS)
}

func TestWrongAccessOfApplications(t *testing.T) {
	t.Setenv("GCNODE_TEST_SHORT", "too short")
	t.Setenv("GCNODE_TEST_SAME", "a-secret-that-is-there-twice")
	assert.Equal(t, []string{
		"node.yaml:4: api.tls.key: is missing: TLS needs a certificate and its key",
		"node.yaml:6: api.tokens.a.file: nosuch.token: no such file or directory",
		"node.yaml:7: api.tokens.b.env: a secret must have 16 characters or more, such as those of: openssl rand -hex 32",
		"node.yaml:8: api.tokens.c.env: there is no secret in it",
		"node.yaml:9: api.tokens.d.file: is missing: a token needs a file with its secret, or env with the name of a variable that has it",
		"node.yaml:10: api.tokens.e.env: there is a file with the secret already",
		"node.yaml:12: api.tokens.g: has the same secret as \"f\"",
		"node.yaml:13: access.b: is missing: a token that may do nothing is of no use ({read: [\"*\"]} lets it read everything)",
		"node.yaml:14: access.a.read[1]: there is no group \"h\" here",
		"node.yaml:15: access.x.rate: \"0\" must be a whole number from 1 to 1000000",
		"node.yaml:15: access.x: nobody can be this: api.tokens has no such name, and clients are not asked for certificates (api.tls.client_ca)",
	}, problems(t, `groups: {g: {plugin: {module: m.wasm}}}
api:
  max_requests: 5
  tls: {cert: node.crt}
  tokens:
    a: {file: nosuch.token}
    b: {env: GCNODE_TEST_SHORT}
    c: {env: GCNODE_TEST_NOSUCH}
    d: {}
    e: {file: m.wasm, env: GCNODE_TEST_SAME}
    f: {env: GCNODE_TEST_SAME}
    g: {env: GCNODE_TEST_SAME}
access:
  a: {read: [g, h]}
  x: {rate: 0}
  c: {}
  d: {}
  e: {}
  f: {}
  g: {}
`, config.Flags{}))
}

func TestMembersOverTLS(t *testing.T) {
	path := writeFiles(t, "id: a\nlisten: {peers: \"127.0.0.1:7001\"}\n"+
		"discovery: {dns: peers.test., records: srv}\npeer_tls: {cert: node.crt, key: node.key, ca: ca.crt, name: cache}\n"+minimal)
	authority, err := certstest.New(filepath.Dir(path))
	require.NoError(t, err)
	require.NoError(t, authority.Give("node"))
	cfg, err := config.Load(path, config.Flags{ID: "a.test:7001"})
	require.NoError(t, err)
	assert.Equal(t, "cache", cfg.PeerTLS.Name)
	assert.Equal(t, filepath.Join(filepath.Dir(path), "ca.crt"), cfg.PeerTLS.CA)
	assert.True(t, cfg.PeerTLS.On())
	assert.True(t, cfg.Discovery.TLS, "members of the DNS are reached over TLS")
}

// TestNodesThatDoNotSignYet are known by their certificates, if at all.
func TestNodesThatDoNotSignYet(t *testing.T) {
	const shared = "peer_secrets: {k: {file: k.secret}}\npeer_accept_unsigned: true\npeer_access: {k: {member: true}, cache.test: {member: true}}\n"
	path := writeFiles(t, "id: a\nlisten: {peers: \"127.0.0.1:7001\"}\npeers: [{id: a, url: \"https://127.0.0.1:7001\"}]\n"+
		"peer_tls: {cert: node.crt, key: node.key, ca: ca.crt}\n"+shared+minimal)
	authority, err := certstest.New(filepath.Dir(path))
	require.NoError(t, err)
	require.NoError(t, authority.Give("node"))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "k.secret"), []byte("0123456789abcdef0123456789abcdef\n"), 0o600))
	cfg, err := config.Load(path, config.Flags{})
	require.NoError(t, err)
	assert.True(t, cfg.PeerAcceptUnsigned)
	assert.Equal(t, map[string]httptransport.Grant{"k": {Member: true}, "cache.test": {Member: true}}, cfg.PeerAccess)

	t.Setenv("GCNODE_TEST_PEERS", "0123456789abcdef0123456789abcdef")
	assert.Equal(t, []string{
		`node.yaml:2: peer_accept_unsigned: peer_access knows a node that does not sign by its certificate, and there is no peer_tls: set peer_access when all nodes sign`,
		`node.yaml:3: peer_access."cache.test": nobody can be this: peer_secrets has no such id`,
	}, problems(t, strings.ReplaceAll(shared, "file: k.secret", "env: GCNODE_TEST_PEERS")+minimal, config.Flags{}))
}

// TestAClientDoesNotHaveTheIDOfANode refuses one that could speak in the name of
// a node.
func TestAClientDoesNotHaveTheIDOfANode(t *testing.T) {
	t.Setenv("GCNODE_TEST_K", "0123456789abcdef0123456789abcdef")
	t.Setenv("GCNODE_TEST_SHOP", "fedcba9876543210fedcba9876543210")
	text := "id: a\nlisten: {peers: \"127.0.0.1:7001\"}\npeers: [{id: a, url: \"http://127.0.0.1:7001\"}, {id: shop/1, url: \"http://127.0.0.1:7002\"}]\n" +
		"peer_secrets: {k: {env: GCNODE_TEST_K}, shop: {env: GCNODE_TEST_SHOP}}\npeer_access:\n  k: {member: true}\n  shop: {read: [g]}\n" + minimal
	assert.Equal(t, []string{
		`node.yaml:7: peer_access.shop: the ids of this client begin with "shop/", as that of the node "shop/1" does: give one of them another name`,
	}, problems(t, text, config.Flags{}))
	for what, other := range map[string]string{
		"a node":        strings.Replace(text, "shop: {read: [g]}", "shop: {member: true}", 1),
		"no ids of its": strings.Replace(text, "id: shop/1", "id: shop", 1),
	} {
		_, err := config.Load(writeFiles(t, other), config.Flags{})
		assert.NoError(t, err, what)
	}
}
