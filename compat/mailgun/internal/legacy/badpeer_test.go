package legacy_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/compat/mailgun/internal/legacy"
)

// startWithoutGroup is a process on this module that has no group yet.
func startWithoutGroup(t *testing.T, url string) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(legacy.NewHandler(legacy.HandlerOptions{
		Lookup: func(string) (legacy.Cache, bool) { return nil, false },
	}))
	require.NoError(t, server.Listener.Close())
	server.Listener = listen(t, url)
	server.Start()
	return server
}
