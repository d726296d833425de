package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

func TestHello(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/users/ann" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"name":"Ann"}`))
	}))
	defer origin.Close()
	hello, err := sdktest.Start(open, sdktest.Options{
		Config:    getter.Config{"origin": origin.URL, "ttl": "1h"},
		Transport: origin.Client().Transport,
	})
	require.NoError(t, err)

	ann := hello.Get(t.Context(), "ann")
	assert.Equal(t, getter.StatusOK, ann.Status)
	assert.Equal(t, `{"name":"Ann"}`, string(ann.Value))
	assert.Equal(t, time.Hour, ann.TTL)

	bob := hello.Get(t.Context(), "bob")
	assert.Equal(t, getter.StatusNotFound, bob.Status)
	assert.Equal(t, time.Minute, bob.TTL)
}

func TestWrongSettings(t *testing.T) {
	_, err := sdktest.Start(open, sdktest.Options{Config: getter.Config{"ttl": "soon", "colour": "x"}})
	require.ErrorContains(t, err, "ttl")
	require.ErrorContains(t, err, "colour")
}
