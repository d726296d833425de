package natslink

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/config"
	"github.com/gcnode/gcnode/transport/http/certs"
	"github.com/gcnode/gcnode/transport/http/certs/certstest"
)

// A node says who it is in each way that there is. One that says something else,
// or nothing, is told so at once, and does not try again and again.
func TestALinkSaysWhoItIs(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	user, public := newKey(t, nkeys.CreateUser)
	stranger, strange := newKey(t, nkeys.CreateUser)
	seedOf := func(key nkeys.KeyPair) []byte {
		seed, err := key.Seed()
		require.NoError(t, err)
		return seed
	}
	operator, operatorKey := newKey(t, nkeys.CreateOperator)
	account, accountKey := newKey(t, nkeys.CreateAccount)
	other, otherKey := newKey(t, nkeys.CreateAccount)
	accountToken, err := jwt.NewAccountClaims(accountKey).Encode(operator)
	require.NoError(t, err)
	accounts := &natsserver.MemAccResolver{}
	require.NoError(t, accounts.Store(accountKey, accountToken))
	credentials := func(name, public string, key, by nkeys.KeyPair, in string) string {
		claims := jwt.NewUserClaims(public)
		claims.IssuerAccount = in
		token, err := claims.Encode(by)
		require.NoError(t, err)
		text, err := jwt.FormatUserConfig(token, seedOf(key))
		require.NoError(t, err)
		return file(name, text)
	}
	authority, err := certstest.New(dir)
	require.NoError(t, err)
	for _, name := range []string{"server", "node"} {
		require.NoError(t, authority.Give(name))
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	ca, both := certs.Files{CA: at("ca.crt")}, certs.Files{CA: at("ca.crt"), Cert: at("node.crt"), Key: at("node.key")}

	for name, test := range map[string]struct {
		server natsserver.Options
		right  config.NATS
		wrong  config.NATS // beside one that says nothing
	}{
		"user": {
			natsserver.Options{Username: "ann", Password: "secret"},
			config.NATS{User: "ann", Password: "secret"},
			config.NATS{User: "ann", Password: "guessed"},
		},
		"token": {
			natsserver.Options{Authorization: "secret"},
			config.NATS{Token: "secret"},
			config.NATS{Token: "guessed"},
		},
		"NKey": {
			natsserver.Options{Nkeys: []*natsserver.NkeyUser{{Nkey: public}}},
			config.NATS{NKey: file("user.nk", seedOf(user))},
			config.NATS{NKey: file("stranger.nk", seedOf(stranger))},
		},
		"credentials": {
			natsserver.Options{TrustedOperators: []*jwt.OperatorClaims{jwt.NewOperatorClaims(operatorKey)}, AccountResolver: accounts},
			config.NATS{Creds: credentials("user.creds", public, user, account, "")},
			config.NATS{Creds: credentials("stranger.creds", strange, stranger, other, otherKey)},
		},
		"TLS":          {serverTLS(t, dir, tls.NoClientCert), config.NATS{TLS: ca}, config.NATS{Token: "secret"}},
		"certificates": {serverTLS(t, dir, tls.RequireAndVerifyClientCert), config.NATS{TLS: both}, config.NATS{TLS: ca}},
	} {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, &test.server).ClientURL()
			test.right.URLs, test.wrong.URLs = []string{url}, []string{url}
			link := openLink(t, &test.right)
			_, err := link.Connect(t.Context())
			require.NoError(t, err)
			require.True(t, link.conn.IsConnected())
			for _, wrong := range []config.NATS{test.wrong, {URLs: []string{url}}} {
				link, err := Open(t.Context(), Options{ID: "a", NATS: &wrong, Logger: slog.New(slog.DiscardHandler)})
				require.NoError(t, err)
				_, err = link.Connect(t.Context())
				require.ErrorContains(t, err, "nats.url: ")
			}
		})
	}
}

// newKey is a key and its public half.
func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) (_ nkeys.KeyPair, public string) {
	t.Helper()
	key, err := create()
	require.NoError(t, err)
	public, err = key.PublicKey()
	require.NoError(t, err)
	return key, public
}

// serverTLS has the certificate of a server, and what it asks clients for.
func serverTLS(t *testing.T, dir string, clients tls.ClientAuthType) natsserver.Options {
	t.Helper()
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	require.NoError(t, err)
	authorities := x509.NewCertPool()
	require.True(t, authorities.AppendCertsFromPEM(text))
	return natsserver.Options{TLS: true, TLSVerify: clients != tls.NoClientCert, TLSTimeout: patience.Seconds(), TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, ClientAuth: clients, ClientCAs: authorities,
	}}
}
