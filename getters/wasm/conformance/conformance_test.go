package conformance_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/conformance"
)

func TestC(t *testing.T) { testProbe(t, "c", conformance.Options{}) }

// testProbe runs the suite against a module that "make plugins-all" has built.
func testProbe(t *testing.T, language string, opts conformance.Options) {
	t.Helper()
	t.Parallel()
	module, err := os.ReadFile("testdata/" + language + ".wasm")
	require.NoError(t, err)
	conformance.Test(t, module, opts)
}

func TestCPlusPlus(t *testing.T) { testProbe(t, "cpp", conformance.Options{}) }

func TestRust(t *testing.T) { testProbe(t, "rust", conformance.Options{}) }

func TestAssemblyScript(t *testing.T) { testProbe(t, "assemblyscript", conformance.Options{}) }
