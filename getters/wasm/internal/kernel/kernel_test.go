package kernel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/gcnode/gcnode/getters/wasm/internal/kernel"
)

const (
	pageBytes = 64 << 10
	testPages = 16
	limit     = testPages * pageBytes
)

// newKernel is a kernel that stands alone: the tests call its functions as a
// guest would.
func newKernel(tb testing.TB) *kernel.Memory {
	tb.Helper()
	ctx := tb.Context()
	r := wazero.NewRuntime(ctx)
	tb.Cleanup(func() { assert.NoError(tb, r.Close(context.Background())) })
	var m *kernel.Memory
	word := []api.ValueType{api.ValueTypeI64}
	host := r.NewHostModuleBuilder(kernel.Name)
	export := func(name string, results []api.ValueType, f func(stack []uint64)) {
		host.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { f(stack) }), word, results).Export(name)
	}
	export(kernel.AllocName, word, func(stack []uint64) {
		offset, _, err := m.Alloc(stack[0], limit)
		if err != nil {
			panic(err)
		}
		stack[0] = offset
	})
	export(kernel.LengthName, word, func(stack []uint64) { stack[0] = m.Length(stack[0]) })
	export("next", word, func(stack []uint64) { stack[0]++ })
	export("nothing", word, func(stack []uint64) { stack[0] = askedForNothing })
	_, err := host.Instantiate(ctx)
	require.NoError(tb, err)
	module, err := r.CompileModule(ctx, kernel.Module([]kernel.Function{
		{Name: "nothing", Params: word, Results: word, Nothing: true},
		{Name: "next", Params: word, Results: word},
	}, testPages))
	require.NoError(tb, err)
	m, err = kernel.New(ctx, r, module)
	require.NoError(tb, err)
	return m
}

// call calls a function of the kernel.
func call(tb testing.TB, m *kernel.Memory, name string, args ...uint64) []uint64 {
	tb.Helper()
	results, err := m.Module().ExportedFunction(name).Call(tb.Context(), args...)
	require.NoError(tb, err)
	return results
}

func faults(tb testing.TB, m *kernel.Memory, name string, args ...uint64) {
	tb.Helper()
	_, err := m.Module().ExportedFunction(name).Call(tb.Context(), args...)
	assert.ErrorContains(tb, err, "unreachable", "%s%v", name, args)
	offset, ok := m.Fault()
	assert.True(tb, ok)
	if strings.HasPrefix(name, "input") {
		args[0] += call(tb, m, "input_offset")[0]
	}
	assert.Equal(tb, args[0], offset)
}

// alloc makes a block as the host does, and as guests do: by turns.
func alloc(tb testing.TB, m *kernel.Memory, size uint64) uint64 {
	tb.Helper()
	if size%2 == 0 {
		return call(tb, m, "alloc", size)[0]
	}
	offset, _, err := m.Alloc(size, limit)
	require.NoError(tb, err)
	return offset
}

func TestGuestsReadTheirInputAndWriteTheirOutput(t *testing.T) {
	m := newKernel(t)
	require.NoError(t, m.SetInput("the input", limit))
	assert.Equal(t, []uint64{9}, call(t, m, "input_length"))
	word := call(t, m, "input_load_u64", 0)[0]
	assert.Equal(t, "the inpu", string(binary.LittleEndian.AppendUint64(nil, word)))
	assert.Equal(t, []uint64{'t'}, call(t, m, "input_load_u8", 8))
	at := call(t, m, "input_offset")[0]
	assert.Equal(t, []uint64{'e'}, call(t, m, "load_u8", at+2))
	assert.Equal(t, uint64(9), m.Length(at))

	out := alloc(t, m, 9)
	call(t, m, "store_u64", out, binary.LittleEndian.Uint64([]byte("12345678")))
	call(t, m, "store_u8", out+8, '9')
	assert.Equal(t, word, call(t, m, "load_u64", at)[0], "the input is as it was")
	call(t, m, "output_set", out+1, 8)
	b, err := m.Output()
	require.NoError(t, err)
	assert.Equal(t, "23456789", string(b))
	assert.Equal(t, []uint64{42}, call(t, m, "next", 41), "functions of the host are functions of the kernel")
}

// What is compiled and what is Go do the same, and know of each other's blocks.
func TestGuestsAllocateAsTheHostDoes(t *testing.T) {
	guest, host := newKernel(t), newKernel(t)
	rng := rand.New(rand.NewPCG(3, 4))
	sizes := []uint64{1, 7, 8, 56, 57, 58, 63, 64, 65, 66, 1000, pageBytes - 337, pageBytes - 336, pageBytes - 335}
	var blocks []uint64
	for step := range 6_000 {
		size := sizes[rng.IntN(len(sizes))]
		if step%500 < 400 {
			size = sizes[rng.IntN(10)] // many small ones
		}
		want, _, wantErr := host.Alloc(size, limit)
		results, err := guest.Module().ExportedFunction("alloc").Call(t.Context(), size)
		if wantErr != nil {
			require.ErrorContains(t, err, wantErr.Error())
			checkMarks(t, guest, blocks)
			guest.Reset()
			host.Reset()
			blocks = nil
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, results[0], "step %d: a block of %d bytes", step, size)
		b, ok := guest.Block(want)
		require.True(t, ok)
		for i := range b {
			b[i] = byte(want / 8)
		}
		blocks = append(blocks, want)
		for _, at := range []uint64{want, want + 1, want - 8, 0, math.MaxUint64, want | 1<<32, blocks[rng.IntN(len(blocks))]} {
			length := host.Length(at)
			require.Equal(t, length, guest.Length(at))
			require.Equal(t, []uint64{length}, call(t, guest, "length", at), "step %d: the block at %d", step, at)
			require.Equal(t, []uint64{length}, call(t, guest, "length_unsafe", at))
		}
		if rng.IntN(40) == 0 {
			i := len(blocks) - 1 - rng.IntN(min(len(blocks), 3)) // among the last
			guest.Free(blocks[i])
			host.Free(blocks[i])
			blocks = slices.Delete(blocks, i, i+1)
		}
	}
	for _, size := range []uint64{limit, 1<<31 - 1, 1 << 31, 1<<31 + 1, 1 << 32, 1<<32 + 8, 1 << 63, math.MaxUint64 - 6, math.MaxUint64} {
		_, err := guest.Module().ExportedFunction("alloc").Call(t.Context(), size)
		require.ErrorContains(t, err, kernel.ErrExhausted.Error(), "%d", size)
	}
	assert.Equal(t, []uint64{0}, call(t, guest, "alloc", 0))
}

// checkMarks sees that each block holds what was written to it.
func checkMarks(t *testing.T, m *kernel.Memory, blocks []uint64) {
	t.Helper()
	for _, at := range blocks {
		b, ok := m.Block(at)
		require.True(t, ok)
		require.Equal(t, len(b), bytes.Count(b, []byte{byte(at / 8)}), "the block at %d", at)
	}
}

// A block that fills what there is of the memory takes no more of it.
func TestGuestsFillTheMemory(t *testing.T) {
	const beside = 336 // of the first block
	for size, want := range map[uint64]uint64{pageBytes - beside: pageBytes, pageBytes - beside + 1: 2 * pageBytes} {
		m := newKernel(t)
		b, ok := m.Block(call(t, m, "alloc", size)[0])
		require.True(t, ok)
		assert.Len(t, b, int(size))
		assert.Equal(t, want, m.Size())
	}
}

// askedForNothing is what the host says that has nothing, and should not be asked.
const askedForNothing = 4711

func TestTheHostIsNotAskedForNothing(t *testing.T) {
	m := newKernel(t)
	first, last := alloc(t, m, 4), alloc(t, m, 5)
	assert.Equal(t, []uint64{0}, call(t, m, "nothing", last))
	for _, at := range []uint64{first, last + 1, last | 1<<32} {
		assert.Equal(t, []uint64{askedForNothing}, call(t, m, "nothing", at), "this may be no block")
	}
	m.Free(last)
	assert.Equal(t, []uint64{askedForNothing}, call(t, m, "nothing", last))
	assert.Equal(t, []uint64{0}, call(t, m, "nothing", first), "the last one again")
}

func TestEmptyInputIsNoBlock(t *testing.T) {
	m := newKernel(t)
	require.NoError(t, m.SetInput("", limit))
	assert.Equal(t, []uint64{0}, call(t, m, "input_length"))
	assert.Equal(t, []uint64{0}, call(t, m, "input_offset"))
	b, err := m.Output()
	require.NoError(t, err)
	assert.Empty(t, b)
	offset, _, err := m.Alloc(0, limit)
	require.NoError(t, err)
	assert.Zero(t, offset)
	m.Free(0)
	assert.NotZero(t, alloc(t, m, 8), "there was nothing to be freed")
}

func TestNothingIsSeenAfterReset(t *testing.T) {
	m := newKernel(t)
	require.NoError(t, m.SetInput("secret key", limit))
	blocks := []uint64{alloc(t, m, 3*pageBytes), alloc(t, m, 8)}
	for _, at := range blocks {
		call(t, m, "store_u64", at, math.MaxUint64)
	}
	call(t, m, "store_u64", 0, math.MaxUint64) // below the first block
	call(t, m, "output_set", blocks[0], 8)
	m.Free(blocks[1]) // takes it off the end, with what is in it
	m.Free(blocks[0])

	m.Reset()
	assert.Equal(t, []uint64{0}, call(t, m, "input_length"))
	b, err := m.Output()
	require.NoError(t, err)
	assert.Empty(t, b)
	for _, at := range blocks {
		assert.Zero(t, m.Length(at))
	}
	at := alloc(t, m, 4*pageBytes)
	all, ok := m.Block(at)
	require.True(t, ok)
	assert.Equal(t, -1, slices.IndexFunc(all, func(b byte) bool { return b != 0 }), "the memory is empty")
	assert.Equal(t, []uint64{0}, call(t, m, "load_u64", 0))
}

func TestGuestsReachNothingButWhatIsAllocated(t *testing.T) {
	m := newKernel(t)
	require.NoError(t, m.SetInput(strings.Repeat("k", 64), limit))
	start := call(t, m, "input_offset")[0]
	end := start + 64
	call(t, m, "load_u64", end-8)
	call(t, m, "load_u8", end-1)
	for _, at := range []uint64{end, pageBytes, 1 << 31, 1 << 32, 1<<32 + 16, 1 << 63, math.MaxUint64 - 7, math.MaxUint64} {
		for _, name := range []string{"load_u8", "load_u64", "input_load_u8", "input_load_u64"} {
			if strings.HasPrefix(name, "input") && at+start < end {
				continue // what lies below the input is nobody's
			}
			faults(t, m, name, at)
		}
		faults(t, m, "store_u8", at, 1)
		faults(t, m, "store_u64", at, 1)
	}
	for _, at := range []uint64{end - 7, end - 1} {
		faults(t, m, "load_u64", at)
		faults(t, m, "store_u64", at, 1)
	}
	for _, out := range [][2]uint64{{end, 1}, {end - 1, 2}, {0, math.MaxUint64}, {math.MaxUint64, 1}, {1 << 32, 1}, {math.MaxUint64, 2}} {
		call(t, m, "output_set", out[0], out[1])
		_, err := m.Output()
		assert.ErrorContains(t, err, "outside of the kernel's memory", "%v", out)
	}
}

func TestBadOffsetsAreNoBlocks(t *testing.T) {
	m := newKernel(t)
	first, second := alloc(t, m, 10), alloc(t, m, 10)
	for _, at := range []uint64{0, first - 1, first + 1, second + 8, second + 1000, 1<<32 + first, math.MaxUint64} {
		assert.Zero(t, m.Length(at))
		_, ok := m.Block(at)
		assert.False(t, ok)
		m.Free(at)
	}
	assert.Equal(t, uint64(10), m.Length(first))
	m.Free(first)
	assert.Zero(t, m.Length(first))
	_, ok := m.Block(first)
	assert.False(t, ok)
	m.Free(first)
	assert.Equal(t, uint64(10), m.Length(second))
}

func TestMemoryStaysWithinItsLimit(t *testing.T) {
	m := newKernel(t)
	for _, size := range []uint64{limit, limit + 1, 1 << 32, math.MaxUint64, math.MaxUint64 - 7} {
		_, _, err := m.Alloc(size, limit)
		require.ErrorIs(t, err, kernel.ErrExhausted, "%d", size)
	}
	assert.Equal(t, uint64(pageBytes), m.Size(), "what is refused takes no memory")
	last := alloc(t, m, limit-1024)
	assert.LessOrEqual(t, m.Size(), uint64(limit))
	_, _, err := m.Alloc(2048, limit)
	require.ErrorIs(t, err, kernel.ErrExhausted)
	m.Free(last)
	alloc(t, m, 2048)

	small := newKernel(t) // with a limit below what it is made for
	for range 3 {
		_, _, err = small.Alloc(pageBytes, limit/4)
		require.NoError(t, err)
	}
	_, _, err = small.Alloc(pageBytes, limit/4)
	require.ErrorIs(t, err, kernel.ErrExhausted)
	assert.Equal(t, uint64(limit/4), small.Size())
	_, _, err = small.Alloc(pageBytes, 0)
	require.ErrorIs(t, err, kernel.ErrExhausted)
}

func TestFreedBlocksAreUsedAgain(t *testing.T) {
	m := newKernel(t)
	var blocks []uint64
	for range 10 {
		blocks = append(blocks, alloc(t, m, limit/16))
	}
	kept := blocks[9]
	for range 100 { // 100 × 9 blocks do not fit
		for _, at := range blocks[:9] {
			m.Free(at)
		}
		for i := range blocks[:9] {
			blocks[i] = alloc(t, m, limit/16)
		}
	}
	assert.Equal(t, uint64(limit/16), m.Length(kept))
	slices.Sort(blocks)
	assert.Len(t, slices.Compact(blocks), 10, "no two blocks are the same")

	m.Reset()
	for i := range blocks {
		blocks[i] = alloc(t, m, limit/16)
	}
	alloc(t, m, 6*limit/16-512) // nearly all that is left behind them
	for _, at := range blocks[2:5] {
		m.Free(at)
	}
	assert.Equal(t, blocks[2], alloc(t, m, 3*limit/16), "three blocks side by side are room for one")
}

// TestBlocksNeverOverlap does at random what guests do, and sees that what one
// block holds is never changed by another.
func TestBlocksNeverOverlap(t *testing.T) {
	m := newKernel(t)
	rng := rand.New(rand.NewPCG(1, 2))
	contents := map[uint64]byte{}
	var offsets []uint64 // of contents
	check := func(at uint64, mark byte) {
		b, ok := m.Block(at)
		if !ok || bytes.Count(b, []byte{mark}) != len(b) {
			t.Fatalf("the block at %d does not hold what was written to it", at)
		}
	}
	for step := range 8000 {
		if step%2000 == 1999 {
			m.Reset()
			clear(contents)
			offsets = nil
		}
		if rng.IntN(5) < 3 {
			size := 1 + rng.Uint64N(3000)
			at, _, err := m.Alloc(size, limit)
			if err != nil {
				require.ErrorIs(t, err, kernel.ErrExhausted)
				continue
			}
			mark := byte(step%255 + 1)
			b, ok := m.Block(at)
			if contents[at] != 0 || !ok || uint64(len(b)) != size {
				t.Fatalf("step %d: a block of %d bytes at %d has %d", step, size, at, len(b))
			}
			for i := range b {
				b[i] = mark
			}
			contents[at] = mark
			offsets = append(offsets, at)
			continue
		}
		if len(offsets) == 0 {
			continue
		}
		i := rng.IntN(len(offsets))
		at := offsets[i]
		offsets = slices.Delete(offsets, i, i+1)
		check(at, contents[at])
		m.Free(at)
		delete(contents, at)
	}
	for at, mark := range contents {
		check(at, mark)
	}
}

// FuzzMemory does what a hostile guest does, in any order and with any numbers:
// each call has a result or traps, and the memory stays within its limit and
// can be used again.
func FuzzMemory(f *testing.F) {
	f.Add([]byte{0, 100, 0, 1, 16, 0, 2, 16, 0, 3, 200, 0, 4, 90, 0, 5, 16, 0, 6, 16, 1, 7, 0, 0})
	f.Add([]byte{0, 255, 255, 0, 255, 250, 1, 16, 0, 0, 8, 8, 2, 0, 0, 6, 255, 255})
	m := newKernel(f)
	names := []string{"load_u8", "load_u64", "input_load_u8", "input_load_u64"}
	f.Fuzz(func(t *testing.T, steps []byte) {
		defer m.Reset()
		for ; len(steps) >= 3; steps = steps[3:] {
			// Most numbers are small; some are beyond 32 bits, or negative.
			number := uint64(steps[1]) | uint64(steps[2]&15)<<8
			number <<= 4 * (steps[2] >> 4)
			switch op := steps[0] % 10; op {
			case 0:
				if steps[1]%2 == 0 {
					_, err := m.Module().ExportedFunction("alloc").Call(t.Context(), number)
					require.True(t, err == nil || errors.Is(err, kernel.ErrExhausted), "%v", err)
				} else if _, _, err := m.Alloc(number, limit); err != nil {
					require.ErrorIs(t, err, kernel.ErrExhausted)
				}
			case 1:
				m.Free(number)
			case 2:
				b, ok := m.Block(number)
				require.Equal(t, m.Length(number), uint64(len(b)))
				require.Equal(t, ok, len(b) > 0)
				require.Equal(t, []uint64{uint64(len(b))}, call(t, m, "length", number))
			case 3, 4, 5, 6:
				_, _ = m.Module().ExportedFunction(names[op-3]).Call(t.Context(), number)
			case 7:
				_, _ = m.Module().ExportedFunction("store_u64").Call(t.Context(), number, math.MaxUint64)
			case 8:
				call(t, m, "output_set", number, uint64(steps[1]))
				if b, err := m.Output(); err == nil {
					require.Len(t, b, int(steps[1]))
				}
			case 9:
				m.Reset()
				require.NoError(t, m.SetInput(string(steps), limit))
			}
			require.LessOrEqual(t, m.Size(), uint64(limit))
		}
	})
}
