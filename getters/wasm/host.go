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

	grant   func(opts *Options) bool // nil: every module may import it
	missing string                   // what to say to a module without the grant
}

// mayFetch is the grant to fetch over HTTP.
func mayFetch(opts *Options) bool { return len(opts.AllowFetch) > 0 }

// hasStore is the grant of a store that the instances of a plugin share.
func hasStore(opts *Options) bool { return opts.StoreBytes > 0 }

const noStore = "the module wants a store that its instances share, and there is no room for one: " +
	"give it some (StoreBytes, store in a node's configuration)"

const noFetch = "the module wants to fetch over HTTP, and no origin is allowed: " +
	"list the origins it may reach (AllowFetch, allow_fetch in a node's configuration)"

// The results of the functions of the guest ABI.
const (
	resultNone      = -1 // no such input, request or key
	resultTooLarge  = -2 // respond, kv_set: the value is too large
	resultMalformed = -2 // fetch, fetch_start: the message is malformed
	resultBadValue  = -3 // respond, kv_set: an argument is out of range
	resultTooMany   = -3 // fetch_start: the request has used up its fetches, or the instance has very many
	resultYielding  = -3 // yield: the request does already
)

// abiFunctions are the functions of the module gcnode1.
func abiFunctions() []hostFunction {
	fetchSignature := signature{[]valueType{i32, i32, i32}, []valueType{i32}}
	return []hostFunction{
		{name: "input_read", sig: signature{[]valueType{i32, i32, i32, i32}, []valueType{i32}}, call: hostInputRead},
		{name: "respond", sig: signature{[]valueType{i32, i32, i32, i64, i32, i32}, []valueType{i32}}, call: hostRespond},
		{name: "config_get", sig: signature{[]valueType{i32, i32, i32, i32}, []valueType{i32}}, call: hostConfigGet},
		{name: abiStoreGet, sig: signature{[]valueType{i32, i32, i32, i32}, []valueType{i32}}, call: hostStoreGet, grant: hasStore, missing: noStore},
		{name: abiStoreSet, sig: signature{[]valueType{i32, i32, i32, i32, i64}, []valueType{i32}}, call: hostStoreSet, grant: hasStore, missing: noStore},
		{name: "log", sig: signature{[]valueType{i32, i32, i32}, nil}, call: hostLog},
		{name: "log_level", sig: signature{nil, []valueType{i32}}, call: hostLogLevel},
		{name: "now_ms", sig: signature{nil, []valueType{i64}}, call: hostNow},
		{name: "monotonic_ns", sig: signature{nil, []valueType{i64}}, call: hostMonotonic},
		{name: abiFetch, sig: fetchSignature, call: hostFetch, grant: mayFetch, missing: noFetch},
		{name: abiFetchStart, sig: fetchSignature, call: hostFetchStart, grant: mayFetch, missing: noFetch},
		{name: abiYield, sig: signature{[]valueType{i32}, []valueType{i32}}, call: hostYield},
	}
}

// exportTo makes the functions available to guests of r under a module name.
func exportTo(ctx context.Context, r wazero.Runtime, module string, functions []hostFunction) error {
	b := r.NewHostModuleBuilder(module)
	for _, f := range functions {
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, mod api.Module, stack []uint64) {
			in := instanceOf(ctx)
			in.spend(0)
			f.call(in, guestMemory{mod}, stack)
		}), f.sig.params, f.sig.results).Export(f.name)
	}
	_, err := b.Instantiate(ctx)
	return err
}

// guestMemory is the memory of the guest that is calling.
type guestMemory struct {
	mod api.Module
}

// view is a range of the memory. It is valid until the guest runs again. A
// guest that hands over a range outside of its memory is stopped.
func (m guestMemory) view(ptr, length uint64) []byte {
	if mem := m.mod.Memory(); mem != nil {
		if b, ok := mem.Read(uint32(ptr), uint32(length)); ok {
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
	if r := in.known(id); r != nil {
		n, left = copyFrom(dst, r.key, off)
	} else if id == 0 && in.configuring {
		n, left = copyFrom(dst, in.plugin.configInput, off)
	} else if id == 0 && in.message != nil {
		n, left = copyFrom(dst, in.message, off)
	} else if answer := in.answers[id]; answer != nil {
		n, left = copyFrom(dst, answer, off)
	} else {
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
	r := in.find(id)
	switch {
	case r == nil:
		result = resultNone
	case status < statusOK || status > statusOverloaded || flags != 0 || ttlMillis < ttlDefault:
		result = resultBadValue
	case status == statusOK && len(bytes) > in.plugin.opts.MaxValueBytes:
		r.refuse(len(bytes), in.plugin.opts.MaxValueBytes)
		in.over(r)
		result = resultTooLarge
	default:
		r.answer(status, ttlMillis, bytes)
		in.over(r)
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

func hostStoreGet(in *instance, mem guestMemory, stack []uint64) {
	key := mem.view(stack[0], stack[1])
	dst := mem.view(stack[2], stack[3])
	in.spend(len(key))
	value, ok := in.plugin.store.get(key, time.Now())
	if !ok {
		stack[0] = api.EncodeI32(resultNone)
		return
	}
	in.spend(copy(dst, value))
	stack[0] = uint64(len(value))
}

func hostStoreSet(in *instance, mem guestMemory, stack []uint64) {
	key := mem.view(stack[0], stack[1])
	value := mem.view(stack[2], stack[3])
	ttlMillis := int64(stack[4])
	in.spend(len(key) + len(value))
	result := int32(0)
	switch {
	case ttlMillis < ttlDefault:
		result = resultBadValue
	case ttlMillis == 0:
		in.plugin.store.remove(key)
	case !in.plugin.store.set(key, value, ttlMillis, time.Now()):
		result = resultTooLarge
	}
	stack[0] = api.EncodeI32(result)
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
	stack[0] = api.EncodeI32(in.fetchWith(mem, stack, in.fetch))
}

func hostFetchStart(in *instance, mem guestMemory, stack []uint64) {
	stack[0] = api.EncodeI32(in.fetchWith(mem, stack, in.startFetch))
}

// fetchWith reads the parameters of a fetch and performs it.
func (in *instance) fetchWith(mem guestMemory, stack []uint64, perform func(*request, *fetchRequest) int32) int32 {
	msg := mem.view(stack[1], stack[2])
	r := in.find(api.DecodeI32(stack[0]))
	if r == nil {
		return resultNone
	}
	in.spend(len(msg))
	if r.budget == nil {
		r.budget = newFetchBudget(&in.plugin.opts)
	}
	held := heldBytes(msg)
	if r.budget.spendBytes(held) != nil {
		return perform(r, nil) // it is not copied
	}
	req, err := parseFetchRequest(msg)
	if err != nil {
		r.budget.giveBack(held)
		return resultMalformed
	}
	req.held = held
	return perform(r, req)
}

// fetch performs an exchange and returns the number under which its answer
// can be read. It does not return when the time of the turn is up. Once all
// exchanges are used up every further one has the same number, so that what
// the host keeps is bounded.
func (in *instance) fetch(r *request, req *fetchRequest) int32 {
	if r.budget.exhausted() {
		r.budget.drop(req)
		return r.lastCall
	}
	id := in.nextID()
	ctx, cancel := in.deadline.context()
	defer cancel()
	answer := in.await(func() *fetchAnswer { return in.plugin.fetcher.do(ctx, req, r.budget) })
	if err := in.deadline.check(); err != nil {
		haltFor(err)
	}
	r.lastCall = id
	r.calls = append(r.calls, id)
	in.keepAnswer(id, answer.encode())
	return id
}

// await waits for an exchange while the guest does not compute.
func (in *instance) await(exchange func() *fetchAnswer) *fetchAnswer {
	begun := time.Now()
	answer := exchange()
	in.waited(begun)
	return answer
}

// maxInFlight is how many exchanges an instance has under way, beyond which each
// request has one.
const maxInFlight = 4096

// startFetch begins an exchange whose answer the guest is resumed with, and
// returns its number.
func (in *instance) startFetch(r *request, req *fetchRequest) int32 {
	flood := in.inFlight >= maxInFlight && r.inFlight > 0
	if flood || !r.budget.begin() {
		r.budget.drop(req)
		return resultTooMany
	}
	id := in.depart(r)
	in.plugin.fetchLater(r, id, req)
	return id
}

func hostYield(in *instance, _ guestMemory, stack []uint64) {
	stack[0] = api.EncodeI32(in.yield(api.DecodeI32(stack[0])))
}

// yield has a request resumed behind those whose answers are there, and returns
// the number that it is resumed with.
func (in *instance) yield(id int32) int32 {
	r := in.find(id)
	if r == nil {
		return resultNone
	}
	if r.yielding != 0 {
		return resultYielding
	}
	r.yielding = in.depart(r)
	v, a := r.visit, arrival{r, r.yielding, []byte{}}
	in.plugin.fetches.Go(func() { v.arrive(a) })
	return r.yielding
}

// depart counts what a request is resumed for, and returns its number.
func (in *instance) depart(r *request) int32 {
	if r.visit == nil {
		r.visit = newVisit(&in.deadline, 1)
	}
	r.inFlight++
	in.inFlight++
	return in.nextID()
}

// fetchLater performs an exchange in a goroutine of its own, which ends with
// the visit of the request at the latest.
func (p *Plugin) fetchLater(r *request, call int32, req *fetchRequest) {
	v, budget := r.visit, r.budget
	p.fetches.Go(func() {
		v.arrive(arrival{r, call, p.fetcher.doInTurn(v.ctx, req, budget).encode()})
	})
}
