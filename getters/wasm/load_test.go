package wasm

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/getters/wasm/fuel"
)

// minimal is a getter that answers every key with nothing.
func minimal() *assembler {
	a := newAssembler()
	respond := a.abi("respond")
	return a.getter(respondWith(respond, statusOK, ttlDefault, 0, 0)...)
}

func TestMinimalModule(t *testing.T) {
	t.Parallel()
	p := loadModule(t, minimal().bytes(), Options{})
	assert.Empty(t, get(t, p, "any"))
}

// A message names what is wrong, but not without end.
func TestModuleWithoutEndIsRefusedInFewWords(t *testing.T) {
	t.Parallel()
	for name, unknown := range map[string]string{"a getter": abiModule, "for Extism": "extism:host/env"} {
		a := minimal()
		for i := range 10_000 {
			a.imports = append(a.imports, moduleImport{module: unknown, name: fmt.Sprint("unknown_", i), kind: externFunc})
		}
		if name == "for Extism" {
			a.functions = nil
		}
		_, err := Load(t.Context(), a.bytes(), Options{})
		require.ErrorContains(t, err, "unknown_0: ", name)
		require.ErrorContains(t, err, "unknown_18: ", name)
		require.ErrorContains(t, err, "and further imports are wrong", name)
		assert.Less(t, len(err.Error()), 5000, name)
	}
	many := append([]byte("\x00asm\x01\x00\x00\x00"), sectionType)
	types := slices.Concat(vector(1<<20+1), bytes.Repeat([]byte{0x60, 0, 0}, 1<<20+1))
	many = append(appendU32(many, uint32(len(types))), types...)
	_, err := Load(t.Context(), many, Options{})
	require.ErrorContains(t, err, "1048577 are more than the 1048576 that a list may have")
}

func TestRefusedModules(t *testing.T) {
	t.Parallel()
	edited := func(edit func(a *assembler)) []byte {
		a := minimal()
		edit(a)
		return a.bytes()
	}
	importing := func(module, name string, kind externKind, params ...valueType) []byte {
		a := newAssembler()
		respond := a.abi("respond")
		a.imports = append(a.imports, moduleImport{module, name, kind, signature{params: params}})
		return a.getter(respondWith(respond, statusOK, ttlDefault, 0, 0)...).bytes()
	}
	random := make([]byte, 4096)
	rand.Read(random)
	whole := minimal().bytes()
	for name, c := range map[string]struct {
		module []byte
		want   []string
	}{
		"empty":          {nil, []string{"empty"}},
		"random":         {append([]byte{1}, random...), []string{"not a WebAssembly module"}},
		"text":           {[]byte(" (module)"), []string{"text", "wat2wasm"}},
		"component":      {[]byte("\x00asm\x0d\x00\x01\x00rest"), []string{"component", "wasm32-wasip1", "-buildmode=c-shared"}},
		"version 2":      {[]byte("\x00asm\x02\x00\x00\x00"), []string{"unknown version 02000000"}},
		"header only":    {[]byte("\x00asm"), []string{"ends too early"}},
		"truncated":      {whole[:len(whole)-3], []string{"ends too early"}},
		"nothing inside": {whole[:8], []string{"memory", "gcnode_abi_1", "gcnode_get: (i32, i32) -> (i32)"}},
		"random sections": {
			append(slices.Clone(whole[:8]), append([]byte{1}, random...)...), nil,
		},
		"command": {
			edited(func(a *assembler) { a.function(exportStart, nil, nil) }),
			[]string{"command", "_start", "-buildmode=c-shared"},
		},
		"no marker": {
			edited(func(a *assembler) { a.functions[0].export = "" }),
			[]string{"does not export gcnode_abi_1"},
		},
		"other version of the ABI": {
			edited(func(a *assembler) { a.functions[0].export = "gcnode_abi_7" }),
			[]string{`version "7" of the guest ABI`, "this host has version 1"},
		},
		"no get": {
			edited(func(a *assembler) { a.functions[1].export = "" }),
			[]string{"does not export the function gcnode_get: (i32, i32) -> (i32)"},
		},
		"get with another signature": {
			edited(func(a *assembler) {
				a.functions[1].sig = signature{[]valueType{i64}, []valueType{i32}}
				a.functions[1].code = constI32(0)
			}),
			[]string{"gcnode_get has the signature (i64) -> (i32), want (i32, i32) -> (i32)"},
		},
		"configure with another signature": {
			edited(func(a *assembler) { a.function(exportConfigure, nil, nil) }),
			[]string{"gcnode_configure has the signature () -> (), want (i32) -> (i32)"},
		},
		"initialize with another signature": {
			edited(func(a *assembler) { a.function(exportInit, []valueType{i32}, nil) }),
			[]string{"_initialize has the signature (i32) -> (), want () -> ()"},
		},
		"get is a memory": {
			edited(func(a *assembler) {
				a.functions[1].export = ""
				a.others = append(a.others, asmExport{exportGet, externMemory, 0})
			}),
			[]string{"export gcnode_get is a memory, want a function"},
		},
		"no memory": {
			edited(func(a *assembler) { a.memory = "" }),
			[]string{`does not export its memory as "memory"`},
		},
		"memory over the limit": {
			edited(func(a *assembler) { a.pages = 33 }),
			[]string{"starts with 2162688 bytes of memory, the limit is 2097152: raise it (MaxMemoryBytes, memory in a node's configuration)"},
		},
		"unknown module":    {importing("env", "abort", externFunc), []string{"import env.abort", `no module "env"`}},
		"unknown function":  {importing(abiModule, "kv_list", externFunc), []string{"import gcnode1.kv_list", "no such function"}},
		"unknown wasi":      {importing(wasiModule, "sock_open", externFunc), []string{"import wasi_snapshot_preview1.sock_open"}},
		"wrong signature":   {importing(abiModule, "log", externFunc, i32), []string{"import gcnode1.log has the signature (i32) -> (), want (i32, i32, i32) -> ()"}},
		"wasi signature":    {importing(wasiModule, "proc_exit", externFunc, i64), []string{"proc_exit has the signature (i64) -> (), want (i32) -> ()"}},
		"the tick itself":   {importing("gcnode_fuel", "tick", externFunc), []string{`no module "gcnode_fuel"`}},
		"imported memory":   {importing(abiModule, "memory", externMemory), []string{"gcnode1.memory is a memory", "only functions"}},
		"imported global":   {importing(wasiModule, "g", externGlobal), []string{"is a global", "only functions"}},
		"fetch, no grant":   {newFetching().bytes(), []string{"import gcnode1.fetch was not granted", "no origin is allowed", "(AllowFetch, allow_fetch in a node's configuration)"}},
		"code of bad types": {edited(func(a *assembler) { a.functions[1].code = constI64(0) }), []string{"compile the module"}},
		"trap at the start": {
			edited(func(a *assembler) { a.start = int(a.function("", nil, nil, opUnreachable)) }),
			[]string{"start the first instance", "unreachable"},
		},
		"trap in _initialize": {
			edited(func(a *assembler) { a.function(exportInit, nil, nil, opUnreachable) }),
			[]string{"start the first instance", "unreachable"},
		},
		"configure refuses": {
			edited(func(a *assembler) { a.function(exportConfigure, []valueType{i32}, []valueType{i32}, constI32(-5)...) }),
			[]string{"refused the configuration with the result -5"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := Load(t.Context(), c.module, Options{Name: "bad", MaxMemoryBytes: 2 << 20})
			require.Error(t, err)
			assert.Nil(t, p)
			assert.ErrorContains(t, err, `load plugin "bad": `)
			for _, want := range c.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

// newFetching is a getter that imports fetch.
func newFetching() *assembler {
	a := newAssembler()
	a.abi("fetch")
	respond := a.abi("respond")
	return a.getter(respondWith(respond, statusOK, ttlDefault, 0, 0)...)
}

func TestFetchDoesNotExistWithoutTheGrant(t *testing.T) {
	t.Parallel()
	opts, err := Options{}.withDefaults()
	require.NoError(t, err)
	p, err := newPlugin(&opts)
	require.NoError(t, err)
	defer p.free()
	instrumented, _, err := fuel.Inject(newFetching().bytes(), fuel.Options{})
	require.NoError(t, err)
	require.NoError(t, p.compile(t.Context(), instrumented))
	require.ErrorContains(t, p.probe(t.Context()), `"fetch" is not exported in module "gcnode1"`)
}

func TestEveryMistakeIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	a := newAssembler()
	a.importFunction("env", "one", nil, nil)
	a.importFunction("env", "two", nil, nil)
	_, err := Load(t.Context(), a.bytes(), Options{})
	for _, want := range []string{"env.one", "env.two", "gcnode_abi_1", "gcnode_get"} {
		require.ErrorContains(t, err, want)
	}
}

func TestStartIsBoundedInTime(t *testing.T) {
	t.Parallel()
	inStart := minimal()
	inStart.start = int(inStart.function("", nil, nil, forever()...))
	inInitialize := minimal()
	inInitialize.function(exportInit, nil, nil, forever()...)
	inConfigure := minimal()
	inConfigure.function(exportConfigure, []valueType{i32}, []valueType{i32}, forever()...)
	for name, a := range map[string]*assembler{"start": inStart, "initialize": inInitialize, "configure": inConfigure} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := Load(t.Context(), a.bytes(), Options{Timeout: 100 * time.Millisecond})
			require.ErrorIs(t, err, context.DeadlineExceeded)

			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err = Load(ctx, a.bytes(), Options{Timeout: time.Hour})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Less(t, time.Since(begin), patience)
		})
	}
}

func TestCanceledLoad(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Load(ctx, minimal().bytes(), Options{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestLoadFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "users.wasm")
	require.NoError(t, os.WriteFile(path, minimal().bytes(), 0o600))
	p, err := LoadFile(t.Context(), path, Options{})
	require.NoError(t, err)
	assert.Empty(t, get(t, p, "x"))
	require.NoError(t, p.Close(t.Context()))

	_, err = LoadFile(t.Context(), filepath.Join(dir, "none.wasm"), Options{})
	require.ErrorContains(t, err, `load plugin "none.wasm"`)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestModulesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	const want = "the module is larger than 64 MiB, the most that is accepted: it has 67108865 bytes"
	_, err := Load(t.Context(), make([]byte, maxModuleBytes+1), Options{})
	require.ErrorContains(t, err, want)

	path := filepath.Join(t.TempDir(), "large.wasm")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, maxModuleBytes+1))
	_, err = LoadFile(t.Context(), path, Options{})
	require.ErrorContains(t, err, want)
}

func TestCompilationCache(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "cache")
	load := func() error {
		p, err := Load(t.Context(), minimal().bytes(), Options{CacheDir: dir})
		if err != nil {
			return err
		}
		get(t, p, "x")
		return p.Close(t.Context())
	}
	require.NoError(t, load())
	info, err := os.Stat(dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	assert.NotEmpty(t, files)
	require.NoError(t, load(), "from the cache")

	require.NoError(t, os.Chmod(dir, 0o755))
	require.ErrorContains(t, load(), "mode 0755")
	require.NoError(t, os.Chmod(dir, 0o700))
	for _, f := range files {
		require.NoError(t, os.WriteFile(f, []byte("damaged"), 0o600))
	}
	require.NoError(t, load(), "a damaged cache is no obstacle")
}

func TestRefusedOptions(t *testing.T) {
	t.Parallel()
	for want, opts := range map[string]Options{
		"MaxFetches is negative":       {MaxFetches: -1},
		"MaxFetchBytes is negative":    {MaxFetchBytes: -1},
		"MaxFetchBytes is 1073741825":  {MaxFetchBytes: 1<<30 + 1},
		"MaxMemoryBytes is negative":   {MaxMemoryBytes: -1},
		"MaxMemoryBytes is 100":        {MaxMemoryBytes: 100},
		"MaxMemoryBytes is 4294967297": {MaxMemoryBytes: 4<<30 + 1},
		"MaxValueBytes is negative":    {MaxValueBytes: -1},
		"MaxValueBytes is 67108865":    {MaxValueBytes: 64<<20 + 1},
		"Timeout is negative: -1s":     {Timeout: -time.Second},
		"Instances is negative":        {Instances: -1},
		"Env has the entry \"a=b\"":    {Env: map[string]string{"a=b": ""}},
		"Env has the entry \"nul\"":    {Env: map[string]string{"nul": "\x00"}},
		"AllowFetch (allow_fetch in a node's configuration) has the entry \"example.com\"": {AllowFetch: []string{"example.com"}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			_, err := Load(t.Context(), minimal().bytes(), opts)
			require.ErrorContains(t, err, want)
		})
	}
}
