package wasm

import (
	"context"
	"math"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// hostFunction is a function that guests can import. call takes its
// parameters from the stack and leaves its result there.
type hostFunction struct {
	name string
	sig  signature
	call func(in *instance, mem guestMemory, stack []uint64)
}

// The results of the functions of the guest ABI.
const (
	resultNone      = -1 // no such input, request or key
	resultTooLarge  = -2 // respond: the value is too large
	resultMalformed = -2 // fetch: the message is malformed
	resultBadValue  = -3 // respond: an argument is out of range
)

// abiFunctions are the functions of the module gcnode1.
func abiFunctions() []hostFunction {
	return []hostFunction{
		{"input_read", signature{[]valueType{i32, i32, i32, i32}, []valueType{i32}}, hostInputRead},
		{"respond", signature{[]valueType{i32, i32, i32, i64, i32, i32}, []valueType{i32}}, hostRespond},
		{"config_get", signature{[]valueType{i32, i32, i32, i32}, []valueType{i32}}, hostConfigGet},
		{"log", signature{[]valueType{i32, i32, i32}, nil}, hostLog},
		{"log_level", signature{nil, []valueType{i32}}, hostLogLevel},
		{"now_ms", signature{nil, []valueType{i64}}, hostNow},
		{"monotonic_ns", signature{nil, []valueType{i64}}, hostMonotonic},
		{abiFetch, signature{[]valueType{i32, i32, i32}, []valueType{i32}}, hostFetch},
	}
}

// exportTo makes the functions available to guests of r under a module name.
func exportTo(ctx context.Context, r wazero.Runtime, module string, functions []hostFunction) error {
	b := r.NewHostModuleBuilder(module)
	for _, f := range functions {
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
			in := instanceOf(ctx)
			in.spend(0)
			f.call(in, guestMemory{mod.Memory()}, stack)
		}), f.sig.params, f.sig.results).Export(f.name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// guestMemory is the memory of the guest that is calling.
type guestMemory struct {
	mem api.Memory
}

// view is a range of the memory. It is valid until the guest runs again. A
// guest that hands over a range outside of its memory is stopped.
func (m guestMemory) view(ptr, length uint64) []byte {
	if m.mem != nil {
		if b, ok := m.mem.Read(uint32(ptr), uint32(length)); ok {
			return b
		}
	}
	haltContract("the range of %d bytes at %d is outside of its memory", uint32(length), uint32(ptr))
	return nil
}

func hostInputRead(in *instance, mem guestMemory, stack []uint64) {
	id, off := api.DecodeI32(stack[0]), uint64(uint32(stack[2]))
	dst := mem.view(stack[1], stack[3])
	var n int
	var left uint64
	switch {
	case id == 0 && in.configuring:
		n, left = copyFrom(dst, in.plugin.configInput, off)
	case id > 0 && id == in.req.id:
		n, left = copyFrom(dst, in.req.key, off)
	case id > 0 && in.req.answers[id] != nil:
		n, left = copyFrom(dst, in.req.answers[id], off)
	default:
		stack[0] = api.EncodeI32(resultNone)
		return
	}
	in.spend(n)
	if left > math.MaxInt32 {
		stack[0] = api.EncodeI32(resultNone)
		return
	}
	stack[0] = left
}

// copyFrom copies what fits of an input from an offset on. left is how much
// the input holds from there, and larger than any input if that is past its
// end.
func copyFrom[B []byte | string](dst []byte, input B, off uint64) (n int, left uint64) {
	if off > uint64(len(input)) {
		return 0, math.MaxUint64
	}
	return copy(dst, input[off:]), uint64(len(input)) - off
}

func hostRespond(in *instance, mem guestMemory, stack []uint64) {
	id, status, flags := api.DecodeI32(stack[0]), api.DecodeI32(stack[1]), api.DecodeI32(stack[2])
	ttlMillis := int64(stack[3])
	bytes := mem.view(stack[4], stack[5])
	result := int32(0)
	switch {
	case !in.req.open(id):
		result = resultNone
	case status < statusOK || status > statusOverloaded || flags != 0 || ttlMillis < ttlDefault:
		result = resultBadValue
	case status == statusOK && len(bytes) > in.plugin.opts.MaxValueBytes:
		in.req.refuse(len(bytes), in.plugin.opts.MaxValueBytes)
		result = resultTooLarge
	default:
		in.req.answer(status, ttlMillis, bytes)
		in.spend(len(bytes))
	}
	stack[0] = api.EncodeI32(result)
}

func hostConfigGet(in *instance, mem guestMemory, stack []uint64) {
	key := mem.view(stack[0], stack[1])
	dst := mem.view(stack[2], stack[3])
	in.spend(len(key))
	value, ok := in.plugin.opts.Config[string(key)]
	if !ok {
		stack[0] = api.EncodeI32(resultNone)
		return
	}
	in.spend(copy(dst, value))
	stack[0] = uint64(len(value))
}

func hostLog(in *instance, mem guestMemory, stack []uint64) {
	line := mem.view(stack[1], stack[2])
	level := levelOf(api.DecodeI32(stack[0]))
	in.plugin.log.line(level, "log", line)
	if in.configuring && level == levelError {
		in.complain(line)
	}
	in.spend(min(len(line), maxLineBytes))
}

func hostLogLevel(in *instance, _ guestMemory, stack []uint64) {
	lowest := in.plugin.log.lowest()
	if in.configuring {
		lowest = min(lowest, numberOfError) // errors are wanted even if the log is not
	}
	stack[0] = api.EncodeI32(lowest)
}

func hostNow(_ *instance, _ guestMemory, stack []uint64) {
	stack[0] = uint64(time.Now().UnixMilli())
}

func hostMonotonic(in *instance, _ guestMemory, stack []uint64) {
	stack[0] = uint64(time.Since(in.plugin.epoch))
}

func hostFetch(in *instance, mem guestMemory, stack []uint64) {
	id := api.DecodeI32(stack[0])
	msg := mem.view(stack[1], stack[2])
	if !in.req.open(id) {
		stack[0] = api.EncodeI32(resultNone)
		return
	}
	in.spend(len(msg))
	req, err := parseFetchRequest(msg)
	if err != nil {
		stack[0] = api.EncodeI32(resultMalformed)
		return
	}
	stack[0] = api.EncodeI32(in.fetch(req))
}

// fetch performs an exchange and returns the number under which its answer
// can be read. It does not return when the time of the request is up. Once all
// exchanges are used up every further one has the same number, so that what
// the host keeps is bounded.
func (in *instance) fetch(req *fetchRequest) int32 {
	if in.req.budget.exhausted() {
		return in.req.lastCall
	}
	id := in.nextID()
	in.req.lastCall = id
	ctx, cancel := in.req.deadline.context()
	defer cancel()
	answer := in.plugin.fetcher.do(ctx, req, &in.req.budget)
	in.pace.interrupted()
	if err := in.req.deadline.check(); err != nil {
		haltFor(err)
	}
	if in.req.answers == nil {
		in.req.answers = map[int32][]byte{}
	}
	in.req.answers[id] = answer.encode()
	return id
}
