package kernel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"
)

const (
	pageBytes = 64 << 10
	// smallestBlock is what a block takes at least, so that the list of
	// blocks stays small beside the memory that they are in.
	smallestBlock = 64
	alignment     = 8
	// keptBlocks bounds the list of blocks that is kept between calls.
	keptBlocks = 1 << 10
	blockBytes = 8 // of an entry of the list
	// clearedAtOnce bounds for how long the rest of the process may have to
	// wait: a goroutine that clears memory cannot be preempted.
	clearedAtOnce = 1 << 20
)

// ErrExhausted is that there is no room for a block.
var ErrExhausted = errors.New("the kernel's memory is used up")

// Memory is the kernel beside one instance of a guest. It must not be used
// while the guest runs, except in a call from it.
type Memory struct {
	mod    api.Module
	mem    api.Memory
	vars   [globals]api.MutableGlobal
	blocks []block // in the order of their offsets, without gaps
	end    uint32  // of the last block
	dirty  uint32  // the highest end since Reset
}

// block is a range that was allocated. It reaches to the next one, or to the
// end.
type block struct {
	offset uint32
	size   uint32 // as it was asked for; 0: it is free
}

// New takes over an instance of [Module].
func New(mod api.Module) (*Memory, error) {
	m := &Memory{mod: mod, mem: mod.ExportedMemory(memoryName)}
	for i, name := range globalNames() {
		g, ok := mod.ExportedGlobal(name).(api.MutableGlobal)
		if !ok {
			return nil, fmt.Errorf("the kernel has no variable %q", name)
		}
		m.vars[i] = g
	}
	m.Reset()
	return m, nil
}

// Module is what guests import their functions from.
func (m *Memory) Module() api.Module { return m.mod }

// Size is how many bytes the memory takes, used or not.
func (m *Memory) Size() uint64 { return uint64(m.mem.Size()) }

// Reset forgets every block and all that was written.
func (m *Memory) Reset() {
	if b, ok := m.mem.Read(0, m.dirty); ok {
		for part := range slices.Chunk(b, clearedAtOnce) {
			clear(part)
		}
	}
	m.blocks = m.blocks[:0]
	if cap(m.blocks) > keptBlocks {
		m.blocks = nil
	}
	m.dirty = 0
	m.setEnd(heapStart)
	for _, v := range m.vars[globalInputOffset:] {
		v.Set(0)
	}
}

// SetInput is the input of the call. limit is that of Alloc.
func (m *Memory) SetInput(input string, limit uint64) error {
	if input == "" {
		return nil
	}
	offset, _, err := m.Alloc(uint64(len(input)), limit)
	if err != nil {
		return err
	}
	b, _ := m.mem.Read(uint32(offset), uint32(len(input)))
	copy(b, input)
	m.vars[globalInputOffset].Set(offset)
	m.vars[globalInputLength].Set(uint64(len(input)))
	return nil
}

// Output is what the guest set as its output, nothing if it did not. It is
// valid until the guest runs again.
func (m *Memory) Output() ([]byte, error) {
	offset, length := m.vars[globalOutputOffset].Get(), m.vars[globalOutputLength].Get()
	if length == 0 {
		return nil, nil
	}
	b, ok := m.view(offset, length)
	if !ok {
		return nil, fmt.Errorf("its output of %d bytes at %d is outside of the kernel's memory", length, offset)
	}
	return b, nil
}

// Block is the contents of the block at an offset, which is valid until the
// guest runs again or a block is allocated. ok is false if there is none.
func (m *Memory) Block(offset uint64) (b []byte, ok bool) {
	i, ok := m.find(offset)
	if !ok {
		return nil, false
	}
	return m.view(offset, uint64(m.blocks[i].size))
}

// Length is the size of the block at an offset, 0 if there is none.
func (m *Memory) Length(offset uint64) uint64 {
	i, ok := m.find(offset)
	if !ok {
		return 0
	}
	return uint64(m.blocks[i].size)
}

// Alloc makes a block, which holds anything, and returns its offset: 0 for a
// block of no bytes. The whole memory does not become larger than limit, in
// bytes. work is how many bytes were looked at to find room.
func (m *Memory) Alloc(size, limit uint64) (offset uint64, work int, err error) {
	if size == 0 {
		return 0, 0, nil
	}
	if size > limit {
		return 0, 0, exhausted(size, limit)
	}
	need := max(size+alignment-1, smallestBlock) / alignment * alignment
	if uint64(m.end)+need <= m.Size() {
		return m.push(size, need), 0, nil
	}
	work = len(m.blocks) * blockBytes
	if offset, ok := m.reuse(size, need); ok {
		return offset, work, nil
	}
	if !m.grow(uint64(m.end)+need, limit) {
		return 0, work, exhausted(size, limit)
	}
	return m.push(size, need), work, nil
}

func exhausted(size, limit uint64) error {
	return fmt.Errorf("%w: there is no room for %d more bytes within %d", ErrExhausted, size, limit)
}

// push puts a block behind all others, where there is room for it.
func (m *Memory) push(size, need uint64) (offset uint64) {
	at := m.end
	m.blocks = append(m.blocks, block{at, uint32(size)})
	m.setEnd(at + uint32(need))
	return uint64(at)
}

func (m *Memory) setEnd(end uint32) {
	m.end = end
	m.dirty = max(m.dirty, end)
	m.vars[globalEnd].Set(uint64(end))
}

// Free gives a block back. It does nothing if there is none at the offset, so
// that the guest may free what its host has freed already.
func (m *Memory) Free(offset uint64) {
	i, ok := m.find(offset)
	if !ok {
		return
	}
	m.blocks[i].size = 0
	if offset == m.vars[globalInputOffset].Get() {
		m.vars[globalInputLength].Set(0)
	}
	end := m.end
	for n := len(m.blocks); n > 0 && m.blocks[n-1].size == 0; n-- {
		end = m.blocks[n-1].offset
		m.blocks = m.blocks[:n-1]
	}
	m.setEnd(end)
}

// reuse takes the first range of free blocks that is large enough, and leaves
// what it does not need. It joins free blocks that lie side by side.
func (m *Memory) reuse(size, need uint64) (offset uint64, ok bool) {
	joined := m.blocks[:0]
	for _, b := range m.blocks {
		if n := len(joined); b.size == 0 && n > 0 && joined[n-1].size == 0 {
			continue
		}
		joined = append(joined, b)
	}
	m.blocks = joined
	for i := range m.blocks {
		if m.blocks[i].size != 0 {
			continue
		}
		room := m.room(i)
		if room < need {
			continue
		}
		at := m.blocks[i].offset
		m.blocks[i].size = uint32(size)
		if room-need >= smallestBlock {
			m.blocks = slices.Insert(m.blocks, i+1, block{offset: at + uint32(need)})
		}
		return uint64(at), true
	}
	return 0, false
}

// room is how many bytes there are for the block with an index.
func (m *Memory) room(i int) uint64 {
	if i+1 < len(m.blocks) {
		return uint64(m.blocks[i+1].offset - m.blocks[i].offset)
	}
	return uint64(m.end - m.blocks[i].offset)
}

// grow makes the memory hold want bytes, and some more if the limit allows it.
func (m *Memory) grow(want, limit uint64) bool {
	limit = limit / pageBytes * pageBytes
	if want > limit {
		return false
	}
	want = min(max(want, 2*m.Size()), limit)
	pages := (want - m.Size() + pageBytes - 1) / pageBytes
	_, ok := m.mem.Grow(uint32(pages))
	return ok
}

// find is the index of the block at an offset that is not free.
func (m *Memory) find(offset uint64) (i int, ok bool) {
	if offset >= uint64(m.end) {
		return 0, false
	}
	i, ok = slices.BinarySearchFunc(m.blocks, uint32(offset), func(b block, at uint32) int {
		return cmp.Compare(b.offset, at)
	})
	return i, ok && m.blocks[i].size != 0
}

func (m *Memory) view(offset, length uint64) ([]byte, bool) {
	if offset > uint64(m.end) || length > uint64(m.end)-offset {
		return nil, false
	}
	return m.mem.Read(uint32(offset), uint32(length))
}

// Close frees the memory.
func (m *Memory) Close(ctx context.Context) error { return m.mod.Close(ctx) }
