//go:build !wasip1

package origintest

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

// Documents are what an origin has, by path. They may be kept for ten minutes.
type Documents[D ~string | ~[]byte] map[string]D

// ServeHTTP implements [http.Handler].
func (d Documents[D]) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	document, found := d[strings.TrimPrefix(r.URL.Path, "/")]
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "max-age=600")
	_, _ = w.Write([]byte(document))
}

// Serve serves the documents for the time of the test, and returns the settings of
// a getter that has them for its keys.
func (d Documents[D]) Serve(t *testing.T, config getter.Config) getter.Config {
	t.Helper()
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	all := getter.Config{"url": server.URL + "/{+key}"}
	maps.Copy(all, config)
	return all
}

// Start starts a getter on what [Documents.Serve] serves.
func (d Documents[D]) Start(t *testing.T, open getter.Open, config getter.Config) *sdktest.Instance {
	t.Helper()
	instance, err := sdktest.Start(open, sdktest.Options{Config: d.Serve(t, config), Transport: http.DefaultTransport})
	require.NoError(t, err)
	return instance
}
