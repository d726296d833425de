package kernel

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const (
	pageBits  = 16
	pageBytes = 1 << pageBits
	// smallestBlock is what a block takes at least, so that the list of
	// blocks stays small beside the memory that they are in.
	smallestBlock = 64
	alignment     = 8
	// sizeShift is where the size is in an entry of the list.
	sizeShift = 32
	// keptBlocks bounds the list of blocks that is kept between calls.
	keptBlocks = 1 << 10
	// atOnce bounds for how long the rest of the process may have to wait: a
	// goroutine that clears or copies memory cannot be preempted.
	atOnce = 1 << 20
)

// ErrExhausted is that there is no room for a block.
var ErrExhausted = errors.New("the kernel's memory is used up")

// Memory is the kernel beside one instance of a guest. It must not be used
// while the guest runs, except in a call from it.
type Memory struct {
	mod    api.Module
	mem    linear  // of the module, header included
	blocks []block // in the order of their offsets, without gaps; those of the header's list follow
	dirty  uint64  // the highest end since Reset, unless the present one is higher
}

// block is a range that was allocated. It reaches to the next one, or to the
// end.
type block struct {
	offset uint32
	size   uint32 // as it was asked for; 0: it is free
}

// linear is the memory of the module, which only grow makes larger, within its
// limit.
type linear struct{ bytes []byte }

var _ experimental.LinearMemory = (*linear)(nil)

// Reallocate implements [experimental.LinearMemory].
func (l *linear) Reallocate(size uint64) []byte {
	grown := make([]byte, size)
	at := 0
	for part := range slices.Chunk(l.bytes, atOnce) {
		at += copy(grown[at:], part)
	}
	l.bytes = grown
	return grown
}

// Free implements [experimental.LinearMemory].
func (l *linear) Free() { l.bytes = nil }

// New instantiates [Module].
func New(ctx context.Context, r wazero.Runtime, module wazero.CompiledModule) (*Memory, error) {
	m := &Memory{}
	ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory { return &m.mem }))
	var err error
	if m.mod, err = r.InstantiateModule(ctx, module, wazero.NewModuleConfig().WithName("")); err != nil {
		return nil, err
	}
	m.Reset()
	return m, nil
}

// Module is what guests import their functions from.
func (m *Memory) Module() api.Module { return m.mod }

// Size is how many bytes the memory takes, used or not.
func (m *Memory) Size() uint64 { return uint64(len(m.mem.bytes)) }

// word is a word of the header.
func (m *Memory) word(at uint64) uint64 { return binary.LittleEndian.Uint64(m.mem.bytes[at:]) }

func (m *Memory) setWord(at, word uint64) { binary.LittleEndian.PutUint64(m.mem.bytes[at:], word) }

// Reset forgets every block and all that was written.
func (m *Memory) Reset() {
	used := m.mem.bytes[headerBytes:][:max(m.dirty, m.word(atEnd))]
	for len(used) > atOnce {
		clear(used[:atOnce])
		used = used[atOnce:]
	}
	clear(used)
	m.blocks = m.blocks[:0]
	if cap(m.blocks) > keptBlocks {
		m.blocks = nil
	}
	m.dirty = 0
	clear(m.mem.bytes[:headerBytes])
	m.setWord(atEnd, heapStart)
	m.setWord(atLast, beforeList)
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
	copy(m.mem.bytes[headerBytes+offset:], input)
	m.setWord(atInputOffset, offset)
	m.setWord(atInputLength, uint64(len(input)))
	return nil
}

// Fault is where the guest read or wrote outside of what was allocated, which it
// trapped for.
func (m *Memory) Fault() (offset uint64, ok bool) {
	offset = m.word(atFault)
	return offset, offset != 0
}

// Output is what the guest set as its output, nothing if it did not. It is
// valid until the guest runs again.
func (m *Memory) Output() ([]byte, error) {
	offset, length := m.word(atOutputOffset), m.word(atOutputLength)
	if length == 0 {
		return nil, nil
	}
	if end := m.word(atEnd); offset > end || length > end-offset {
		return nil, fmt.Errorf("its output of %d bytes at %d is outside of the kernel's memory", length, offset)
	}
	return m.view(offset, length), nil
}

// Block is the contents of the block at an offset, which is valid until the
// guest runs again or a block is allocated. ok is false if there is none.
func (m *Memory) Block(offset uint64) (b []byte, ok bool) {
	size := m.Length(offset)
	if size == 0 {
		return nil, false
	}
	return m.view(offset, size), true
}

// view is a range within what is allocated.
func (m *Memory) view(offset, length uint64) []byte {
	return m.mem.bytes[headerBytes+offset:][:length:length]
}

// Length is the size of the block at an offset, 0 if there is none.
func (m *Memory) Length(offset uint64) uint64 {
	if offset >= m.word(atEnd) {
		return 0
	}
	for at := m.word(atLast); at > beforeList; at -= entryBytes {
		if b := m.entry(at); uint64(b.offset) <= offset {
			if uint64(b.offset) < offset {
				return 0
			}
			return uint64(b.size)
		}
	}
	i, ok := m.find(offset)
	if !ok {
		return 0
	}
	return uint64(m.blocks[i].size)
}

// entry is one of the header's list.
func (m *Memory) entry(at uint64) block {
	entry := m.word(at)
	return block{uint32(entry), uint32(entry >> sizeShift)}
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
	want := headerBytes + m.word(atEnd) + need
	if want <= m.Size() {
		return m.push(size, need), 0, nil
	}
	m.absorb()
	work = len(m.blocks) * entryBytes
	if offset, ok := m.reuse(size, need); ok {
		return offset, work, nil
	}
	if !m.grow(want, limit) {
		return 0, work, exhausted(size, limit)
	}
	return m.push(size, need), work, nil
}

func exhausted(size, limit uint64) error {
	return fmt.Errorf("%w: there is no room for %d more bytes within %d", ErrExhausted, size, limit)
}

// push puts a block behind all others, where there is room for it.
func (m *Memory) push(size, need uint64) (offset uint64) {
	if m.word(atLast) == lastOfList {
		m.absorb()
	}
	offset = m.word(atEnd)
	at := m.word(atLast) + entryBytes
	m.setWord(at, offset|size<<sizeShift)
	m.setWord(atLast, at)
	m.setWord(atEnd, offset+need)
	return offset
}

// absorb moves the blocks of the header's list to the other one.
func (m *Memory) absorb() {
	last := m.word(atLast)
	for at := uint64(beforeList + entryBytes); at <= last; at += entryBytes {
		m.blocks = append(m.blocks, m.entry(at))
	}
	m.setWord(atLast, beforeList)
}

// Free gives a block back. It does nothing if there is none at the offset, so
// that the guest may free what its host has freed already. The last block that is
// left is never a free one.
func (m *Memory) Free(offset uint64) {
	last := m.word(atLast)
	isLast := uint64(m.entry(last).offset) == offset
	if offset == 0 || !isLast && m.Length(offset) == 0 {
		return
	}
	if offset == m.word(atInputOffset) {
		m.setWord(atInputLength, 0)
	}
	if isLast {
		m.setWord(atLast, last-entryBytes)
		m.cut(offset)
		return
	}
	m.absorb()
	i, _ := m.find(offset)
	m.blocks[i].size = 0
	for n := len(m.blocks); n > 0 && m.blocks[n-1].size == 0; n-- {
		m.cut(uint64(m.blocks[n-1].offset))
		m.blocks = m.blocks[:n-1]
	}
}

// cut lowers the end.
func (m *Memory) cut(end uint64) {
	m.dirty = max(m.dirty, m.word(atEnd))
	m.setWord(atEnd, end)
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
	return m.word(atEnd) - uint64(m.blocks[i].offset)
}

// grow makes the memory hold want bytes, and some more if the limit allows it.
func (m *Memory) grow(want, limit uint64) bool {
	limit = limit / pageBytes * pageBytes
	if want > limit {
		return false
	}
	want = min(max(want, 2*m.Size()), limit)
	pages := (want - m.Size() + pageBytes - 1) / pageBytes
	_, ok := m.mod.ExportedMemory(memoryName).Grow(uint32(pages))
	return ok
}

// find is the index of the block at an offset that is not free, if it is not in
// the header's list.
func (m *Memory) find(offset uint64) (i int, ok bool) {
	i, ok = slices.BinarySearchFunc(m.blocks, offset, func(b block, at uint64) int {
		return cmp.Compare(uint64(b.offset), at)
	})
	return i, ok && m.blocks[i].size != 0
}

// Close frees the memory.
func (m *Memory) Close(ctx context.Context) error { return m.mod.Close(ctx) }
