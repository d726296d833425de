package fuel_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// everything is a module with every section and every kind of reference to a
// function. Its function "sum" reaches three others: by a call, through the
// table and by a reference; each adds a different number, so that a reference
// to a wrong one shows in the result.
func everything() wasm {
	constant := func(v int64) []byte { return body(i32Const, s64(v)) }
	return wasm{
		types: [][]byte{
			signature(nil, []byte{i32}),
			signature(nil, nil),
			signature(nil, []byte{i32, i32}),
			signature([]byte{i32}, []byte{i32, i32}),
		},
		imports: [][]byte{
			cat(name("host"), name("one"), 0, 0),
			cat(name("host"), name("base"), 3, i32, 0),
		},
		functions: [][]byte{u32(0), u32(0), u32(0), u32(0), u32(1), u32(3)},
		tables:    [][]byte{{funcref, 0, 4}, {funcref, 1, 1, 2}},
		memories:  [][]byte{{0, 1}},
		globals:   [][]byte{cat(funcref, 1, refFunc, 3, end), cat(i32, 1, i32Const, s64(1000), end)},
		exports:   [][]byte{export("sum", 1), export("pair", 6), cat(name("base"), 3, 2), cat(name("memory"), 2, 0), cat(name("table"), 1, 0)},
		start:     u32(5),
		elements: [][]byte{
			cat(0, i32Const, 1, end, 2, 2, 4),
			cat(1, 0, 1, 3),
			cat(6, 1, i32Const, 0, end, funcref, 1, refFunc, 2, end),
			cat(3, 0, 1, 4),
		},
		codes: [][]byte{
			// one() + base + table0[1]() + table0[2]() + table1[0]() + table0[3]() after table0[3] was set.
			body(
				call, 0, globalGet, 0, i32Add,
				i32Const, 1, callIndirect, 0, 0, i32Add,
				i32Const, 2, callIndirect, 0, 0, i32Add,
				i32Const, 0, callIndirect, 0, 1, i32Add,
				i32Const, 3, globalGet, 1, 0x26, 0,
				i32Const, 3, callIndirect, 0, 0, i32Add,
				globalGet, 2, i32Add),
			constant(10),
			constant(100),
			constant(20),
			body(i32Const, s64(5000), globalSet, 2),
			body(call, 0, drop, localGet, 0, localGet, 0, i32Eqz, ifelse, 3, i32Const, 7, ret, 0x05, localGet, 0, end),
		},
		data: [][]byte{cat(0, i32Const, 8, end, name("data"))},
		custom: [][]byte{
			cat(name("producers"), "made by hand"),
			cat(name(".debug_line"), "offsets"),
			cat(name("name"),
				section(0, name("everything")),
				section(1, cat(3, 0, name("one"), 1, name("sum"), 6, name("pair"))),
				section(2, cat(1, 6, 1, 0, name("n"))),
				section(3, cat(1, 6, 1, 0, name("label")))),
		},
	}
}

// newEverything compiles the module, with custom sections, and starts it.
func newEverything(t *testing.T, module []byte) (wazero.CompiledModule, api.Module) {
	t.Helper()
	ctx := t.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features).WithCustomSections(true))
	t.Cleanup(func() { require.NoError(t, r.Close(context.WithoutCancel(ctx))) })
	_, err := r.NewHostModuleBuilder(fuel.TickModule).NewFunctionBuilder().
		WithFunc(func() int64 { return 1_000 }).Export(fuel.TickName).Instantiate(ctx)
	require.NoError(t, err)
	host := wasm{
		types:     [][]byte{signature(nil, []byte{i32})},
		functions: [][]byte{u32(0)},
		globals:   [][]byte{cat(i32, 0, i32Const, s64(200), end)},
		exports:   [][]byte{export("one", 0), cat(name("base"), 3, 0)},
		codes:     [][]byte{body(i32Const, 1)},
	}
	_, err = r.InstantiateWithConfig(ctx, host.bytes(), wazero.NewModuleConfig().WithName("host"))
	require.NoError(t, err)
	compiled, err := r.CompileModule(ctx, module)
	require.NoError(t, err)
	m, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig())
	require.NoError(t, err)
	return compiled, m
}

func TestEveryReferenceIsKept(t *testing.T) {
	plain := everything().bytes()
	for what, module := range map[string][]byte{"plain": plain, "fuel": inject(t, plain, fuel.Options{})} {
		t.Run(what, func(t *testing.T) {
			_, m := newEverything(t, module)
			sum, err := m.ExportedFunction("sum").Call(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 1+200+10+20+10+100+5000, sum[0])
			for n, want := range map[uint64][]uint64{0: {0, 7}, 3: {3, 3}} {
				pair, err := m.ExportedFunction("pair").Call(t.Context(), n)
				require.NoError(t, err)
				require.Equal(t, want, pair)
			}
			require.EqualValues(t, 5000, m.ExportedGlobal("base").Get())
		})
	}
}

func TestNamesAreKept(t *testing.T) {
	out, report, err := fuel.Inject(everything().bytes(), fuel.Options{})
	require.NoError(t, err)
	require.Equal(t, []string{".debug_line"}, report.DroppedSections)
	compiled, m := newEverything(t, out)
	require.Equal(t, "everything", compiled.Name())
	require.Len(t, compiled.CustomSections(), 1)
	require.Equal(t, "producers", compiled.CustomSections()[0].Name())
	require.Equal(t, "made by hand", string(compiled.CustomSections()[0].Data()))
	for export, want := range map[string]string{"sum": "sum", "pair": "pair"} {
		require.Equal(t, want, m.ExportedFunction(export).Definition().Name())
	}
	require.Equal(t, []string{"n"}, m.ExportedFunction("pair").Definition().ParamNames())
	imported := compiled.ImportedFunctions()
	require.Len(t, imported, 2)
	require.Equal(t, "one", imported[0].Name())
	require.Equal(t, fuel.TickModule+"."+fuel.TickName, imported[1].Name())
	require.Len(t, compiled.ExportedFunctions(), 2, "nothing injected is exported")
}

// TestStackTraceKeepsNames covers the guest's names, whose indices changed.
func TestStackTraceKeepsNames(t *testing.T) {
	module := procedure(body(call, 1))
	module.functions = [][]byte{u32(0), u32(0)}
	module.codes = append(module.codes, body(unreachable))
	module.custom = [][]byte{cat(name("name"), section(1, cat(2, 0, name("outer"), 1, name("inner"))))}
	m := instantiate(t, newRuntime(t, func() int64 { return 1_000 }), inject(t, module.bytes(), fuel.Options{}))
	_, err := m.ExportedFunction("f").Call(t.Context())
	require.ErrorContains(t, err, "wasm stack trace:\n\t.inner()\n\t.outer()")
}
