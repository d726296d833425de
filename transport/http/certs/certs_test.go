package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/transport/http/certs"
	"github.com/gcnode/gcnode/transport/http/certs/certstest"
)

// shown is the serial number of the certificate that a listener shows.
func shown(t *testing.T, addr string) string {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it is looked at
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	secure, ok := conn.(*tls.Conn)
	require.True(t, ok)
	return secure.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func serial(t *testing.T, file string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(file+".crt", file+".key")
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	return leaf.SerialNumber.String()
}

func TestCertificatesAreReadAgainWhenTheirFilesChange(t *testing.T) {
	dir := t.TempDir()
	authority, err := certstest.New(dir)
	require.NoError(t, err)
	require.NoError(t, authority.Give("node"))
	node := filepath.Join(dir, "node")
	member, err := certs.New(certs.Files{Cert: node + ".crt", Key: node + ".key"}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	plain, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener := tls.NewListener(plain, member.Server())
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if secure, ok := conn.(*tls.Conn); ok {
				_ = secure.HandshakeContext(context.Background())
			}
			_ = conn.Close()
		}
	}()
	addr := listener.Addr().String()
	first := serial(t, node)
	assert.Equal(t, first, shown(t, addr))

	// A key without its certificate, in the middle of a change.
	key, err := os.ReadFile(node + ".key")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(node+".key", []byte("half of a key"), 0o600))
	assert.Equal(t, first, shown(t, addr))
	require.NoError(t, os.WriteFile(node+".key", key, 0o600))

	require.NoError(t, authority.Give("node"))
	later := time.Now().Add(time.Second) // whatever the resolution of the file system
	require.NoError(t, os.Chtimes(node+".crt", later, later))
	second := serial(t, node)
	require.NotEqual(t, first, second)
	assert.Equal(t, second, shown(t, addr))
}

// TestFilesThatCouldNotBeUsedAreReadAgain has certificates that cannot be read at
// the moment when they have changed, and can later, without another change.
func TestFilesThatCouldNotBeUsedAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		authority, err := certstest.New(dir)
		require.NoError(t, err)
		require.NoError(t, authority.Give("node"))
		node := filepath.Join(dir, "node")
		var log strings.Builder
		member, err := certs.New(certs.Files{Cert: node + ".crt", Key: node + ".key"}, slog.New(slog.NewTextHandler(&log, nil)))
		require.NoError(t, err)
		shows := func() string {
			leaf, err := x509.ParseCertificate(member.Client("node").Certificates[0].Certificate[0])
			require.NoError(t, err)
			return leaf.SerialNumber.String()
		}
		first := serial(t, node)

		require.NoError(t, authority.Give("node"))
		second := serial(t, node)
		key, err := os.ReadFile(node + ".key")
		require.NoError(t, err)
		changed := time.Now().Add(time.Hour)
		write := func(content []byte) {
			require.NoError(t, os.WriteFile(node+".key", content, 0o600))
			require.NoError(t, os.Chtimes(node+".key", changed, changed))
		}
		write(bytes.Repeat([]byte("x"), len(key)))
		for range 100 {
			require.Equal(t, first, shows())
		}
		require.Equal(t, 1, strings.Count(log.String(), "cannot be used"), "whoever connects does not fill the log")
		write(key)
		time.Sleep(time.Minute)
		require.Equal(t, second, shows())
	})
}

func TestFilesThatAreNoCertificates(t *testing.T) {
	dir := t.TempDir()
	authority, err := certstest.New(dir)
	require.NoError(t, err)
	require.NoError(t, authority.Give("node"))
	node, text := filepath.Join(dir, "node"), filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte("hello"), 0o600))
	for want, files := range map[string]certs.Files{
		"a certificate and its key":  {Cert: node + ".crt"},
		"the certificate " + text:    {Cert: text, Key: node + ".key"},
		"with the key " + text:       {Cert: node + ".crt", Key: text},
		"there is no certificate in": {Cert: node + ".crt", Key: node + ".key", CA: text},
		"no such file":               {Cert: node + ".crt", Key: node + ".key", CA: text + "2"},
	} {
		_, err := certs.New(files, slog.New(slog.DiscardHandler))
		assert.ErrorContains(t, err, want)
	}
}

// handshake makes a connection between two of them, and returns what each side
// says of it.
func handshake(t *testing.T, server, client *tls.Config) (atServer, atClient error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	go func() {
		conn := tls.Server(far, server)
		err := conn.HandshakeContext(t.Context())
		if err == nil { // in TLS 1.3 the client hears of a refusal only now
			_, err = conn.Write([]byte("welcome"))
		}
		_ = far.Close()
		done <- err
	}()
	conn := tls.Client(near, client)
	_, atClient = conn.Read(make([]byte, 7))
	_ = near.Close()
	return <-done, atClient
}

func TestMembersKnowEachOther(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	member := func(dir, name, ca string) *certs.Certificates {
		t.Helper()
		c, err := certs.New(certs.Files{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key"), CA: ca}, nil)
		require.NoError(t, err)
		return c
	}
	for _, d := range []string{dir, elsewhere} {
		authority, err := certstest.New(d)
		require.NoError(t, err)
		require.NoError(t, authority.Give("cache"))
		require.NoError(t, authority.Give("web"))
	}
	ca := filepath.Join(dir, "ca.crt")
	cache, web, stranger := member(dir, "cache", ca), member(dir, "web", ca), member(elsewhere, "cache", ca)
	for _, c := range []struct {
		what           string
		server, client *tls.Config
		atServer       string // part of its error; empty: both go on
		atClient       string
	}{
		{"two members", cache.Members(""), cache.Client("127.0.0.1"), "", ""},
		{"two members with a name", cache.Members("cache"), cache.Client("cache"), "", ""},
		{"a client of another name", cache.Members("cache"), web.Client("cache"), "valid for web, not cache", "bad certificate"},
		{"a server of another name", web.Members(""), cache.Client("cache"), "bad certificate", "valid for web, not cache"},
		{"a client of another authority", cache.Members(""), stranger.Client("cache"), "unknown authority", "unknown certificate authority"},
		{"a server of another authority", stranger.Members(""), cache.Client("cache"), "bad certificate", "unknown authority"},
		{
			"a client without a certificate", cache.Members(""),
			&tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, //nolint:gosec // the server is not the point
			"didn't provide a certificate", "certificate required",
		},
	} {
		atServer, atClient := handshake(t, c.server, c.client)
		if c.atServer == "" {
			assert.NoError(t, atServer, c.what)
			assert.NoError(t, atClient, c.what)
			continue
		}
		assert.ErrorContains(t, atServer, c.atServer, c.what)
		assert.ErrorContains(t, atClient, c.atClient, c.what)
	}
}
