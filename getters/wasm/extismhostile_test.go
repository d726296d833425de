package wasm

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm/internal/kernel"
)

// extism adds an import of an Extism module and returns its index.
func (a *assembler) extism(name string) uint32 {
	for _, f := range kernel.Functions() {
		if f.Name == name {
			return a.importFunction(kernel.Name, name, f.Params, f.Results)
		}
	}
	for _, f := range extismFunctions() {
		if f.name == name {
			return a.importFunction(kernel.Name, name, f.sig.params, f.sig.results)
		}
	}
	i := slices.IndexFunc(extismUserFunctions(), func(f hostFunction) bool { return f.name == name })
	f := extismUserFunctions()[i]
	return a.importFunction(extismUser, name, f.sig.params, f.sig.results)
}

// extismImports are the indices of the functions that hostile Extism modules
// use.
type extismImports struct {
	inputLength, inputOffset, outputSet, alloc, free, length, loadByte, loadWord, storeByte, storeWord,
	errorSet, configGet, varGet, varSet, httpRequest, logInfo, ttl uint32
}

func newExtism() (*assembler, *extismImports) {
	a := newAssembler()
	return a, &extismImports{
		inputLength: a.extism("input_length"), inputOffset: a.extism("input_offset"), outputSet: a.extism("output_set"),
		alloc: a.extism("alloc"), free: a.extism("free"), length: a.extism("length"),
		loadByte: a.extism("load_u8"), loadWord: a.extism("load_u64"), storeByte: a.extism("store_u8"), storeWord: a.extism("store_u64"),
		errorSet: a.extism("error_set"), configGet: a.extism("config_get"), varGet: a.extism("var_get"), varSet: a.extism("var_set"),
		httpRequest: a.extism("http_request"), logInfo: a.extism("log_info"), ttl: a.extism("gcnode_ttl"),
	}
}

// echo is the code that answers with the key and leaves 0 on the stack.
func (f *extismImports) echo() []byte {
	return slices.Concat(call(f.inputOffset), call(f.inputLength), call(f.outputSet), constI32(0))
}

// echoExtism is an Extism module whose values are its keys.
func echoExtism() *assembler {
	a, f := newExtism()
	a.function(defaultFunction, nil, []valueType{i32}, f.echo()...)
	return a
}

// hostileExtism is an Extism module that answers goodKey and does something
// else for other keys. code leaves the result on the stack.
func hostileExtism(a *assembler, f *extismImports, code ...byte) []byte {
	const opEqI64 = 0x51
	a.function(defaultFunction, nil, []valueType{i32}, slices.Concat(
		call(f.inputLength), constI64(int64(len(goodKey))), []byte{opEqI64, opIf, opVoid},
		f.echo(), []byte{opReturn, opEnd}, code)...)
	return a.bytes()
}

func TestHostileExtismModules(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	const nothing = "nothing is allocated at offset "
	trap, contract := DiscardStats{Trap: 1}, DiscardStats{Contract: 1}
	late := DiscardStats{Timeout: 1}
	drop := []byte{opDrop}
	zero := constI32(0)
	for name, c := range map[string]struct {
		code  func(a *assembler, f *extismImports) []byte
		kind  gcnode.Kind
		want  string
		stats DiscardStats
	}{
		"loads from far away": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(1<<40+16), call(f.loadByte))
		}, gcnode.KindPermanent, nothing + "1099511627792", contract},
		"loads from before the beginning": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(-8), call(f.loadWord), drop, zero)
		}, gcnode.KindPermanent, nothing + "18446744073709551608", contract},
		"stores behind the last block": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(pageBytes-1), constI32(1), call(f.storeByte), zero)
		}, gcnode.KindPermanent, nothing + "65535", contract},
		"stores across the end": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(8), call(f.alloc), drop, constI64(16+2*64-7), constI64(1), call(f.storeWord), zero)
		}, gcnode.KindPermanent, nothing + "137", contract},
		"output beyond the memory": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(call(f.inputOffset), constI64(1<<40), call(f.outputSet), zero)
		}, gcnode.KindPermanent, "its output of 1099511627776 bytes at 16 is outside of the kernel's memory", contract},
		"output from before the beginning": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(-1), constI64(2), call(f.outputSet), zero)
		}, gcnode.KindPermanent, "is outside of the kernel's memory", contract},
		"a block of most of the address space": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(1<<32-1), call(f.alloc), drop, zero)
		}, gcnode.KindPermanent, "the kernel's memory is used up: there is no room for 4294967295 more bytes", trap},
		"a block of -1 bytes": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(-1), call(f.alloc), drop, zero)
		}, gcnode.KindPermanent, "the kernel's memory is used up", trap},
		"blocks without end": {func(_ *assembler, f *extismImports) []byte {
			return forever(slices.Concat(constI64(100_000), call(f.alloc), drop)...)
		}, gcnode.KindPermanent, "the kernel's memory is used up", trap},
		"tiny blocks without end": {func(_ *assembler, f *extismImports) []byte {
			return forever(slices.Concat(constI64(1), call(f.alloc), drop)...)
		}, gcnode.KindPermanent, "the kernel's memory is used up", trap},
		"blocks beside a large memory": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI32(120), []byte{opMemoryGrow, 0, opDrop}, constI64(1<<20), call(f.alloc), drop, zero)
		}, gcnode.KindPermanent, "the kernel's memory is used up", trap},
		"allocates and frees for ever": {func(_ *assembler, f *extismImports) []byte {
			return forever(slices.Concat(constI64(1<<20), call(f.alloc), call(f.free))...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"endless loop": {func(*assembler, *extismImports) []byte {
			return forever()
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"loads for ever": {func(_ *assembler, f *extismImports) []byte {
			return forever(slices.Concat(constI64(0), call(f.loadWord), drop)...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"logs for ever": {func(_ *assembler, f *extismImports) []byte {
			return forever(slices.Concat(constI64(1<<20), call(f.alloc), call(f.logInfo))...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"endless recursion": {func(a *assembler, _ *extismImports) []byte {
			return call(a.defined()) // get itself
		}, gcnode.KindPermanent, "the module trapped: its calls nest too deep", trap},
		"unreachable": {func(*assembler, *extismImports) []byte {
			return []byte{opUnreachable}
		}, gcnode.KindPermanent, "the module trapped: wasm error: unreachable", trap},
		"an error that is nowhere": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(17), call(f.errorSet), zero)
		}, gcnode.KindPermanent, "there is no block at offset 17", contract},
		"a name that is nowhere": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(-1), call(f.configGet), drop, zero)
		}, gcnode.KindPermanent, "there is no block at offset 18446744073709551615", contract},
		"a request that is none": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(10), call(f.alloc), constI64(0), call(f.httpRequest), drop, zero)
		}, gcnode.KindPermanent, "its HTTP request cannot be read", contract},
		"a variable that is too large": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(1), call(f.alloc), constI64(maxVariableBytes), call(f.alloc), call(f.varSet), zero)
		}, gcnode.KindPermanent, "variables take more than 1048576 bytes", trap},
		"a life of -2 ms": {func(_ *assembler, f *extismImports) []byte {
			return slices.Concat(constI64(-2), call(f.ttl), zero)
		}, gcnode.KindPermanent, "gcnode_ttl was called with -2", contract},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, f := newExtism()
			code := c.code(a, f)
			p := loadModule(t, hostileExtism(a, f, code...), Options{Instances: 1, MaxMemoryBytes: 8 << 20})
			require.Equal(t, goodKey, get(t, p, goodKey))
			var e *gcnode.Error
			if c.kind == gcnode.KindTimeout {
				e = getWithin(t, p, timeout, "hostile", c.kind)
			} else {
				e = getError(t, p, "hostile", c.kind)
			}
			assert.ErrorContains(t, e, c.want)
			require.Equal(t, goodKey, get(t, p, goodKey))
			s := p.Stats().Instances
			assert.Equal(t, c.stats, s.Discarded)
			assert.EqualValues(t, 2, s.Created)
		})
	}
}

func TestExtismResultThatIsNotZeroIsAnError(t *testing.T) {
	t.Parallel()
	a, f := newExtism()
	p := loadModule(t, hostileExtism(a, f, constI32(-7)...), Options{Instances: 1})
	e := getError(t, p, "key", gcnode.KindTransient)
	assert.EqualError(t, e.Err, "get returned -7")
	assert.Equal(t, goodKey, get(t, p, goodKey))
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func TestExtismValueThatIsTooLarge(t *testing.T) {
	t.Parallel()
	p := loadModule(t, echoExtism().bytes(), Options{Instances: 1, MaxValueBytes: 10})
	assert.Equal(t, "0123456789", get(t, p, "0123456789"))
	e := getError(t, p, "0123456789a", gcnode.KindTooLarge)
	assert.ErrorContains(t, e, "11 bytes; at most 10")
	assert.EqualValues(t, 1, p.Stats().Instances.Created, "the instance did nothing wrong")
}

func TestExtismMemoryCountsForTheInstance(t *testing.T) {
	t.Parallel()
	a, f := newExtism()
	code := slices.Concat(constI64(7<<20), call(f.alloc), constI64(1), call(f.outputSet), constI32(0))
	p := loadModule(t, hostileExtism(a, f, code...), Options{Instances: 1, MaxMemoryBytes: 8 << 20})
	for range 3 {
		get(t, p, "large")
	}
	assert.Equal(t, DiscardStats{Memory: 3}, p.Stats().Instances.Discarded)
}

// Neither memory can grow into what the other one takes.
func TestExtismMemoriesShareTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 8 << 20
	grow := slices.Concat(constI32(6<<20/pageBytes), []byte{opMemoryGrow, 0})
	for name, c := range map[string]struct {
		code func(f *extismImports) []byte
		kind gcnode.Kind
		want string
	}{
		"the module's last": {func(f *extismImports) []byte {
			return slices.Concat(constI64(6<<20), call(f.alloc), []byte{opDrop}, grow)
		}, gcnode.KindTransient, "get returned -1"},
		"the module's first": {func(f *extismImports) []byte {
			return slices.Concat(grow, constI64(6<<20), call(f.alloc), []byte{opDrop})
		}, gcnode.KindPermanent, "there is no room for 6291456 more bytes"},
		"the module's alone": {func(*extismImports) []byte {
			return slices.Concat(constI32(7<<20/pageBytes), []byte{opMemoryGrow, 0})
		}, gcnode.KindTransient, "get returned 1"}, // the size before
	} {
		t.Run(name, func(t *testing.T) {
			a, f := newExtism()
			a.pages, a.maxPages = 1, limit/pageBytes
			p := loadModule(t, hostileExtism(a, f, c.code(f)...), Options{Instances: 1, MaxMemoryBytes: limit})
			assert.ErrorContains(t, getError(t, p, "hostile", c.kind), c.want)
			assert.Equal(t, goodKey, get(t, p, goodKey))
		})
	}
}

// A start function runs before there is an instance.
func TestExtismStartFunctionSharesTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 8 << 20
	a, f := newExtism()
	a.pages = limit / 2 / pageBytes
	a.function("get", nil, []valueType{i32}, f.echo()...)
	a.start = int(a.function("", nil, nil, slices.Concat(constI64(limit*3/4), call(f.alloc), []byte{opDrop})...))
	_, err := Load(t.Context(), a.bytes(), Options{MaxMemoryBytes: limit})
	require.ErrorContains(t, err, "there is no room for 6291456 more bytes within 4194304")
}

func TestExtismModuleThatStartsWithMostOfItsMemory(t *testing.T) {
	t.Parallel()
	a := echoExtism()
	a.pages = 31
	p := loadModule(t, a.bytes(), Options{MaxMemoryBytes: 32 * pageBytes, Instances: 1})
	for range 5 {
		get(t, p, "key")
	}
	assert.EqualValues(t, 1, p.Stats().Instances.Created)

	a.pages = 32
	_, err := Load(t.Context(), a.bytes(), Options{MaxMemoryBytes: 32 * pageBytes})
	require.ErrorContains(t, err, "the module starts with 2097152 bytes of memory, beside 65536 of Extism's kernel, the limit is 2097152")
}

func TestExtismKernelIsThereAtTheStart(t *testing.T) {
	t.Parallel()
	a, f := newExtism()
	a.function("get", nil, []valueType{i32}, f.echo()...)
	a.function("", nil, nil, slices.Concat(constI64(8), call(f.alloc), constI64(8), call(f.outputSet))...)
	a.start = int(a.defined()) + 1
	p := loadModule(t, a.bytes(), Options{Instances: 1})
	assert.Empty(t, get(t, p, ""), "the output of the start is no answer")
	assert.Equal(t, "key", get(t, p, "key"))

	a, f = newExtism()
	a.function("get", nil, []valueType{i32}, f.echo()...)
	a.function(exportInit, nil, nil, slices.Concat(constI64(0), constI64(0), call(f.httpRequest), []byte{opDrop})...)
	_, err := Load(t.Context(), a.bytes(), Options{})
	require.ErrorContains(t, err, "its HTTP request cannot be read")
}

func TestExtismModuleIsRefusedByName(t *testing.T) {
	t.Parallel()
	build := func(change func(a *assembler, f *extismImports)) []byte {
		a, f := newExtism()
		change(a, f)
		return a.bytes()
	}
	// with is a getter with one more import.
	with := func(module, name string, params, results []valueType) []byte {
		return build(func(a *assembler, f *extismImports) {
			a.importFunction(module, name, params, results)
			a.function("get", nil, []valueType{i32}, f.echo()...)
		})
	}
	for name, c := range map[string]struct {
		module   []byte
		function string
		want     string
	}{
		"a function of the user": {
			with(extismUser, "mult", []valueType{i64, i64}, []valueType{i64}), "",
			"import extism:host/user.mult: functions that an application adds to Extism are not supported; of this module there are gcnode_not_found and gcnode_ttl",
		},
		"a function of the user in a module of its own": {
			with("host", "to_upper", []valueType{i64}, []valueType{i64}), "", "import host.to_upper: other modules",
		},
		"a function that is the host's own business": {
			with(kernel.Name, "reset", nil, nil), "", "import extism:host/env.reset: this function of Extism is not supported",
		},
		"what the kernel calls by itself": {
			with(kernel.Name, kernel.AllocName, []valueType{i64}, []valueType{i64}), "", "import extism:host/env.alloc_block: this function of Extism is not supported",
		},
		"a function that there is not": {
			with(kernel.Name, "load_u32", []valueType{i32}, []valueType{i32}), "", "import extism:host/env.load_u32",
		},
		"a wrong signature of the kernel": {
			with(kernel.Name, "http_status_code", nil, []valueType{i64}), "",
			"import extism:host/env.http_status_code has the signature () -> (i64), want () -> (i32)",
		},
		"Extism before 1.0":  {with("env", "extism_alloc", []valueType{i64}, []valueType{i64}), "", "Extism before version 1"},
		"both kinds at once": {with(abiModule, "now_ms", nil, []valueType{i64}), "", "import gcnode1.now_ms: other modules"},
		"WASI that is not there": {
			with(wasiModule, "thread_spawn", nil, nil), "", "import wasi_snapshot_preview1.thread_spawn: there is no such function",
		},
		"a variable of the kernel": {
			build(func(a *assembler, f *extismImports) {
				a.imports = append(a.imports, moduleImport{kernel.Name, "$end", externGlobal, signature{}})
				a.function("get", nil, []valueType{i32}, constI32(0)...)
			}), "", "import extism:host/env.$end is a global: only functions can be imported",
		},
		"no such function": {
			echoExtism().bytes(), "fetch", `the module exports no function "fetch": say which one answers keys (Function, function in a node's configuration), it exports get`,
		},
		"no function at all": {
			build(func(*assembler, *extismImports) {}), "", `the module exports no function "get", nor any other of the signature () -> (i32)`,
		},
		"a function with a parameter": {
			build(func(a *assembler, _ *extismImports) {
				a.function("get", []valueType{i32}, []valueType{i32}, constI32(0)...)
			}), "",
			"export get is no function of the signature () -> (i32)",
		},
		"the start of a command": {
			build(func(a *assembler, _ *extismImports) { a.function("_start", nil, nil) }), "_start", "cannot be _start",
		},
		"nothing but the start of a command": {
			build(func(a *assembler, _ *extismImports) { a.function("_start", nil, nil) }), "",
			`the module exports no function "get": it is a command, build it as a reactor`,
		},
		"a start with parameters": {
			build(func(a *assembler, f *extismImports) {
				a.function("get", nil, []valueType{i32}, f.echo()...)
				a.function(exportHaskell, []valueType{i32}, nil)
			}), "", "export hs_init must be a function of the signature (i32, i32) -> ()",
		},
		"no memory": {
			build(func(a *assembler, f *extismImports) {
				a.memory = ""
				a.function("get", nil, []valueType{i32}, f.echo()...)
			}), "", `does not export its memory as "memory"`,
		},
		"a function of a module that is not for Extism": {minimal().bytes(), "get", `a function "get" was asked for`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(t.Context(), c.module, Options{Function: c.function})
			require.ErrorContains(t, err, c.want)
		})
	}
}
