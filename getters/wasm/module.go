package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// valueType is a type of WebAssembly in its binary form.
type valueType = byte

const (
	i32 valueType = 0x7f
	i64 valueType = 0x7e
)

// externKind says what an import or export is.
type externKind byte

const (
	externFunc   externKind = 0
	externTable  externKind = 1
	externMemory externKind = 2
	externGlobal externKind = 3
	externTag    externKind = 4
)

func (k externKind) String() string {
	names := [...]string{"function", "table", "memory", "global", "tag"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown kind"
}

// signature is the type of a function.
type signature struct {
	params, results []valueType
}

func (s signature) equal(o signature) bool {
	return slices.Equal(s.params, o.params) && slices.Equal(s.results, o.results)
}

// String is the signature in the notation of the ABI document.
func (s signature) String() string {
	return typeList(s.params) + " -> " + typeList(s.results)
}

func typeList(types []valueType) string {
	b := []byte{'('}
	for i, t := range types {
		if i > 0 {
			b = append(b, ", "...)
		}
		switch t {
		case i32:
			b = append(b, "i32"...)
		case i64:
			b = append(b, "i64"...)
		case 0x7d:
			b = append(b, "f32"...)
		case 0x7c:
			b = append(b, "f64"...)
		case 0x7b:
			b = append(b, "v128"...)
		default:
			b = append(b, "ref"...)
		}
	}
	return string(append(b, ')'))
}

// moduleImport is one import; sig is set for functions.
type moduleImport struct {
	module, name string
	kind         externKind
	sig          signature
}

// shown is the name of the import in messages.
func (i moduleImport) shown() string {
	return printable(i.module, maxNameShown) + "." + printable(i.name, maxNameShown)
}

// moduleExport is one export; sig is set for functions.
type moduleExport struct {
	kind externKind
	sig  signature
}

// moduleShape is what a module imports, exports and wants to start with: all
// that is needed to tell an author what is wrong before anything expensive
// happens. Whether the code is valid is for the compiler to say.
type moduleShape struct {
	imports     []moduleImport
	exports     map[string]moduleExport
	memoryPages uint64 // of the module's own memory, at the start
}

// importsFunction reports whether the module imports a function of the guest
// ABI.
func (m *moduleShape) importsFunction(name string) bool {
	return slices.ContainsFunc(m.imports, func(i moduleImport) bool { return i.module == abiModule && i.name == name })
}

// waits tells whether requests may be pending in an instance.
func (m *moduleShape) waits() bool {
	return m.importsFunction(abiFetchStart) || m.importsFunction(abiYield)
}

const (
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionMemory   = 5
	sectionExport   = 7
)

const howToBuildReactor = "build it as a reactor (Go: GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared; " +
	"Rust: crate-type = [\"cdylib\"]; C: clang -mexec-model=reactor)"

// inspect reads the shape of a module.
func inspect(module []byte) (*moduleShape, error) {
	if err := checkHeader(module); err != nil {
		return nil, err
	}
	p := &moduleParser{shape: &moduleShape{exports: map[string]moduleExport{}}}
	r := &byteReader{b: module[8:]}
	for len(r.b) > 0 {
		id := r.u8()
		body := r.take(r.u32())
		if r.err != nil {
			return nil, r.err
		}
		if err := p.section(id, &byteReader{b: body}); err != nil {
			return nil, err
		}
	}
	return p.shape, nil
}

// checkHeader tells core modules from what people load by mistake.
func checkHeader(module []byte) error {
	switch {
	case len(module) == 0:
		return errors.New("the module is empty")
	case bytes.HasPrefix(module, []byte("\x00asm\x0d\x00\x01\x00")):
		return errors.New("this is a component, not a core module: " +
			"build for a target without components (Rust: wasm32-wasip1 in place of wasm32-wasip2), and " + howToBuildReactor)
	case bytes.HasPrefix(bytes.TrimSpace(module), []byte("(module")):
		return errors.New("this is WebAssembly text: assemble it first (wat2wasm)")
	case !bytes.HasPrefix(module, []byte("\x00asm")):
		return errors.New("this is not a WebAssembly module: it does not begin with \\0asm")
	case len(module) < 8:
		return errTruncated
	case !bytes.HasPrefix(module, []byte("\x00asm\x01\x00\x00\x00")):
		return fmt.Errorf("this is WebAssembly of the unknown version %x: only version 1 is understood", module[4:8])
	default:
		return nil
	}
}

// moduleParser collects the shape section by section.
type moduleParser struct {
	shape *moduleShape
	types []signature
	funcs []signature // imported and defined, in the order of their indices
	last  byte        // the id of the last section that was not custom
}

func (p *moduleParser) section(id byte, r *byteReader) error {
	if id == 0 {
		return nil
	}
	if id <= sectionExport {
		if id <= p.last {
			return fmt.Errorf("the module is malformed: section %d is repeated or out of order", id)
		}
		p.last = id
	}
	var err error
	switch id {
	case sectionType:
		err = p.readTypes(r)
	case sectionImport:
		err = p.readImports(r)
	case sectionFunction:
		err = p.readFunctions(r)
	case sectionMemory:
		for range r.count() {
			p.shape.memoryPages += r.limits()
		}
	case sectionExport:
		err = p.readExports(r)
	default:
		return nil
	}
	if err = firstErr(err, r.err); err != nil {
		return fmt.Errorf("the module is malformed in section %d: %w", id, err)
	}
	return nil
}

// firstErr is the first error that is set.
func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *moduleParser) readTypes(r *byteReader) error {
	for range r.count() {
		if form := r.u8(); r.err == nil && form != 0x60 {
			return fmt.Errorf("type of the unknown form %#x", form)
		}
		params := r.take(r.u32())
		results := r.take(r.u32())
		p.types = append(p.types, signature{params, results})
	}
	return nil
}

func (p *moduleParser) readImports(r *byteReader) error {
	for range r.count() {
		imp := moduleImport{module: r.name(), name: r.name(), kind: externKind(r.u8())}
		switch imp.kind {
		case externFunc:
			sig, err := p.typeAt(r)
			if err != nil {
				return err
			}
			imp.sig = sig
			p.funcs = append(p.funcs, sig)
		case externTable:
			r.u8()
			r.limits()
		case externMemory:
			r.limits()
		case externGlobal:
			r.u8()
			r.u8()
		case externTag:
			r.u8()
			r.u32()
		default:
			return firstErr(r.err, fmt.Errorf("import of the unknown kind %#x", byte(imp.kind)))
		}
		if r.err != nil {
			return r.err
		}
		p.shape.imports = append(p.shape.imports, imp)
	}
	return nil
}

func (p *moduleParser) readFunctions(r *byteReader) error {
	for range r.count() {
		sig, err := p.typeAt(r)
		if err != nil {
			return err
		}
		p.funcs = append(p.funcs, sig)
	}
	return nil
}

func (p *moduleParser) readExports(r *byteReader) error {
	for range r.count() {
		name := r.name()
		exp := moduleExport{kind: externKind(r.u8())}
		index := r.u32()
		if r.err != nil {
			return r.err
		}
		if exp.kind == externFunc {
			if uint64(index) >= uint64(len(p.funcs)) {
				return fmt.Errorf("export %q: there is no function %d", printable(name, maxNameShown), index)
			}
			exp.sig = p.funcs[index]
		}
		if _, dup := p.shape.exports[name]; dup {
			return fmt.Errorf("export %q is there twice", printable(name, maxNameShown))
		}
		p.shape.exports[name] = exp
	}
	return nil
}

// typeAt reads the index of a function's type.
func (p *moduleParser) typeAt(r *byteReader) (signature, error) {
	index := r.u32()
	if r.err != nil {
		return signature{}, r.err
	}
	if uint64(index) >= uint64(len(p.types)) {
		return signature{}, fmt.Errorf("there is no type %d", index)
	}
	return p.types[index], nil
}
