package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/certs"
	"github.com/gcnode/gcnode/cmd/gcnode/internal/certs/certstest"
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
	reloader, err := certs.NewReloader(certs.Files{Cert: node + ".crt", Key: node + ".key"}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	plain, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener := tls.NewListener(plain, reloader.Config())
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
		"there is no certificate in": {Cert: node + ".crt", Key: node + ".key", ClientCA: text},
		"no such file":               {Cert: node + ".crt", Key: node + ".key", ClientCA: text + "2"},
	} {
		_, err := certs.NewReloader(files, slog.New(slog.DiscardHandler))
		assert.ErrorContains(t, err, want)
	}
}
