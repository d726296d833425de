package wasm

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// asyncImports are the indices of the functions that need a grant.
type asyncImports struct {
	respond, fetchStart, storeGet, storeSet uint32
}

func newAsyncHostile() (*assembler, *asyncImports) {
	a := newAssembler()
	return a, &asyncImports{
		respond: a.abi("respond"), fetchStart: a.abi("fetch_start"), storeGet: a.abi("kv_get"), storeSet: a.abi("kv_set"),
	}
}

// resumable adds gcnode_resume with the code to a module.
func resumable(a *assembler, code ...byte) *assembler {
	a.function(exportResume, []valueType{i32, i32, i32}, []valueType{i32}, code...)
	return a
}

// startNothing begins a fetch of 20 zeros, which is malformed, and drops its
// number. Request is the code for the number of the request.
func startNothing(f *asyncImports, request []byte) []byte {
	return slices.Concat(request, constI32(0), constI32(fetchRequestHead), call(f.fetchStart), []byte{opDrop})
}

func TestHostileGuestsWithGrants(t *testing.T) {
	t.Parallel()
	contract, late := DiscardStats{Contract: 1}, DiscardStats{Timeout: 1}
	for name, c := range map[string]struct {
		code  func(f *asyncImports) []byte
		kind  gcnode.Kind
		stats DiscardStats
	}{
		"fetches from far away": {func(f *asyncImports) []byte {
			return slices.Concat(localGet(0), constI32(farAway), constI32(20), call(f.fetchStart))
		}, gcnode.KindPermanent, contract},
		"a key of the store from far away": {func(f *asyncImports) []byte {
			return slices.Concat(constI32(farAway), constI32(1), constI32(0), constI32(1), call(f.storeGet))
		}, gcnode.KindPermanent, contract},
		"a value of the store to far away": {func(f *asyncImports) []byte {
			return slices.Concat(constI32(0), constI32(1), constI32(farAway), constI32(1), call(f.storeGet))
		}, gcnode.KindPermanent, contract},
		"stores from far away": {func(f *asyncImports) []byte {
			return slices.Concat(constI32(0), constI32(1), constI32(0), constI32(-1), constI64(-1), call(f.storeSet))
		}, gcnode.KindPermanent, contract},
		"fetch flood": {func(f *asyncImports) []byte {
			return forever(startNothing(f, localGet(0))...)
		}, gcnode.KindTimeout, late},
		"store flood": {func(f *asyncImports) []byte {
			return forever(slices.Concat(constI32(0), constI32(8), constI32(0), constI32(1<<15), constI64(-1), call(f.storeSet), []byte{opDrop})...)
		}, gcnode.KindTimeout, late},
		"waits for ever": {func(f *asyncImports) []byte {
			return slices.Concat(startNothing(f, localGet(0)), constI32(1)) // and its gcnode_resume does not answer
		}, gcnode.KindPermanent, contract},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, f := newAsyncHostile()
			module := resumable(a.getter(hostile(f.respond, c.code(f)...)...), constI32(1)...).bytes()
			p := loadModule(t, module, Options{AllowFetch: somewhere, StoreBytes: 1 << 16, Instances: 1, Timeout: 2 * time.Second})
			get(t, p, goodKey)
			getError(t, p, "hostile", c.kind)
			get(t, p, goodKey)
			assert.Equal(t, c.stats, p.Stats().Instances.Discarded)
		})
	}
}

// A guest that is told that a request is over answers another one.
func TestGuestAnswersOthersInCancel(t *testing.T) {
	t.Parallel()
	a, f := newAsyncHostile()
	// Requests have the numbers 1 and 3, their fetches 2 and 4: every request
	// waits for a fetch, and 3 is answered when the guest is told about 1.
	begin := slices.Concat(startNothing(f, localGet(0)), constI32(1))
	a.function(exportCancel, []valueType{i32}, nil, slices.Concat(
		constI32(3), constI32(statusOK), constI32(0), constI64(ttlDefault), constI32(0), constI32(3), call(f.respond), []byte{opDrop})...)
	module := resumable(a.getter(hostile(f.respond, begin...)...), respondWith(f.respond, statusOK, ttlDefault, 0, 1)...).bytes()
	p := loadModule(t, module, Options{AllowFetch: somewhere, StoreBytes: 1, Instances: 1, ParallelFetches: 1})
	p.fetcher.parallel <- struct{}{} // no fetch gets its turn
	ctx, leave := context.WithCancel(t.Context())
	first := getLater(ctx, p, "first")
	waitPending(t, p, 1)
	second := getLater(t.Context(), p, "second")
	waitPending(t, p, 2)
	leave()
	require.ErrorIs(t, (<-first).err, context.Canceled)
	<-p.fetcher.parallel // the second one is resumed, after the guest was told about the first
	assert.Equal(t, outcome{"\x00\x00\x00", nil}, <-second)
	get(t, p, goodKey)
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func TestTrapInCancelEndsTheInstance(t *testing.T) {
	t.Parallel()
	a, f := newAsyncHostile()
	a.function(exportCancel, []valueType{i32}, nil, opUnreachable)
	begin := slices.Concat(startNothing(f, localGet(0)), constI32(1))
	module := resumable(a.getter(hostile(f.respond, begin...)...), constI32(1)...).bytes()
	p := loadModule(t, module, Options{AllowFetch: somewhere, StoreBytes: 1, Instances: 1, ParallelFetches: 1})
	p.fetcher.parallel <- struct{}{}
	getWithin(t, p, 20*time.Millisecond, "hostile", gcnode.KindTimeout)
	getError(t, p, goodKey, gcnode.KindPermanent)
	get(t, p, goodKey)
	assert.Equal(t, DiscardStats{Trap: 1}, p.Stats().Instances.Discarded)
	<-p.fetcher.parallel
}
