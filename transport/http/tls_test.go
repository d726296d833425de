package httptransport_test

import (
	"crypto/tls"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/http/certs"
	"github.com/gcnode/gcnode/transport/http/certs/certstest"
)

// members gives a certificate of one authority to each name.
func members(t *testing.T, names ...string) map[string]*certs.Certificates {
	t.Helper()
	dir := t.TempDir()
	authority, err := certstest.New(dir)
	require.NoError(t, err)
	list := map[string]*certs.Certificates{}
	for _, name := range names {
		require.NoError(t, authority.Give(name))
		file := filepath.Join(dir, name)
		list[name], err = certs.New(certs.Files{Cert: file + ".crt", Key: file + ".key", CA: filepath.Join(dir, "ca.crt")}, nil)
		require.NoError(t, err)
	}
	return list
}

// serveMembers serves h to members with a name.
func serveMembers(t *testing.T, h gcnode.Handler, with *certs.Certificates, name string) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(newHandler(t, h, httptransport.HandlerOptions{}))
	server.TLS = with.Members(name)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestOthersAreNotServed(t *testing.T) {
	list := members(t, "a", "b")
	server := serveMembers(t, handlerFunc(echo), list["a"], "a")
	for what, config := range map[string]func(string) *tls.Config{
		"another name":      list["b"].Client,
		"another authority": members(t, "a")["a"].Client,
		"no certificate":    func(string) *tls.Config { return &tls.Config{InsecureSkipVerify: true} }, //nolint:gosec // it is who asks that is not known
	} {
		_, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{TLS: config}), server.URL, "k")
		assert.ErrorIs(t, err, gcnode.ErrUnreachable, what)
	}
	_, err := fetch(t.Context(), newClient(t, httptransport.ClientOptions{TLS: list["a"].Client}), server.URL, "k")
	assert.NoError(t, err)
}
