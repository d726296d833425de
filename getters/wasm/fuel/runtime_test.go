package fuel_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// features are those that Inject supports.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

// newRuntime returns a runtime that provides wasi and the tick.
func newRuntime(tb testing.TB, tick func() int64) wazero.Runtime {
	tb.Helper()
	ctx := tb.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features))
	tb.Cleanup(func() { require.NoError(tb, r.Close(context.WithoutCancel(ctx))) })
	_, err := wasi_snapshot_preview1.Instantiate(ctx, r)
	require.NoError(tb, err)
	_, err = r.NewHostModuleBuilder(fuel.TickModule).NewFunctionBuilder().
		WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = api.EncodeI64(tick()) }),
			nil, []api.ValueType{api.ValueTypeI64}).
		Export(fuel.TickName).Instantiate(ctx)
	require.NoError(tb, err)
	return r
}

// instantiate starts a module, as a reactor if it is one.
func instantiate(tb testing.TB, r wazero.Runtime, module []byte) api.Module {
	tb.Helper()
	m, err := r.InstantiateWithConfig(tb.Context(), module,
		wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	require.NoError(tb, err)
	return m
}

// inject instruments a module that must be accepted.
func inject(tb testing.TB, module []byte, opts fuel.Options) []byte {
	tb.Helper()
	out, _, err := fuel.Inject(module, opts)
	require.NoError(tb, err)
	return out
}

// compileGo compiles the Go guest in testdata to a reactor.
func compileGo(tb testing.TB) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "guest.wasm")
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-buildmode=c-shared", "-o", path, "./testdata/compute")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	output, err := cmd.CombinedOutput()
	require.NoError(tb, err, string(output))
	module, err := os.ReadFile(path)
	require.NoError(tb, err)
	return module
}
