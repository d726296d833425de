package wasm

import (
	"context"
	"fmt"
	"log/slog"
	"math"

	"github.com/tetratelabs/wazero/api"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm/internal/kernel"
)

// extismLevel is a level of Extism's log.
type extismLevel struct {
	function string
	level    slog.Level
}

// extismLevels are in the order of their numbers.
func extismLevels() [5]extismLevel {
	return [...]extismLevel{
		{"log_trace", levelDebug - 4},
		{"log_debug", levelDebug},
		{"log_info", levelInfo},
		{"log_warn", levelWarn},
		{"log_error", levelError},
	}
}

// extismLogOff is the level above all others.
const extismLogOff = math.MaxInt32

const configGet = "config_get"

// extismFunctions are the functions of Extism's kernel that are not part of
// [kernel.Module]. An offset of 0 stands for no bytes.
func extismFunctions() []hostFunction {
	none, word := []valueType(nil), []valueType{i64}
	functions := []hostFunction{
		{name: "free", sig: signature{word, none}, call: extismFree},
		{name: "error_set", sig: signature{word, none}, call: extismErrorSet},
		{name: configGet, sig: signature{word, word}, call: extismConfigGet},
		{name: "var_get", sig: signature{word, word}, call: extismVarGet},
		{name: "var_set", sig: signature{[]valueType{i64, i64}, none}, call: extismVarSet},
		{name: "http_request", sig: signature{[]valueType{i64, i64}, word}, call: extismHTTPRequest},
		{name: "http_status_code", sig: signature{none, []valueType{i32}}, call: extismHTTPStatus},
		{name: "http_headers", sig: signature{none, word}, call: extismHTTPHeaders},
		{name: "get_log_level", sig: signature{none, []valueType{i32}}, call: extismLogLevel},
	}
	for _, l := range extismLevels() {
		functions = append(functions, hostFunction{name: l.function, sig: signature{word, none}, call: extismLog(l.level)})
	}
	return functions
}

// extismUserFunctions are what this host adds to Extism's: what a getter can
// say beside a value.
func extismUserFunctions() []hostFunction {
	return []hostFunction{
		{name: "gcnode_ttl", sig: signature{[]valueType{i64}, nil}, call: extismTTL},
		{name: "gcnode_not_found", sig: signature{}, call: extismNotFound},
	}
}

// kernelHostFunctions are what the kernel calls by itself.
func kernelHostFunctions() []hostFunction {
	word := []valueType{i64}
	return []hostFunction{
		{name: kernel.AllocName, sig: signature{word, word}, call: extismAlloc},
		{name: kernel.LengthName, sig: signature{word, word}, call: extismLength},
	}
}

// kernelFunctions describes functions of the host to the kernel, which passes
// them on to the guest.
func kernelFunctions(functions []hostFunction, config map[string]string) []kernel.Function {
	described := make([]kernel.Function, 0, len(functions))
	for _, f := range functions {
		described = append(described, kernel.Function{
			Name: f.name, Params: f.sig.params, Results: f.sig.results,
			Nothing: f.name == configGet && len(config) == 0,
		})
	}
	return described
}

// haltExtism ends a guest that used the kernel as no guest may.
func haltExtism(format string, args ...any) { halt(brokeExtism(format, args...)) }

func brokeExtism(format string, args ...any) *stop {
	return &stop{discardContract, gcnode.KindPermanent, fmt.Errorf("the module broke the contract with Extism's kernel: "+format, args...)}
}

// block is what lies at an offset that the guest hands over.
func (in *instance) block(offset uint64) []byte {
	if offset == 0 {
		return nil
	}
	b, ok := in.extism.memory.Block(offset)
	if !ok {
		haltExtism("there is no block at offset %d", offset)
	}
	in.spend(len(b))
	return b
}

// alloc makes a block in the kernel's memory.
func (in *instance) alloc(size uint64) (offset uint64) {
	offset, work, err := in.extism.memory.Alloc(size, in.kernelLimit())
	in.spend(work)
	if err != nil {
		halt(outOfKernelMemory(err))
	}
	return offset
}

// hand makes a block of bytes for the guest.
func hand[B []byte | string](in *instance, bytes B) (offset uint64) {
	offset = in.alloc(uint64(len(bytes)))
	b, _ := in.extism.memory.Block(offset)
	in.spend(copy(b, bytes))
	return offset
}

func extismAlloc(in *instance, _ guestMemory, stack []uint64) { stack[0] = in.alloc(stack[0]) }

func extismFree(in *instance, _ guestMemory, stack []uint64) { in.extism.memory.Free(stack[0]) }

func extismLength(in *instance, _ guestMemory, stack []uint64) {
	stack[0] = in.extism.memory.Length(stack[0])
}

// extismErrorSet keeps the message, because some PDKs free it afterwards.
func extismErrorSet(in *instance, _ guestMemory, stack []uint64) {
	message := in.block(stack[0])
	in.extism.message = string(message[:min(len(message), maxMessageBytes)])
}

func extismConfigGet(in *instance, _ guestMemory, stack []uint64) {
	value := in.plugin.opts.Config[string(in.block(stack[0]))]
	stack[0] = hand(in, value)
}

// extismVarGet does not free the name, as Extism itself does: PDKs free it once
// more, and the value would be in the same place by then.
func extismVarGet(in *instance, _ guestMemory, stack []uint64) {
	stack[0] = hand(in, in.extism.vars.get(in.block(stack[0])))
}

func extismVarSet(in *instance, _ guestMemory, stack []uint64) {
	nameAt, valueAt := stack[0], stack[1]
	name := in.block(nameAt)
	if valueAt == 0 {
		in.extism.vars.remove(name)
	} else if !in.extism.vars.set(name, in.block(valueAt)) {
		halt(&stop{discardTrap, gcnode.KindPermanent, fmt.Errorf("the module's variables take more than %d bytes", maxVariableBytes)})
	}
	in.extism.memory.Free(max(nameAt, valueAt)) // the last one first, which is quicker
	in.extism.memory.Free(min(nameAt, valueAt))
}

// extismLog frees the line, as Extism does.
func extismLog(level slog.Level) func(in *instance, _ guestMemory, stack []uint64) {
	return func(in *instance, _ guestMemory, stack []uint64) {
		in.plugin.log.line(level, "log", in.block(stack[0]))
		in.extism.memory.Free(stack[0])
	}
}

func extismLogLevel(in *instance, _ guestMemory, stack []uint64) {
	stack[0] = extismLogOff
	for number, l := range extismLevels() {
		if in.plugin.log.logger.Enabled(context.Background(), l.level) {
			stack[0] = uint64(number)
			return
		}
	}
}

func extismTTL(in *instance, _ guestMemory, stack []uint64) {
	millis := int64(stack[0])
	if millis < ttlDefault {
		haltExtism("gcnode_ttl was called with %d, want a number of milliseconds, %d or %d", millis, ttlNoStore, ttlDefault)
	}
	in.extism.ttlMillis = millis
}

func extismNotFound(in *instance, _ guestMemory, _ []uint64) { in.extism.notFound = true }

func extismHTTPStatus(in *instance, _ guestMemory, stack []uint64) {
	stack[0] = api.EncodeI32(int32(in.extism.status))
}
