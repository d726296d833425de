package wasm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gcnode/gcnode/getters/wasm/internal/kernel"
)

// Modules that were written for Extism are getters too: the key is the input
// of a call, its output the value. See docs/extism.md.

const (
	// extismUser is where Extism has the functions that a host adds to it.
	extismUser = "extism:host/user"
	// extismBefore1 is what the kernel was called before Extism 1.0.
	extismBefore1   = "env"
	defaultFunction = "get"
	exportCtors     = "__wasm_call_ctors"
	exportHaskell   = "hs_init"
	// maxExportsShown is how many functions a message offers.
	maxExportsShown = 8
)

// isExtism reports whether the module was written for Extism: it imports
// something from the kernel, and does not say that it is made for the guest
// ABI.
func (m *moduleShape) isExtism() bool {
	if _, ok := m.exports[exportMarker]; ok {
		return false
	}
	return slices.ContainsFunc(m.imports, func(i moduleImport) bool { return i.module == kernel.Name })
}

// checkExtism compares the shape of a module with what there is for Extism
// modules. The error is like that of checkContract.
func checkExtism(m *moduleShape, opts *Options) error {
	offered := map[string]map[string]hostFunction{
		kernel.Name: functionsByName(extismFunctions()),
		extismUser:  functionsByName(extismUserFunctions()),
		wasiModule:  functionsByName(wasiFunctions()),
	}
	for _, f := range kernel.Functions() { // only their signatures matter here
		offered[kernel.Name][f.Name] = hostFunction{name: f.Name, sig: signature{f.Params, f.Results}}
	}
	errs := []error{m.checkImports(func(imp moduleImport) error { return checkExtismImport(imp, offered) })}
	if e, ok := m.exports[exportMemory]; !ok || e.kind != externMemory {
		errs = append(errs, errNoMemory)
	}
	errs = append(errs, checkExtismExports(m, opts.function()), checkMemory(m, kernel.StartBytes, opts))
	return errors.Join(errs...)
}

func functionsByName(functions []hostFunction) map[string]hostFunction {
	byName := make(map[string]hostFunction, len(functions))
	for _, f := range functions {
		byName[f.name] = f
	}
	return byName
}

func checkExtismImport(imp moduleImport, offered map[string]map[string]hostFunction) error {
	shown := imp.shown()
	functions, ok := offered[imp.module]
	f, known := functions[imp.name]
	switch {
	case imp.kind != externFunc:
		return fmt.Errorf("import %s is a %s: only functions can be imported", shown, imp.kind)
	case imp.module == extismBefore1:
		return fmt.Errorf("import %s: Extism before version 1 is not supported; build the module with a current PDK", shown)
	case !ok:
		return fmt.Errorf("import %s: other modules, and functions that an application adds to Extism under a name of its own, are not supported", shown)
	case !known && imp.module == extismUser:
		return fmt.Errorf("import %s: functions that an application adds to Extism are not supported; of this module there are %s",
			shown, strings.Join(slices.Sorted(maps.Keys(functions)), " and "))
	case !known && imp.module == kernel.Name:
		return fmt.Errorf("import %s: this function of Extism is not supported", shown)
	case !known:
		return fmt.Errorf("import %s: there is no such function", shown)
	case !f.sig.equal(imp.sig):
		return fmt.Errorf("import %s has the signature %s, want %s", shown, imp.sig, f.sig)
	default:
		return nil
	}
}

// extismResult is the signature of a function that answers a key.
func extismResult() signature { return signature{results: []valueType{i32}} }

// answersKeys accepts functions without a result too, which cannot say that
// they failed but by error_set or a trap.
func answersKeys(name string, e moduleExport) bool {
	if name == exportInit || name == exportStart || name == exportCtors || e.kind != externFunc {
		return false
	}
	return e.sig.equal(extismResult()) || e.sig.equal(signature{})
}

func checkExtismExports(m *moduleShape, function string) error {
	var errs []error
	switch e, ok := m.exports[function]; {
	case function == exportStart:
		errs = append(errs, errors.New("the function that answers keys cannot be _start, which runs once in the life of an instance: "+howToBuildReactor))
	case !ok:
		errs = append(errs, fmt.Errorf("the module exports no function %q%s", printable(function, maxNameShown), m.whatAnswersKeys()))
	case !answersKeys(function, e):
		errs = append(errs, fmt.Errorf("export %s is no function of the signature %s%s",
			printable(function, maxNameShown), extismResult(), m.whatAnswersKeys()))
	}
	for _, w := range []struct {
		name string
		sig  signature
	}{{exportInit, signature{}}, {exportCtors, signature{}}, {exportHaskell, signature{params: []valueType{i32, i32}}}} {
		if e, ok := m.exports[w.name]; ok && (e.kind != externFunc || !e.sig.equal(w.sig)) {
			errs = append(errs, fmt.Errorf("export %s must be a function of the signature %s", w.name, w.sig))
		}
	}
	return errors.Join(errs...)
}

// whatAnswersKeys is the advice which functions could answer keys.
func (m *moduleShape) whatAnswersKeys() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(m.exports)) {
		if answersKeys(name, m.exports[name]) && !strings.HasPrefix(name, "asyncify_") {
			names = append(names, printable(name, maxNameShown))
		}
	}
	_, command := m.exports[exportStart]
	switch {
	case len(names) == 0 && command:
		return ": it is a command, " + howToBuildReactor
	case len(names) == 0:
		return ", nor any other of the signature " + extismResult().String()
	}
	return ": say which one answers keys (Function, function in a node's configuration), it exports " +
		strings.Join(names[:min(len(names), maxExportsShown)], ", ")
}
