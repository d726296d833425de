package wasm

import "github.com/tetratelabs/wazero/experimental"

// extismMemory is the memory of an Extism module, which shares its limit with that
// of the kernel beside it.
type extismMemory struct {
	instance *instance
	most     uint64
	bytes    []byte
}

var _ experimental.LinearMemory = (*extismMemory)(nil)

// newMemory is what the engine calls when it instantiates the module.
func (in *instance) newMemory(_, most uint64) experimental.LinearMemory {
	return &extismMemory{instance: in, most: most}
}

// Reallocate implements [experimental.LinearMemory]. The size that the module
// starts with was looked at before.
func (m *extismMemory) Reallocate(size uint64) []byte {
	started := m.bytes != nil
	if started && size+m.instance.extism.memory.Size() > uint64(m.instance.plugin.opts.MaxMemoryBytes) {
		return nil
	}
	if size <= uint64(cap(m.bytes)) && started {
		m.bytes = m.bytes[:size]
		return m.bytes
	}
	grown := make([]byte, size, min(max(size, 2*uint64(cap(m.bytes))), m.most))
	copy(grown, m.bytes)
	m.bytes = grown
	return m.bytes
}

// Free implements [experimental.LinearMemory].
func (m *extismMemory) Free() { m.bytes = nil }
