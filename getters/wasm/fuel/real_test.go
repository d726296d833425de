package fuel_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// transcript is everything that a getter does to its host.
type transcript struct {
	inputs map[int32]string // by number
	lines  []string
}

// serve provides what the module imports from the guest ABI and writes it down.
// Fetches are begun and never end; the clock stands still.
func (tr *transcript) serve(t *testing.T, r wazero.Runtime, compiled wazero.CompiledModule) {
	t.Helper()
	host := r.NewHostModuleBuilder("gcnode1")
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if module != "gcnode1" {
			continue
		}
		call := api.GoModuleFunc(func(_ context.Context, m api.Module, stack []uint64) { tr.call(m, f, name, stack) })
		host.NewFunctionBuilder().WithGoModuleFunction(call, f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	_, err := host.Instantiate(t.Context())
	require.NoError(t, err)
}

func (tr *transcript) call(m api.Module, f api.FunctionDefinition, name string, stack []uint64) {
	args := slices.Clone(stack[:len(f.ParamTypes())])
	for i, param := range f.ParamTypes() {
		if param == api.ValueTypeI32 {
			args[i] = uint64(api.DecodeU32(args[i]))
		}
	}
	line := name + fmt.Sprint(args)
	result := uint64(0)
	switch name {
	case "input_read":
		left := tr.inputs[api.DecodeI32(args[0])]
		left = left[min(int(args[2]), len(left)):]
		m.Memory().WriteString(uint32(args[1]), left[:min(len(left), int(args[3]))])
		result = uint64(len(left))
	case "respond":
		value, _ := m.Memory().Read(uint32(args[4]), uint32(args[5]))
		line += shown(value)
	case "log", "fetch_start":
		text, _ := m.Memory().Read(uint32(args[1]), uint32(args[2]))
		line += shown(text)
		result = 1000
	}
	if len(f.ResultTypes()) > 0 {
		stack[0] = result
	}
	tr.lines = append(tr.lines, line)
}

// shown is the beginning of bytes, and a checksum of all of them.
func shown(b []byte) string { return fmt.Sprintf(" %.100q %x", b, checksum(b)) }

// play asks a getter for keys, one after the other, and returns what it did. A
// trap ends it.
func play(t *testing.T, module []byte, keys []string) []string {
	t.Helper()
	tr := &transcript{inputs: map[int32]string{}}
	r := newRuntime(t, func() int64 { return 1 << 16 })
	compiled, err := r.CompileModule(t.Context(), module)
	require.NoError(t, err)
	tr.serve(t, r, compiled)
	m, err := r.InstantiateModule(t.Context(), compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	require.NoError(t, err)
	_, err = m.ExportedFunction("gcnode_configure").Call(t.Context(), 0)
	require.NoError(t, err)
	for i, key := range keys {
		id := int32(i + 1)
		tr.inputs[id] = key
		result, err := m.ExportedFunction("gcnode_get").Call(t.Context(), api.EncodeI32(id), uint64(len(key)))
		if err != nil {
			text, _, _ := strings.Cut(err.Error(), "\n")
			return append(tr.lines, text)
		}
		tr.lines = append(tr.lines, fmt.Sprint("returns ", api.DecodeI32(result[0])))
		delete(tr.inputs, id)
	}
	memory, _ := m.Memory().Read(0, m.Memory().Size())
	return append(tr.lines, fmt.Sprint("memory ", len(memory), checksum(memory)))
}

// checksum is a number that is the same for the same bytes.
func checksum(b []byte) (sum uint64) {
	for _, c := range b {
		sum = sum*31 + uint64(c)
	}
	return sum
}

// TestGettersOfSDKs has getters of the SDKs, and one in Go, answer the same
// keys with and without fuel: what they ask of the host, how they answer, and
// every byte of memory that they leave is the same.
func TestGettersOfSDKs(t *testing.T) {
	var modules []string
	for _, sdk := range []string{"assemblyscript", "c", "cpp", "rust"} {
		modules = append(modules, filepath.Join("..", "wasmtest", "testdata", sdk+".wasm"))
	}
	var keys []string
	for range 20 {
		keys = append(keys, "echo:value", "echo:", "size:70000", "ttl:5", "nostore", "notfound:7:no such key", "transient:later",
			"permanent:\xff\x00", "denied:x", "overloaded:", "setting:name", "duration:name", "log:2:text", "now", "monotonic",
			"set:-1:key:value", "stored:key", "escape:"+strings.Repeat("ä b/c?d", 100), "fetch:http://origin.invalid/", "many:3:http://origin.invalid/",
			"nonsense", "")
	}
	for _, path := range modules {
		module, err := os.ReadFile(path)
		require.NoError(t, err)
		comparePlays(t, filepath.Base(path), module, keys)
		comparePlays(t, filepath.Base(path), module, append(keys, "trap:"))
	}
}

func comparePlays(t *testing.T, name string, module []byte, keys []string) {
	t.Helper()
	want := play(t, module, keys)
	got := play(t, inject(t, module, fuel.Options{}), keys)
	require.Greater(t, len(want), len(keys), name)
	require.Equal(t, want, got, name)
}

// TestProgramsOfOtherToolchains compares what the modules compute that wazero
// is tested with: programs by TinyGo and Rust that return numbers.
func TestProgramsOfOtherToolchains(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	require.NoError(t, err)
	root := strings.TrimSpace(string(dir))
	for _, c := range []struct {
		path string
		args map[string][]uint64
	}{
		{"internal/integration_test/bench/testdata/case.wasm", map[string][]uint64{
			"fibonacci": {20}, "string_manipulation": {100}, "reverse_array": {1000}, "random_mat_mul": {10}, "malloc": {100},
		}},
		{"examples/basic/testdata/add.wasm", map[string][]uint64{"add": {1 << 31, 1<<31 + 5}}},
		{"examples/allocation/rust/testdata/greet.wasm", map[string][]uint64{"allocate": {100}}},
		{"examples/allocation/tinygo/testdata/greet.wasm", map[string][]uint64{"malloc": {100}}},
		{"testdata/fac.wasm", map[string][]uint64{"fac-ssa": {20}}},
		{"imports/emscripten/testdata/grow.wasm", nil},
		{"imports/wasi_snapshot_preview1/testdata/zig-cc/wasi.wasm", nil},
		{"imports/wasi_snapshot_preview1/testdata/cargo-wasi/wasi.wasm", nil},
		{"imports/wasi_snapshot_preview1/example/testdata/zig/cat.wasm", nil},
	} {
		module, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(c.path)))
		require.NoError(t, err)
		want := compute(t, module, c.args)
		require.Equal(t, want, compute(t, inject(t, module, fuel.Options{}), c.args), c.path)
	}
}

// compute calls exports in the order of their names, and returns their results
// with a checksum of the memory. A module without arguments is a program.
func compute(t *testing.T, module []byte, args map[string][]uint64) (results []string) {
	t.Helper()
	r := newRuntime(t, func() int64 { return 1 << 16 })
	compiled, err := r.CompileModule(t.Context(), module)
	require.NoError(t, err)
	stubs := map[string]wazero.HostModuleBuilder{}
	for _, f := range compiled.ImportedFunctions() {
		name, function, _ := f.Import()
		if name == fuel.TickModule || name == "wasi_snapshot_preview1" {
			continue
		}
		if stubs[name] == nil {
			stubs[name] = r.NewHostModuleBuilder(name)
		}
		nothing := api.GoModuleFunc(func(_ context.Context, _ api.Module, stack []uint64) { clear(stack) })
		stubs[name].NewFunctionBuilder().WithGoModuleFunction(nothing, f.ParamTypes(), f.ResultTypes()).Export(function)
	}
	for _, stub := range stubs {
		_, err := stub.Instantiate(t.Context())
		require.NoError(t, err)
	}
	config := wazero.NewModuleConfig().WithName("").WithArgs("program", "environ").WithStartFunctions("_initialize")
	m, err := r.InstantiateModule(t.Context(), compiled, config)
	require.NoError(t, err)
	for _, export := range slices.Sorted(maps.Keys(args)) {
		result, err := m.ExportedFunction(export).Call(t.Context(), args[export]...)
		results = append(results, fmt.Sprint(export, result, err))
	}
	if start := m.ExportedFunction("_start"); args == nil && start != nil {
		_, err := start.Call(t.Context())
		text, _, _ := strings.Cut(fmt.Sprint(err), "\n")
		results = append(results, text)
	}
	if len(compiled.ExportedMemories()) > 0 {
		all, _ := m.Memory().Read(0, m.Memory().Size())
		results = append(results, fmt.Sprint(len(all), checksum(all)))
	}
	require.NotEmpty(t, results)
	return results
}
