package legacy_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/compat/mailgun/internal/legacy"
	gcnode "github.com/gcnode/gcnode/core"
)

// instrumented counts requests, as programs have it.
type instrumented struct {
	http.RoundTripper

	n atomic.Int64
}

func (i *instrumented) RoundTrip(r *http.Request) (*http.Response, error) {
	i.n.Add(1)
	return i.RoundTripper.RoundTrip(r)
}

// TestTheDefaultTransportIsUsed has a program whose authority is known to
// http.DefaultTransport alone, and one that has replaced it. It sets a global, so
// that it does not run beside others.
func TestTheDefaultTransportIsUsed(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "\x0a\x03abc")
	}))
	defer server.Close()
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	knowing := before.(*http.Transport).Clone()
	knowing.TLSClientConfig = &tls.Config{RootCAs: roots}
	defer knowing.CloseIdleConnections()
	counting := &instrumented{RoundTripper: knowing}
	for _, transport := range []http.RoundTripper{knowing, counting} {
		client := legacy.NewClient(legacy.ClientOptions{})
		http.DefaultTransport = transport // after the pool was made
		it, err := client.Peer(server.URL).Get(t.Context(), "g", "k")
		require.NoError(t, err)
		require.Equal(t, gcnode.StringValue("abc"), it.Value)
		client.Close()
	}
	require.EqualValues(t, 1, counting.n.Load())
}
