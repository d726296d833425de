package fuel

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// nameSection is the custom section that names functions.
const nameSection = "name"

// describesCode reports whether a custom section refers to places in the code,
// which are no longer where they were.
func describesCode(name string) bool {
	switch name {
	case "linking", "sourceMappingURL", "external_debug_info":
		return true
	default:
		return strings.HasPrefix(name, ".debug_") || strings.HasPrefix(name, "reloc.") ||
			strings.HasPrefix(name, "metadata.code.")
	}
}

// rewriteCustom returns nil for a section that must not stay.
func (in *injection) rewriteCustom(r *reader) ([]byte, error) {
	name := string(r.name())
	switch {
	case r.err != nil:
		return nil, r.err
	case name == nameSection:
		return in.rewriteNames(r)
	case describesCode(name):
		in.report.DroppedSections = append(in.report.DroppedSections, name)
		return nil, nil
	default:
		return r.data, nil
	}
}

// Subsections of the name section.
const (
	namesModule    = 0
	namesFunctions = 1
	namesLocals    = 2
	namesLabels    = 3
)

// rewriteNames gives the names of functions and of their locals the functions'
// new indices, adds the names of the injected functions, and drops the names
// of labels, of which there are more now.
func (in *injection) rewriteNames(r *reader) ([]byte, error) {
	if in.named {
		r.fail(ErrMalformed, "a second name section")
	}
	in.named = true
	out := appendBytes(nil, []byte(nameSection))
	functions := false
	for r.more() {
		id := r.byte()
		sub := r.sub(r.u32())
		var content []byte
		switch id {
		case namesModule:
			content = appendBytes(nil, cut(sub.name()))
		case namesFunctions:
			if functions {
				sub.fail(ErrMalformed, "function names are repeated")
			}
			functions = true
			content = in.rewriteFunctionNames(sub)
		case namesLocals:
			content = in.rewriteLocalNames(sub)
		case namesLabels:
			continue
		default:
			content = sub.bytes(uint32(sub.remaining()))
		}
		if r.err = sub.done(); r.err == nil {
			out = appendBytes(append(out, id), content)
		}
	}
	if !functions {
		out = appendBytes(append(out, namesFunctions), in.rewriteFunctionNames(nil))
	}
	return out, r.err
}

// functionName is an entry of the function names.
type functionName struct {
	index uint32
	name  []byte
}

// rewriteFunctionNames merges the module's names, if any, with those of the
// injected functions, in the order of their indices.
func (in *injection) rewriteFunctionNames(r *reader) []byte {
	names := []functionName{{index: in.helpers.tick, name: []byte(TickModule + "." + TickName)}}
	for _, h := range in.helpers.all() {
		names = append(names, functionName{index: in.helpers.index(h), name: []byte(h.String())})
	}
	if r != nil {
		n := in.entries(r, 2, "function names")
		for i := uint32(0); i < n && r.err == nil; i++ {
			f := in.spaces.shifted(in.spaces.function(r))
			names = append(names, functionName{index: f, name: cut(r.name())})
		}
	}
	slices.SortStableFunc(names, func(a, b functionName) int { return int(a.index) - int(b.index) })
	out := appendU32(nil, uint32(len(names)))
	for _, n := range names {
		out = appendBytes(appendU32(out, n.index), n.name)
	}
	return out
}

// maxNameBytes bounds a name: a stack trace has up to thirty of them.
const maxNameBytes = 256

// cut is the beginning of a name that is not longer than names may be.
func cut(name []byte) []byte {
	if len(name) <= maxNameBytes {
		return name
	}
	end := maxNameBytes
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end]
}

func (in *injection) rewriteLocalNames(r *reader) []byte {
	n := in.entries(r, 2, "functions with names of locals")
	out := appendU32(nil, n)
	for i := uint32(0); i < n && r.err == nil; i++ {
		out = appendU32(out, in.spaces.shifted(in.spaces.function(r)))
		locals := in.entries(r, 2, "names of locals")
		out = appendU32(out, locals)
		for j := uint32(0); j < locals && r.err == nil; j++ {
			out = appendU32(out, r.u32())
			out = appendBytes(out, cut(r.name()))
		}
	}
	return out
}

// ownNames returns a name section for a module that has none.
func (in *injection) ownNames() []byte {
	out := appendBytes(nil, []byte(nameSection))
	return appendBytes(append(out, namesFunctions), in.rewriteFunctionNames(nil))
}
