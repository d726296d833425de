package guesttest

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// Program is a module that computes, and does nothing else meanwhile.
type Program struct {
	Guest
	// Work is what it computes, and Export and Args how it is told to.
	Work, Export string
	Args         []uint64
	// Key is what it is asked for, if it is a getter.
	Key string
}

// Programs are what real modules of several toolchains compute: getters of the
// SDKs, a Go program, and the one by TinyGo that wazero is measured with.
func Programs(tb testing.TB) []Program {
	tb.Helper()
	var programs []Program
	text := string(bytes.Repeat([]byte("a b/c?d&e=f%g "), 1<<7))
	for _, g := range Probes(tb) {
		if g.IsGo() {
			continue
		}
		key := "escape:" + text
		programs = append(programs, Program{g, "escape", "gcnode_get", []uint64{1, uint64(len(key))}, key})
	}
	compute := Guest{"gcnode-go", buildGo(tb, "getters/wasm/fuel/testdata/compute")}
	for _, c := range []command{{"hash", 200}, {"parse", 50}, {"order", 2_000}, {"fibonacci", 20}, {"matrix", 50}} {
		programs = append(programs, c.of(compute))
	}
	module, err := os.ReadFile(filepath.Join(moduleDir(tb, "github.com/tetratelabs/wazero"), "internal/integration_test/bench/testdata/case.wasm"))
	require.NoError(tb, err)
	tiny := Guest{"gcnode-tinygo", module}
	for _, c := range []command{{"fibonacci", 20}, {"string_manipulation", 200}, {"reverse_array", 10_000}, {"random_mat_mul", 20}} {
		programs = append(programs, c.of(tiny))
	}
	return programs
}

// command is an export that computes, and the number that says how much.
type command struct {
	export string
	amount uint64
}

func (c command) of(g Guest) Program { return Program{g, c.export, c.export, []uint64{c.amount}, ""} }

// WithFuel is the program with the counter that plugins get.
func (p Program) WithFuel(tb testing.TB) Program {
	tb.Helper()
	module, _, err := fuel.Inject(p.Module, fuel.Options{})
	require.NoError(tb, err)
	p.Module = module
	return p
}

// Start instantiates the program and returns what runs it once.
func (p Program) Start(tb testing.TB) func() {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	r := wazero.NewRuntime(ctx)
	tb.Cleanup(func() { require.NoError(tb, r.Close(ctx)) })
	compiled, err := r.CompileModule(ctx, p.Module)
	require.NoError(tb, err)
	p.serve(tb, r, compiled)
	m, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	require.NoError(tb, err)
	if configure := m.ExportedFunction("gcnode_configure"); configure != nil {
		_, err := configure.Call(ctx, 0)
		require.NoError(tb, err)
	}
	f, stack := m.ExportedFunction(p.Export), make([]uint64, max(len(p.Args), 1))
	run := func() {
		copy(stack, p.Args)
		require.NoError(tb, f.CallWithStack(ctx, stack))
	}
	run()
	return run
}

// grant is the fuel that programs get at once: the most that a plugin gives.
const grant = 512 << 10

// serve provides what the module imports: its input, fuel without end, and
// functions that do nothing: an answer has to be one that is ok.
func (p Program) serve(tb testing.TB, r wazero.Runtime, compiled wazero.CompiledModule) {
	tb.Helper()
	ctx := tb.Context()
	hosts := map[string]wazero.HostModuleBuilder{}
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if module == wasi_snapshot_preview1.ModuleName {
			continue
		}
		if hosts[module] == nil {
			hosts[module] = r.NewHostModuleBuilder(module)
		}
		call := func(_ context.Context, _ api.Module, stack []uint64) { clear(stack[:min(len(stack), 1)]) }
		switch name {
		case fuel.TickName:
			call = func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = grant }
		case "respond":
			call = func(_ context.Context, _ api.Module, stack []uint64) {
				require.Zero(tb, api.DecodeI32(stack[1]), "the status of the answer")
				stack[0] = 0
			}
		case "input_read":
			call = p.read
		}
		hosts[module].NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(call), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	_, err := wasi_snapshot_preview1.Instantiate(ctx, r)
	require.NoError(tb, err)
	for _, host := range hosts {
		_, err := host.Instantiate(ctx)
		require.NoError(tb, err)
	}
}

// read is input_read of the guest ABI for the key; every other input is empty.
func (p Program) read(_ context.Context, m api.Module, stack []uint64) {
	left := ""
	if api.DecodeU32(stack[0]) == api.DecodeU32(p.Args[0]) {
		left = p.Key[min(int(api.DecodeU32(stack[2])), len(p.Key)):]
	}
	m.Memory().WriteString(api.DecodeU32(stack[1]), left[:min(len(left), int(api.DecodeU32(stack[3])))])
	stack[0] = uint64(len(left))
}
