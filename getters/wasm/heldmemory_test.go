package wasm

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// These tests look at the memory of the whole process, so they are not run beside
// others.

// allocated is what was allocated since the process began.
func allocated() int64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.TotalAlloc)
}

// store32 is the code that stores a number at an address.
func store32(address int32, value []byte) []byte {
	return slices.Concat(constI32(address), value, []byte{0x36, 2, 0})
}

// fetchOfKey is the code that writes a fetch request whose URL is the key, and
// that starts it so often. It has so many header fields, all of which are empty,
// and so large a body.
func fetchOfKey(inputRead, fetchStart uint32, times, fields, bodyBytes int) []byte {
	const head, method = fetchRequestHead, 1
	rest := int32(fields*fetchFieldHead + bodyBytes)
	code := slices.Concat(
		store32(0, constI32(int32(method|fields<<16))), store32(4, localGet(1)), store32(8, constI32(int32(bodyBytes))),
		store32(head, constI32('G')),
		localGet(0), constI32(head+method), constI32(0), localGet(1), call(inputRead), []byte{opDrop})
	for range times {
		code = slices.Concat(code, localGet(0), constI32(0), localGet(1), constI32(head+method+rest), []byte{0x6a}, call(fetchStart), []byte{opDrop})
	}
	return slices.Concat(code, constI32(turnPending))
}

// What a guest wants to send is in the host's memory while it waits for its turn.
func TestFetchesThatWaitHoldNoMoreThanTheirRequestMaySend(t *testing.T) {
	const times, fields, bodyBytes, most = 100, 50_000, 4 << 20, 16 << 20
	for name, size := range map[string]struct{ fields, bodyBytes int }{
		"large bodies":            {0, bodyBytes},
		"many fields of a header": {fields, 0},
	} {
		t.Run(name, func(t *testing.T) {
			origin := newGate(t)
			a := newAssembler()
			a.pages = 128
			inputRead, fetchStart := a.abi("input_read"), a.abi("fetch_start")
			code := fetchOfKey(inputRead, fetchStart, times, size.fields, size.bodyBytes)
			p := loadModule(t, resumable(a.getter(code...), constI32(turnPending)...).bytes(), Options{
				AllowFetch: []string{origin.url}, Instances: 1, ParallelFetches: 1, MaxFetchBytes: most,
			})
			p.fetcher.parallel <- struct{}{} // no exchange begins
			before := heapBytes()
			ctx, cancel := context.WithCancel(t.Context())
			waiting := getLater(ctx, p, origin.url+"/wait")
			waitPending(t, p, 1)
			assert.Less(t, heapBytes()-before, int64(2*most))
			cancel()
			require.ErrorIs(t, (<-waiting).err, context.Canceled)
			<-p.fetcher.parallel
		})
	}
}

// What does not fit into the store, or cannot be there, is not copied.
func TestStoreCopiesNothingThatDoesNotFit(t *testing.T) {
	const times, size = 100, 4 << 20
	for name, code := range map[string]func(f *asyncImports) []byte{
		"a value": func(f *asyncImports) []byte {
			return slices.Concat(constI32(0), constI32(8), constI32(0), constI32(size), constI64(-1), call(f.storeSet))
		},
		"a key": func(f *asyncImports) []byte {
			return slices.Concat(constI32(0), constI32(size), constI32(0), constI32(8), constI64(-1), call(f.storeSet))
		},
		"a key to remove": func(f *asyncImports) []byte {
			return slices.Concat(constI32(0), constI32(size), constI32(0), constI32(8), constI64(0), call(f.storeSet))
		},
		"a key to look up": func(f *asyncImports) []byte {
			return slices.Concat(constI32(0), constI32(size), constI32(0), constI32(8), call(f.storeGet))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, f := newAsyncHostile()
			a.pages = 128
			var all []byte
			for range times {
				all = slices.Concat(all, code(f), []byte{opDrop})
			}
			module := resumable(a.getter(slices.Concat(all, respondWith(f.respond, statusOK, ttlDefault, 0, 0))...), constI32(0)...).bytes()
			p := loadModule(t, module, Options{AllowFetch: somewhere, StoreBytes: 1 << 16, Instances: 1})
			before := allocated()
			get(t, p, "key")
			assert.Less(t, allocated()-before, int64(2*size))
		})
	}
}

// The names of Extism's variables, and its HTTP requests, are text of the guest.
func TestExtismCopiesNothingThatDoesNotFit(t *testing.T) {
	const size = 4 << 20
	took := func(want string, code func(f *extismImports) []byte) int64 {
		a, f := newExtism()
		p := loadModule(t, hostileExtism(a, f, code(f)...), Options{Instances: 1, MaxMemoryBytes: 16 << 20})
		before := allocated()
		e := getError(t, p, "hostile", gcnode.KindPermanent)
		assert.ErrorContains(t, e, want)
		return allocated() - before
	}
	blocksAlone := took("trapped", func(f *extismImports) []byte {
		return slices.Concat(constI64(size), call(f.alloc), []byte{opDrop}, constI64(1), call(f.alloc), []byte{opDrop, opUnreachable})
	})
	for name, c := range map[string]struct {
		code func(f *extismImports) []byte
		want string
	}{
		"a value of a variable": {func(f *extismImports) []byte {
			return slices.Concat(constI64(1), call(f.alloc), constI64(size), call(f.alloc), call(f.varSet), constI32(0))
		}, "variables take more than"},
		"a name of a variable": {func(f *extismImports) []byte {
			return slices.Concat(constI64(size), call(f.alloc), constI64(1), call(f.alloc), call(f.varSet), constI32(0))
		}, "variables take more than"},
		"a request": {func(f *extismImports) []byte {
			return slices.Concat(constI64(size), call(f.alloc), constI64(0), call(f.httpRequest), []byte{opDrop}, constI32(0))
		}, fmt.Sprintf("its HTTP request has %d bytes", size)},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Less(t, took(c.want, c.code)-blocksAlone, int64(size/2))
		})
	}
}

// Requests of an instance cannot have a flood of exchanges under way together, but
// each can have one.
func TestFetchesOfAnInstanceAtTheSameTimeAreBounded(t *testing.T) {
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1, MaxFetches: 2 * maxInFlight, ParallelFetches: 1})
	ctx, cancel := context.WithCancel(t.Context())
	many := getLater(ctx, p, fmt.Sprintf("many:%d:%s/wait", maxInFlight, origin.url))
	waitPending(t, p, 1)
	assert.Equal(t, "-3", get(t, p, "flood:2:"+origin.url+"/wait"))
	assert.NotEqual(t, "-3", get(t, p, "flood:1:"+origin.url+"/wait"))
	cancel()
	require.ErrorIs(t, (<-many).err, context.Canceled)
	assert.NotEqual(t, "-3", get(t, p, "flood:2:"+origin.url+"/wait"))
}

// A memory that grows bit by bit takes what it has, and nothing for later.
func TestMemoryTakesNoMoreThanItsLimit(t *testing.T) {
	const limit = 33 << 20
	a := newAssembler()
	respond := a.abi("respond")
	grow := slices.Concat([]byte{opLoop, opVoid}, constI32(1), []byte{opMemoryGrow, 0}, constI32(-1), []byte{0x47, 0x0d, 0, opEnd})
	p := loadModule(t, a.getter(slices.Concat(grow, respondWith(respond, statusOK, ttlDefault, 0, 0))...).bytes(), Options{
		Instances: 1, Pending: 1, MaxMemoryBytes: limit,
	})
	before := heapBytes()
	d := p.newDeadline(t.Context())
	s, err := p.checkOut(&d)
	require.NoError(t, err)
	_, stopped := s.item.answer(s.item.open("key"), d)
	require.Nil(t, stopped)
	assert.EqualValues(t, limit, s.item.mod.Memory().Size())
	assert.Less(t, heapBytes()-before, int64(limit+1<<20))
	p.checkIn(s, keep, 1)
}
