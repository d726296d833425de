package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	natstransport "github.com/gcnode/gcnode/transport/nats"
)

// TestAuthentication has a member and a client that show the server who they
// are, in each way that nats.go knows; and one who does not.
func TestAuthentication(t *testing.T) {
	tests := map[string]func(t *testing.T) (server func(*natsserver.Options), client nats.Option){
		"user and password": func(*testing.T) (func(*natsserver.Options), nats.Option) {
			return func(o *natsserver.Options) { o.Username, o.Password = "ann", "secret" }, nats.UserInfo("ann", "secret")
		},
		"token": func(*testing.T) (func(*natsserver.Options), nats.Option) {
			return func(o *natsserver.Options) { o.Authorization = "secret" }, nats.Token("secret")
		},
		"NKey":            withNKey,
		"JWT credentials": withCredentials,
		"certificates":    withCertificates,
	}
	for name, setUp := range tests {
		t.Run(name, func(t *testing.T) {
			server, client := setUp(t)
			url := startServer(t, server).ClientURL()
			serve(t, connect(t, url, client), handlerFunc(echo), natstransport.ServerOptions{})
			got, err := fetch(t.Context(), newClient(t, connect(t, url, client), natstransport.ClientOptions{}), "k")
			require.NoError(t, err)
			require.Equal(t, []gcnode.Reply{{Value: gcnode.StringValue("k")}}, got)
			_, err = nats.Connect(url)
			require.Error(t, err, "nobody else")
		})
	}
}

// withNKey has a user that is a key, which the client keeps in a file.
func withNKey(t *testing.T) (server func(*natsserver.Options), client nats.Option) {
	t.Helper()
	user, public := newKey(t, nkeys.CreateUser)
	seed, err := user.Seed()
	require.NoError(t, err)
	client, err = nats.NkeyOptionFromSeed(file(t, "user.nk", seed))
	require.NoError(t, err)
	return func(o *natsserver.Options) { o.Nkeys = []*natsserver.NkeyUser{{Nkey: public}} }, client
}

// withCredentials has a user whom an operator's account vouches for, in a file
// of credentials.
func withCredentials(t *testing.T) (server func(*natsserver.Options), client nats.Option) {
	t.Helper()
	operator, operatorKey := newKey(t, nkeys.CreateOperator)
	account, accountKey := newKey(t, nkeys.CreateAccount)
	user, userKey := newKey(t, nkeys.CreateUser)
	operatorClaims := jwt.NewOperatorClaims(operatorKey)
	accountToken, err := jwt.NewAccountClaims(accountKey).Encode(operator)
	require.NoError(t, err)
	userToken, err := jwt.NewUserClaims(userKey).Encode(account)
	require.NoError(t, err)
	seed, err := user.Seed()
	require.NoError(t, err)
	credentials, err := jwt.FormatUserConfig(userToken, seed)
	require.NoError(t, err)
	accounts := &natsserver.MemAccResolver{}
	require.NoError(t, accounts.Store(accountKey, accountToken))
	return func(o *natsserver.Options) {
		o.TrustedOperators, o.AccountResolver = []*jwt.OperatorClaims{operatorClaims}, accounts
	}, nats.UserCredentials(file(t, "user.creds", credentials))
}

// withCertificates has TLS in which both sides show a certificate.
func withCertificates(t *testing.T) (server func(*natsserver.Options), client nats.Option) {
	t.Helper()
	authority, issue := newAuthority(t)
	return func(o *natsserver.Options) {
			o.TLS, o.TLSVerify, o.TLSTimeout = true, true, patience.Seconds()
			o.TLSConfig = &tls.Config{
				MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{issue(1)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority,
			}
		}, nats.Secure(&tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: authority, Certificates: []tls.Certificate{issue(2)},
		})
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

// file is the path of one with this content.
func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// newAuthority is one that issues certificates for 127.0.0.1.
func newAuthority(t *testing.T) (_ *x509.CertPool, issue func(serial int64) tls.Certificate) {
	t.Helper()
	template := func(serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
	}
	sign := func(c, parent *x509.Certificate, by *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		if by == nil {
			by = key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
		require.NoError(t, err)
		return der, key
	}
	root := template(100)
	root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
	der, key := sign(root, root, nil)
	root, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return pool, func(serial int64) tls.Certificate {
		der, own := sign(template(serial), root, key)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own}
	}
}
