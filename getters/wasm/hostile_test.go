package wasm

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// farAway is an address outside of every test module's memory.
const farAway = 0x7fff_0000

// worstGap runs f while a ticker ticks every millisecond and the garbage
// collector runs again and again, and returns the longest time between two
// ticks: how long the rest of the process had to wait.
func worstGap(f func()) time.Duration {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var worst time.Duration
	ticking := make(chan struct{})
	wg.Go(func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		<-ticker.C
		close(ticking)
		for last := time.Now(); ctx.Err() == nil; {
			<-ticker.C
			now := time.Now()
			worst = max(worst, now.Sub(last))
			last = now
		}
	})
	wg.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			runtime.GC()
			<-ticker.C
		}
	})
	<-ticking
	f()
	cancel()
	wg.Wait()
	return worst
}

// keptBytes is by how much the heap may differ after an attack: tests allocate,
// too.
const keptBytes = 2 << 20

// survive attacks a plugin with the key "hostile" and wants an error of the
// kind in time, the rest of the process to go on meanwhile, the memory back,
// and the next good key to be answered.
func survive(t *testing.T, p *Plugin, timeout time.Duration, kind gcnode.Kind, message string) {
	t.Helper()
	get(t, p, goodKey)
	before := heapBytes()
	var err error
	var took time.Duration
	gap := worstGap(func() {
		begin := time.Now()
		_, err = p.GetItem(t.Context(), "hostile")
		took = time.Since(begin)
	})
	e := wantKind(t, err, kind)
	assert.ErrorContains(t, e, message)
	assert.Less(t, len(e.Error()), 2*maxMessageBytes)
	assert.Less(t, took, timeout+patience, "it ends")
	// A guest that held up the rest of the process would do so until its deadline.
	assert.Less(t, gap, timeout, "the rest of the process goes on")
	t.Logf("took %v, worst gap of a 1 ms ticker %v: %v", took, gap, err)
	get(t, p, goodKey)
	assert.InDelta(t, before, heapBytes(), keptBytes, "memory returns to where it was")
}

// heapBytes is what is in use, the memory of guests included.
func heapBytes() int64 {
	var m runtime.MemStats
	for range 2 { // what has a finalizer is freed the second time
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestHostileGuests(t *testing.T) {
	const timeout = time.Second
	type hostileCase struct {
		// code is what gcnode_get does for every key but goodKey.
		code  func(a *assembler, f *hostileImports) []byte
		kind  gcnode.Kind
		want  string
		stats DiscardStats
	}
	trap, contract := DiscardStats{Trap: 1}, DiscardStats{Contract: 1}
	late := DiscardStats{Timeout: 1}
	for name, c := range map[string]hostileCase{
		"endless loop": {func(*assembler, *hostileImports) []byte {
			return forever()
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"endless loop of cheap host calls": {func(_ *assembler, f *hostileImports) []byte {
			return forever(slices.Concat(call(f.nowMillis), []byte{opDrop})...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"endless loop of expensive host calls": {func(_ *assembler, f *hostileImports) []byte {
			return forever(slices.Concat(constI32(0), constI32(1<<20), call(f.randomGet), []byte{opDrop})...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"log flood": {func(_ *assembler, f *hostileImports) []byte {
			return forever(slices.Concat(constI32(3), constI32(0), constI32(1<<20), call(f.log))...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"output flood": {func(_ *assembler, f *hostileImports) []byte {
			const at, length = 1 << 16, 1 << 21 // random bytes are short lines
			return slices.Concat(
				constI32(at), constI32(length), call(f.randomGet), []byte{opDrop},
				constI32(0), constI32(at), []byte{0x36, 2, 0},
				constI32(4), constI32(length), []byte{0x36, 2, 0},
				forever(slices.Concat(constI32(1), constI32(0), constI32(1), constI32(8), call(f.write), []byte{opDrop})...))
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"endless yielding": {func(_ *assembler, f *hostileImports) []byte {
			return forever(slices.Concat(call(f.yield), []byte{opDrop})...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"endless recursion": {func(a *assembler, _ *hostileImports) []byte {
			return slices.Concat(localGet(0), localGet(1), call(a.defined()+1)) // gcnode_get itself
		}, gcnode.KindPermanent, "the module trapped", trap},
		"endless recursion in loops": {func(a *assembler, _ *hostileImports) []byte {
			return forever(slices.Concat(localGet(0), localGet(1), call(a.defined()+1), []byte{opDrop})...)
		}, gcnode.KindPermanent, "its calls nest too deep", trap},
		"endless loop of fills": {func(*assembler, *hostileImports) []byte {
			return forever(slices.Concat(constI32(0), constI32(1), constI32(64*pageBytes), memoryFill)...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"endless loop of copies": {func(*assembler, *hostileImports) []byte {
			return forever(slices.Concat(constI32(0), constI32(1), constI32(64*pageBytes-1), memoryCopy)...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"endless loop of fills of a table": {func(a *assembler, _ *hostileImports) []byte {
			a.entries = 1 << 16
			return forever(slices.Concat(constI32(0), refNull, constI32(1<<16), tableFill)...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"table bomb": {func(a *assembler, _ *hostileImports) []byte {
			a.entries = 1
			return forever(slices.Concat(refNull, constI32(1<<10), tableGrow, []byte{opDrop})...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"huge table at once": {func(a *assembler, _ *hostileImports) []byte {
			a.entries = 1
			// It is told that there is no room, which is what it makes of it.
			return slices.Concat(refNull, constI32(1<<30), tableGrow)
		}, gcnode.KindPermanent, "failed with the result -1", contract},
		"corrupts its own memory": {func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(constI32(0), constI32(0xff), constI32(64*pageBytes), memoryFill,
				localGet(0), constI32(0), constI32(0), constI64(-1), loadI32(0), loadI32(4), call(f.respond))
		}, gcnode.KindPermanent, "is outside of its memory", contract},
		"huge message": {func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(constI32(0), constI32('m'), constI32(64*pageBytes), memoryFill,
				respondWith(f.respond, statusPermanent, ttlDefault, 0, 64*pageBytes), []byte{opDrop}, constI32(-1))
		}, gcnode.KindPermanent, "failed with the result -1", contract},
		"memory bomb": {func(*assembler, *hostileImports) []byte {
			return forever(slices.Concat(constI32(1), []byte{opMemoryGrow, 0, opDrop})...)
		}, gcnode.KindTimeout, "the deadline has passed", late},
		"unreachable": {func(*assembler, *hostileImports) []byte {
			return []byte{opUnreachable}
		}, gcnode.KindPermanent, "the module trapped: wasm error: unreachable", trap},
		"exit": {func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(constI32(0), call(f.exit), []byte{opUnreachable})
		}, gcnode.KindPermanent, "exited with code 0", DiscardStats{Exit: 1}},
		"never responds": {func(*assembler, *hostileImports) []byte {
			return constI32(0)
		}, gcnode.KindPermanent, "gcnode_get returned 0 without an answer", contract},
		"responds and returns an error": {func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(respondWith(f.respond, 0, -1, 0, 0), []byte{opDrop}, constI32(-9))
		}, gcnode.KindPermanent, "gcnode_get failed with the result -9", contract},
		"responds and returns a promise": {func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(respondWith(f.respond, 0, -1, 0, 0), []byte{opDrop}, constI32(1))
		}, gcnode.KindPermanent, "gcnode_get returned 1, want 0", contract},
		"responds and traps": {func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(respondWith(f.respond, 0, -1, 0, 0), []byte{opUnreachable})
		}, gcnode.KindPermanent, "the module trapped", trap},
		"responds from far away": {func(_ *assembler, f *hostileImports) []byte {
			return respondWith(f.respond, 0, -1, farAway, 1)
		}, gcnode.KindPermanent, "the range of 1 bytes at 2147418112 is outside of its memory", contract},
		"responds with a negative length": {func(_ *assembler, f *hostileImports) []byte {
			return respondWith(f.respond, 0, -1, 0, -1)
		}, gcnode.KindPermanent, "the range of 4294967295 bytes at 0 is outside", contract},
		"responds across the end": {func(_ *assembler, f *hostileImports) []byte {
			return respondWith(f.respond, 0, -1, 64<<16-1, 2)
		}, gcnode.KindPermanent, "is outside of its memory", contract},
		"reads to far away": {func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(localGet(0), constI32(farAway), constI32(0), constI32(10), call(f.inputRead))
		}, gcnode.KindPermanent, "is outside of its memory", contract},
		"logs from far away": {func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(constI32(3), constI32(farAway), constI32(5), call(f.log), constI32(0))
		}, gcnode.KindPermanent, "is outside of its memory", contract},
		"random bytes to far away": {func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(constI32(farAway), constI32(5), call(f.randomGet))
		}, gcnode.KindPermanent, "is outside of its memory", contract},
		"sleeps for ever": {func(a *assembler, f *hostileImports) []byte {
			return slices.Concat(
				// a clock subscription at 0: monotonic, as long as possible
				constI32(16), constI32(1), []byte{0x36, 2, 0},
				constI32(24), constI64(-1), []byte{0x37, 3, 0},
				constI32(0), constI32(1024), constI32(1), constI32(2048), call(f.poll))
		}, gcnode.KindTimeout, "the deadline has passed", late},
	} {
		t.Run(name, func(t *testing.T) {
			a, f := newHostile()
			code := c.code(a, f)
			p := loadModule(t, a.getter(hostile(f.respond, code...)...).bytes(), Options{
				Instances: 1, MaxMemoryBytes: 8 << 20, Timeout: timeout,
			})
			survive(t, p, timeout, c.kind, c.want)
			s := p.Stats().Instances
			assert.Equal(t, c.stats, s.Discarded)
			assert.EqualValues(t, 2, s.Created)
		})
	}
}

// Guests that compute on the only processor let others run after each slice,
// and not only when the scheduler of Go takes it from them, after 10 ms.
func TestEndlessGuestsLeaveRoomForOthers(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	a, f := newHostile()
	p := loadModule(t, a.getter(hostile(f.respond, forever()...)...).bytes(), Options{Instances: 2})
	ctx, cancel := context.WithCancel(t.Context())
	guests := []<-chan outcome{getLater(ctx, p, "endless"), getLater(ctx, p, "endless")}
	var waits []time.Duration
	for last := time.Now(); len(waits) < 100; {
		runtime.Gosched()
		now := time.Now()
		waits = append(waits, now.Sub(last))
		last = now
	}
	cancel()
	for _, g := range guests {
		require.ErrorIs(t, (<-g).err, context.Canceled)
	}
	slices.Sort(waits)
	assert.Less(t, waits[len(waits)/2], 10*time.Millisecond, "the median of %v", waits)
}

// hostileImports are the indices of the functions that hostile modules use.
type hostileImports struct {
	respond, inputRead, log, nowMillis, randomGet, yield, exit, poll, write uint32
}

func newHostile() (*assembler, *hostileImports) {
	a := newAssembler()
	a.pages = 64
	return a, &hostileImports{
		respond: a.abi("respond"), inputRead: a.abi("input_read"), log: a.abi("log"), nowMillis: a.abi("now_ms"),
		randomGet: a.abi("random_get"), yield: a.abi("sched_yield"), exit: a.abi("proc_exit"), poll: a.abi("poll_oneoff"), write: a.abi("fd_write"),
	}
}

// resultGuest is a module that answers with the four bytes of the result that
// code leaves on the stack.
func resultGuest(a *assembler, respond uint32, code ...byte) []byte {
	store := slices.Concat(code, []byte{0x21, 2}, constI32(1024), localGet(2), []byte{0x36, 2, 0})
	return a.getter(slices.Concat(store, respondWith(respond, statusOK, ttlDefault, 1024, 4))...).bytes()
}

func TestFunctionsRefuseWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	type build func(a *assembler, f *hostileImports) []byte
	read := func(id []byte, off, length int32) build {
		return func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(id, constI32(0), constI32(off), constI32(length), call(f.inputRead))
		}
	}
	twice := func(second ...[]byte) build {
		return func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(respondWith(f.respond, 0, -1, 0, 0), []byte{opDrop}, slices.Concat(second...), call(f.respond))
		}
	}
	args := [][]byte{constI32(0), constI32(0), constI64(-1), constI32(0), constI32(0)}
	for name, c := range map[string]struct {
		code build
		want int32
	}{
		"the key's size":      {read(localGet(0), 0, 0), 3},
		"the rest of the key": {read(localGet(0), 2, 100), 1},
		"the end of the key":  {read(localGet(0), 3, 100), 0},
		"past the end":        {read(localGet(0), 4, 100), -1},
		"far past the end":    {read(localGet(0), -1, 100), -1},
		"the configuration":   {read(constI32(0), 0, 0), -1},
		"another request":     {read(constI32(4711), 0, 0), -1},
		"a negative request":  {read(constI32(-1), 0, 0), -1},
		"respond to another one": {func(_ *assembler, f *hostileImports) []byte {
			return append(slices.Concat(append([][]byte{constI32(4711)}, args...)...), call(f.respond)...)
		}, -1},
		"respond to request 0": {func(_ *assembler, f *hostileImports) []byte {
			return append(slices.Concat(append([][]byte{constI32(0)}, args...)...), call(f.respond)...)
		}, -1},
		"respond with flags": {func(_ *assembler, f *hostileImports) []byte {
			return slices.Concat(localGet(0), constI32(0), constI32(1), constI64(-1), constI32(0), constI32(0), call(f.respond))
		}, -3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, f := newHostile()
			p := loadModule(t, resultGuest(a, f.respond, c.code(a, f)...), Options{Instances: 1})
			value := get(t, p, "key")
			require.Len(t, value, 4)
			assert.Equal(t, []byte{byte(c.want), byte(c.want >> 8), byte(c.want >> 16), byte(c.want >> 24)}, []byte(value))
		})
	}

	t.Run("respond twice", func(t *testing.T) {
		t.Parallel()
		a, f := newHostile()
		code := twice(append([][]byte{localGet(0)}, args...)...)(a, f)
		// The result of the second answer is that of gcnode_get.
		p := loadModule(t, a.getter(code...).bytes(), Options{Instances: 1})
		e := getError(t, p, "key", gcnode.KindPermanent)
		assert.ErrorContains(t, e, "failed with the result -1")
	})
}

func TestTooLargeWinsOverTheResult(t *testing.T) {
	t.Parallel()
	a, f := newHostile()
	code := respondWith(f.respond, statusOK, ttlDefault, 0, 11) // its -2 is the result of gcnode_get
	p := loadModule(t, a.getter(code...).bytes(), Options{Instances: 1, MaxValueBytes: 10})
	e := getError(t, p, "key", gcnode.KindTooLarge)
	assert.ErrorContains(t, e, "11 bytes; at most 10")
	assert.Equal(t, DiscardStats{Contract: 1}, p.Stats().Instances.Discarded)
}

func TestGuestOutOfMemoryIsTold(t *testing.T) {
	t.Parallel()
	a, f := newHostile()
	grow := slices.Concat(constI32(1000), []byte{opMemoryGrow, 0})
	p := loadModule(t, resultGuest(a, f.respond, grow...), Options{MaxMemoryBytes: 8 << 20})
	assert.Equal(t, "\xff\xff\xff\xff", get(t, p, "key"), "memory.grow says -1")
}

func TestModuleThatStartsWithMostOfItsMemory(t *testing.T) {
	t.Parallel()
	a := minimal()
	a.pages = 31
	p := loadModule(t, a.bytes(), Options{MaxMemoryBytes: 32 * pageBytes, Instances: 1})
	for range 5 {
		get(t, p, "key")
	}
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func TestInstanceIsReplacedAfterManyCalls(t *testing.T) {
	t.Parallel()
	p := loadModule(t, minimal().bytes(), Options{Instances: 1, Timeout: patience})
	for range defaultCalls + 1 {
		if _, err := p.GetItem(t.Context(), "k"); err != nil {
			require.NoError(t, err)
		}
	}
	s := p.Stats()
	assert.EqualValues(t, 2, s.Instances.Created)
	assert.Equal(t, DiscardStats{Worn: 1}, s.Instances.Discarded)
	assert.EqualValues(t, defaultCalls+1, s.Calls.OK)
}

func TestInstanceThatCannotBeStartedLater(t *testing.T) {
	t.Parallel()
	// It traps in _initialize when the environment has a variable, which
	// is changed behind its back.
	a, f := newHostile()
	sizes := a.abi("environ_sizes_get")
	a.function(exportInit, nil, nil, slices.Concat(
		constI32(0), constI32(4), call(sizes), []byte{opDrop},
		constI32(0), []byte{0x28, 2, 0, opIf, opVoid, opUnreachable, opEnd})...)
	p := loadModule(t, a.getter(hostile(f.respond, opUnreachable)...).bytes(), Options{Instances: 1})
	p.environ = []string{"A=1"}
	getError(t, p, "hostile", gcnode.KindPermanent)
	e := getError(t, p, goodKey, gcnode.KindTransient)
	assert.ErrorContains(t, e, "start an instance")
	p.environ = nil
	get(t, p, goodKey)
	assert.Equal(t, DiscardStats{Trap: 1, Failed: 1}, p.Stats().Instances.Discarded)
}
