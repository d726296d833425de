// Package wasmtest runs the suite for SDKs of package conformance as tests.
package wasmtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/conformance"
)

// Test runs the suite against the probe of an SDK.
func Test(t *testing.T, module []byte) {
	suite, err := conformance.Probe(module, conformance.ProbeOptions{})
	require.NoError(t, err)
	t.Cleanup(suite.Close)
	for _, check := range suite.Checks() {
		t.Run(check.Name, func(t *testing.T) { check.Run(t) })
	}
}
