package wasm

import (
	"slices"

	"github.com/tetratelabs/wazero/experimental"
)

// copiedAtOnce bounds for how long the rest of the process may have to wait: a
// goroutine that copies cannot be preempted.
const copiedAtOnce = 1 << 20

// linearMemory is the memory of a guest. Unlike what the engine makes of a slice
// that it appends to, it never takes more than its limit, which an Extism module
// shares with the kernel beside it.
type linearMemory struct {
	instance *instance
	most     uint64
	bytes    []byte
}

var _ experimental.LinearMemory = (*linearMemory)(nil)

// newMemory is what the engine calls when it instantiates the module.
func (in *instance) newMemory(_, most uint64) experimental.LinearMemory {
	in.memory = &linearMemory{instance: in, most: most}
	return in.memory
}

// Reallocate implements [experimental.LinearMemory]. The size that the module
// starts with was looked at before.
func (m *linearMemory) Reallocate(size uint64) []byte {
	started := m.bytes != nil
	if kernel := m.instance.extism; started && kernel != nil && size+kernel.memory.Size() > uint64(m.instance.plugin.opts.MaxMemoryBytes) {
		return nil
	}
	if started && size <= uint64(cap(m.bytes)) {
		m.bytes = m.bytes[:size]
		return m.bytes
	}
	grown := make([]byte, size, min(max(size, 2*uint64(cap(m.bytes))), m.most))
	at := 0
	for part := range slices.Chunk(m.bytes, copiedAtOnce) {
		at += copy(grown[at:], part)
	}
	m.bytes = grown
	return m.bytes
}

// Free implements [experimental.LinearMemory].
func (m *linearMemory) Free() { m.bytes = nil }
