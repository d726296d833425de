package wasm

import (
	"context"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm/internal/kernel"
)

// maxVariableBytes bounds the variables of one instance. It is what Extism
// allows by default.
const maxVariableBytes = 1 << 20

// extismGuest is what an instance of an Extism module has beside it. It
// belongs to whoever holds the instance.
type extismGuest struct {
	memory *kernel.Memory
	vars   variables // live as long as the instance
	extismCall
}

// extismCall is what the guest said in the current call beside its output.
type extismCall struct {
	ttlMillis int64
	notFound  bool
	message   string        // of error_set
	status    int           // of the last HTTP exchange; 0: there was none
	header    []headerField // of its answer
}

// forget makes sure that nothing of a call is seen in the next one.
func (x *extismGuest) forget() {
	x.memory.Reset()
	x.extismCall = extismCall{ttlMillis: ttlDefault}
}

// addKernel instantiates the kernel beside an instance that does not exist
// yet, and returns how the module imports from it.
func (in *instance) addKernel() (experimental.ImportResolver, error) {
	memory, err := kernel.New(context.Background(), in.plugin.runtime, in.plugin.kernel)
	if err != nil {
		return nil, stopOf(err)
	}
	in.extism = &extismGuest{memory: memory, vars: variables{values: map[string][]byte{}}}
	return func(name string) api.Module {
		if name == kernel.Name {
			return memory.Module()
		}
		return nil
	}, nil
}

// bootExtism runs an Extism module that was instantiated up to the point where
// it can answer keys.
func (in *instance) bootExtism() error {
	err := in.initialize()
	in.extism.forget()
	in.get = in.mod.ExportedFunction(in.plugin.opts.function())
	in.wornBytes = wornBytes(in.mod.Memory(), uint64(in.plugin.opts.MaxMemoryBytes)) + in.extism.memory.Size()
	return err
}

// initialize runs what an Extism module has to run before its first call.
func (in *instance) initialize() error {
	first := exportInit
	if in.mod.ExportedFunction(exportInit) == nil {
		first = exportCtors
	}
	if err := in.call(first); err != nil {
		return err
	}
	if haskell := in.mod.ExportedFunction(exportHaskell); haskell != nil {
		return in.run(haskell, make([]uint64, 2))
	}
	return nil
}

// kernelLimit is how large the kernel's memory may become: what the module's
// own leaves of the limit.
func (in *instance) kernelLimit() uint64 {
	limit := uint64(in.plugin.opts.MaxMemoryBytes)
	return limit - min(limit, uint64(len(in.memory.bytes)))
}

// stopOf is why a call into the guest failed.
func (in *instance) stopOf(err error) *stop {
	if in.extism != nil {
		if offset, ok := in.extism.memory.Fault(); ok {
			return brokeExtism("nothing is allocated at offset %d", offset)
		}
	}
	return stopOf(err)
}

func outOfKernelMemory(err error) *stop {
	return &stop{discardTrap, gcnode.KindPermanent, fmt.Errorf("the module trapped: %w", err)}
}

// answerExtism lets an Extism module answer one key. Its results are those of
// answer, but the request is never pending.
func (in *instance) answerExtism(r *request, d deadline) (verdict discardReason, stopped *stop) {
	in.begin(r, d)
	defer in.end()
	defer in.extism.forget()
	in.calls++
	if err := in.extism.memory.SetInput(r.key, in.kernelLimit()); err != nil {
		stopped := outOfKernelMemory(err)
		return stopped.reason, stopped
	}
	in.stack[0] = 0
	if err := in.runNow(in.get, in.stack[:1]); err != nil {
		stopped := stopOf(err)
		return stopped.reason, stopped
	}
	if stopped := in.judge(r, api.DecodeI32(in.stack[0])); stopped != nil {
		return stopped.reason, stopped
	}
	return in.wear(), nil
}

// judge makes an answer of what a call left behind. A call that failed says
// nothing about the key, so its error is like that of a Go getter that does
// not tell its kind.
func (in *instance) judge(r *request, result int32) *stop {
	x := in.extism
	switch {
	case x.message != "":
		r.answer(statusTransient, x.ttlMillis, []byte(x.message))
		return nil
	case result != 0:
		r.answer(statusTransient, x.ttlMillis, fmt.Appendf(nil, "%s returned %d", in.plugin.opts.function(), result))
		return nil
	case x.notFound:
		r.answer(statusNotFound, x.ttlMillis, nil)
		return nil
	}
	output, err := x.memory.Output()
	switch {
	case err != nil:
		return brokeExtism("%w", err)
	case len(output) > in.plugin.opts.MaxValueBytes:
		r.refuse(len(output), in.plugin.opts.MaxValueBytes)
	default:
		r.answer(statusOK, x.ttlMillis, output)
	}
	return nil
}

// variables are what a guest keeps between the calls of an instance.
type variables struct {
	values map[string][]byte
	bytes  int
}

// get is the value of a variable, which is valid until that is set.
func (v *variables) get(name []byte) []byte { return v.values[string(name)] }

// set returns false, and changes nothing, if there is no room.
func (v *variables) set(name, value []byte) bool {
	old, ok := v.values[string(name)]
	if ok && len(old) == len(value) {
		copy(old, value)
		return true
	}
	bytes := v.bytes - v.size(name) + storeEntryBytes + len(name) + len(value)
	if bytes > maxVariableBytes {
		return false
	}
	v.bytes, v.values[string(name)] = bytes, slices.Clone(value)
	return true
}

func (v *variables) remove(name []byte) {
	v.bytes -= v.size(name)
	delete(v.values, string(name))
}

// size is what a variable takes; 0 if there is none.
func (v *variables) size(name []byte) int {
	value, ok := v.values[string(name)]
	if !ok {
		return 0
	}
	return storeEntryBytes + len(name) + len(value)
}
