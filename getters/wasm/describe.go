package wasm

import (
	"fmt"
	"maps"
	"slices"
)

// Description is what can be told about a module without running any of it.
type Description struct {
	Bytes  int
	SHA256 string // as in [Options]
	// Imports are in the order of the module, Exports in that of their names.
	Imports []Extern
	Exports []Extern
	// Fetches and Stores say which grants the module needs: of
	// [Options].AllowFetch, and of [Options].StoreBytes.
	Fetches, Stores bool
	// Waits says that an instance serves other keys while it fetches, Batches
	// that it takes several keys at once.
	Waits, Batches bool
	// MemoryBytes is what an instance starts with.
	MemoryBytes uint64
	// Producers are the languages and tools that the module says it was made
	// with.
	Producers []Producer
	// Contract is why every node refuses the module, whatever it is granted;
	// nil: it is a getter.
	Contract error
	// Fuel is why the module cannot be given fuel, without which no node runs it
	// unless its operator chose [InterruptByEngine]; nil: it can.
	Fuel error
}

// Extern is an import or export of a module.
type Extern struct {
	Module string // empty for an export
	Name   string // as the module has it: any bytes
	Kind   string // function, table, memory, global or tag
	Type   string // of a function, such as (i32) -> (i32)
}

// Producer is a tool, language or SDK in the "producers" section of a module.
type Producer struct {
	Field   string // language, processed-by or sdk
	Name    string
	Version string // may be empty
}

// Describe reads a module. The error says that it is no core module at all;
// what makes it unfit for a getter is in the description.
func Describe(module []byte) (Description, error) {
	if err := checkSize(int64(len(module))); err != nil {
		return Description{}, fmt.Errorf("describe the module: %w", err)
	}
	shape, err := inspect(module)
	if err != nil {
		return Description{}, fmt.Errorf("describe the module: %w", err)
	}
	d := Description{
		Bytes:       len(module),
		SHA256:      HashOf(module),
		Fetches:     shape.importsFunction(abiFetch) || shape.importsFunction(abiFetchStart),
		Stores:      shape.importsFunction(abiStoreGet) || shape.importsFunction(abiStoreSet),
		Waits:       shape.importsFunction(abiFetchStart),
		MemoryBytes: shape.memoryPages * pageBytes,
		Producers:   producersOf(module),
	}
	_, d.Batches = shape.exports[exportGetMany]
	for _, imp := range shape.imports {
		d.Imports = append(d.Imports, externOf(imp.module, imp.name, imp.kind, imp.sig))
	}
	for _, name := range slices.Sorted(maps.Keys(shape.exports)) {
		d.Exports = append(d.Exports, externOf("", name, shape.exports[name].kind, shape.exports[name].sig))
	}
	d.Contract = checkContract(shape, &Options{
		AllowFetch: []string{"any"}, StoreBytes: 1, MaxMemoryBytes: maxAddressableBytes,
	})
	d.Fuel = whyNoFuel(module)
	return d, nil
}

func externOf(module, name string, kind externKind, sig signature) Extern {
	e := Extern{Module: module, Name: name, Kind: kind.String()}
	if kind == externFunc {
		e.Type = sig.String()
	}
	return e
}

// maxProducers bounds how much a module tells about where it comes from.
const maxProducers = 1 << 10

// producersOf reads the section "producers", which the tool conventions of
// WebAssembly describe: fields, each with names and versions. A section that is
// malformed tells nothing.
func producersOf(module []byte) []Producer {
	sections := &byteReader{b: module[8:]}
	for len(sections.b) > 0 {
		id := sections.u8()
		r := &byteReader{b: sections.take(sections.u32())}
		if id != 0 || r.name() != "producers" {
			continue
		}
		var all []Producer
		for range r.count() {
			field := r.name()
			for range r.count() {
				if len(all) == maxProducers {
					return all
				}
				all = append(all, Producer{Field: field, Name: r.name(), Version: r.name()})
			}
		}
		if r.err != nil {
			return nil
		}
		return all
	}
	return nil
}
