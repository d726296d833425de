package wasm

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gcnode/gcnode/getters/wasm/internal/kernel"
)

var errNoMemory = errors.New("the module does not export its memory as \"memory\"")

// maxNameShown bounds how much of a guest's names, in bytes, messages show.
const maxNameShown = 100

const (
	abiModule       = "gcnode1"
	abiFetch        = "fetch"
	abiFetchStart   = "fetch_start"
	abiYield        = "yield"
	abiStoreGet     = "kv_get"
	abiStoreSet     = "kv_set"
	exportMemory    = "memory"
	exportMarker    = "gcnode_abi_1"
	exportGet       = "gcnode_get"
	exportConfigure = "gcnode_configure"
	exportGetMany   = "gcnode_get_many"
	exportResume    = "gcnode_resume"
	exportCancel    = "gcnode_cancel"
	exportInit      = "_initialize"
	exportStart     = "_start"
	markerPrefix    = "gcnode_abi_"
)

// checkContract compares the shape of a module with the ABI and with what it
// was granted. The error names every import and export that is wrong, up to
// maxImportsShown of the former.
func checkContract(m *moduleShape, opts *Options) error {
	if m.isExtism() {
		return checkExtism(m, opts)
	}
	errs := []error{checkReactor(m)}
	offered := offeredFunctions()
	errs = append(errs, m.checkImports(func(imp moduleImport) error { return checkImport(imp, offered, opts) }))
	errs = append(errs, checkExports(m), checkMemory(m, 0, opts))
	if opts.Function != "" {
		errs = append(errs, fmt.Errorf("a function %q was asked for (Function, function in a node's configuration): "+
			"only modules for Extism have one, leave it out", printable(opts.Function, maxNameShown)))
	}
	return errors.Join(errs...)
}

// maxImportsShown bounds how many imports a message says something about.
const maxImportsShown = 20

// checkImports is what is wrong with the imports.
func (m *moduleShape) checkImports(check func(moduleImport) error) error {
	var wrong []error
	for _, imp := range m.imports {
		err := check(imp)
		switch {
		case err == nil:
		case len(wrong) == maxImportsShown:
			return errors.Join(append(wrong, errors.New("and further imports are wrong"))...)
		default:
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

// checkMemory compares the limit with what the module starts with, and with it
// Extism's kernel, if it has one.
func checkMemory(m *moduleShape, kernelBytes uint64, opts *Options) error {
	want := m.memoryPages * pageBytes
	if want+kernelBytes <= uint64(opts.MaxMemoryBytes) {
		return nil
	}
	beside := ""
	if kernelBytes > 0 {
		beside = fmt.Sprintf(", beside %d of Extism's kernel", kernelBytes)
	}
	return fmt.Errorf("the module starts with %d bytes of memory%s, the limit is %d: "+
		"raise it (MaxMemoryBytes, memory in a node's configuration) or shrink the module",
		want, beside, opts.MaxMemoryBytes)
}

func checkReactor(m *moduleShape) error {
	if _, ok := m.exports[exportStart]; ok {
		return errors.New("the module is a command (it exports _start): " + howToBuildReactor)
	}
	return nil
}

// offeredFunctions is everything that the host can serve, by module and name.
func offeredFunctions() map[string]map[string]hostFunction {
	offered := map[string]map[string]hostFunction{abiModule: {}, wasiModule: {}}
	for _, f := range abiFunctions() {
		offered[abiModule][f.name] = f
	}
	for _, f := range wasiFunctions() {
		offered[wasiModule][f.name] = f
	}
	return offered
}

func checkImport(imp moduleImport, offered map[string]map[string]hostFunction, opts *Options) error {
	shown := imp.shown()
	functions, ok := offered[imp.module]
	switch {
	case !ok:
		return fmt.Errorf("import %s: the host has no module %q, only %s and %s",
			shown, printable(imp.module, maxNameShown), abiModule, wasiModule)
	case imp.kind != externFunc:
		return fmt.Errorf("import %s is a %s: only functions can be imported", shown, imp.kind)
	}
	f, ok := functions[imp.name]
	switch {
	case !ok:
		return fmt.Errorf("import %s: there is no such function; was the module built for a newer host?", shown)
	case !f.sig.equal(imp.sig):
		return fmt.Errorf("import %s has the signature %s, want %s", shown, imp.sig, f.sig)
	case f.grant != nil && !f.grant(opts):
		return fmt.Errorf("import %s was not granted: %s", shown, f.missing)
	default:
		return nil
	}
}

func checkExports(m *moduleShape) error {
	var errs []error
	if e, ok := m.exports[exportMemory]; !ok || e.kind != externMemory {
		errs = append(errs, errNoMemory)
	}
	if _, ok := m.exports[exportMarker]; !ok {
		errs = append(errs, missingMarker(m))
	}
	wanted := []struct {
		name     string
		sig      signature
		required bool
	}{
		{exportMarker, signature{}, false}, // missingMarker has a better message
		{exportGet, signature{[]valueType{i32, i32}, []valueType{i32}}, true},
		{exportConfigure, signature{[]valueType{i32}, []valueType{i32}}, false},
		{exportResume, signature{[]valueType{i32, i32, i32}, []valueType{i32}}, m.waits()},
		{exportGetMany, signature{[]valueType{i32, i32, i32}, []valueType{i32}}, false},
		{exportCancel, signature{[]valueType{i32}, nil}, false},
		{exportInit, signature{}, false},
	}
	for _, w := range wanted {
		e, ok := m.exports[w.name]
		switch {
		case !ok && w.required:
			errs = append(errs, fmt.Errorf("the module does not export the function %s: %s", w.name, w.sig))
		case ok && e.kind != externFunc:
			errs = append(errs, fmt.Errorf("export %s is a %s, want a function", w.name, e.kind))
		case ok && !e.sig.equal(w.sig):
			errs = append(errs, fmt.Errorf("export %s has the signature %s, want %s", w.name, e.sig, w.sig))
		}
	}
	return errors.Join(errs...)
}

// missingMarker tells a module for another version of the ABI from a module
// that is no getter at all.
func missingMarker(m *moduleShape) error {
	for name := range m.exports {
		if version, ok := strings.CutPrefix(name, markerPrefix); ok {
			return fmt.Errorf("the module is made for version %q of the guest ABI, this host has version 1", printable(version, maxNameShown))
		}
	}
	return fmt.Errorf("the module does not export %s: it is not made for the guest ABI; nor is it for Extism, it imports nothing from %s", exportMarker, kernel.Name)
}
