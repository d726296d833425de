package groupcache_test

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/gcnode/gcnode/compat/mailgun"

// TestTheAPIIsThatOfTheOldLibrary compares what is exported with the lists in
// testdata: nothing of the old API is missing, and what is new is on purpose.
func TestTheAPIIsThatOfTheOldLibrary(t *testing.T) {
	t.Parallel()
	want := append(lines(t, "testdata/api.txt"), lines(t, "testdata/more.txt")...)
	var have []string
	packages := load(t)
	for _, path := range []string{"", "/consistenthash", "/groupcachepb", "/lru", "/promexporter", "/singleflight"} {
		pkg, err := packages.Import(modulePath + path)
		require.NoError(t, err)
		for _, line := range exported(pkg) {
			// Generated messages have more methods, of the runtime's liking.
			if path != "/groupcachepb" || strings.Contains(line, "Request") || strings.Contains(line, "Response") {
				have = append(have, line)
			}
		}
	}
	have = slices.DeleteFunc(have, func(line string) bool { return strings.HasPrefix(line, "groupcachepb method ") })
	assert.Empty(t, without(want, have), "missing, or with another signature")
	assert.Empty(t, without(have, want), "not on the lists")
}

// without are the lines that others do not have.
func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(line string) bool { return slices.Contains(others, line) })
}

// lines are those of a file that say something.
func lines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(text)), "\n"), func(line string) bool { return strings.HasPrefix(line, "#") })
}

// load finds what the compiler has written for the packages of this module.
func load(t *testing.T) types.Importer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
}

// exported is a line for each exported name of a package, with its type, of which
// the names of parameters are no part.
func exported(pkg *types.Package) (list []string) {
	name := func(p *types.Package) string {
		if p == pkg {
			return ""
		}
		return p.Name()
	}
	add := func(kind, what string, of types.Type) {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", pkg.Name(), kind, what, types.TypeString(unnamed(of), name))))
	}
	for _, id := range pkg.Scope().Names() {
		switch o := pkg.Scope().Lookup(id).(type) {
		case *types.Const:
			if o.Exported() {
				add("const", id, o.Type())
			}
		case *types.Var:
			if o.Exported() {
				add("var", id, o.Type())
			}
		case *types.Func:
			if o.Exported() {
				add("func", id, o.Signature())
			}
		case *types.TypeName:
			if o.Exported() {
				list = append(list, members(pkg, o, add)...)
			}
		}
	}
	return list
}

// members are the lines of a type: one for itself, and those of its fields and
// methods.
func members(pkg *types.Package, o *types.TypeName, add func(kind, what string, of types.Type)) (list []string) {
	line := fmt.Sprintf("%s type %s ", pkg.Name(), o.Name())
	switch under := o.Type().Underlying().(type) {
	case *types.Struct:
		list = append(list, line+"struct")
		for f := range under.Fields() {
			if f.Exported() {
				add("field", o.Name()+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		list = append(list, line+"interface")
		for m := range under.Methods() {
			if m.Exported() {
				add("method", o.Name()+"."+m.Name(), m.Signature())
			}
		}
	default:
		add("type", o.Name(), under)
	}
	named, ok := o.Type().(*types.Named)
	if !ok {
		return list
	}
	for m := range named.Methods() {
		if !m.Exported() {
			continue
		}
		star := ""
		if _, pointer := m.Signature().Recv().Type().(*types.Pointer); pointer {
			star = "*"
		}
		add("method", star+o.Name()+"."+m.Name(), m.Signature())
	}
	return list
}

// unnamed is a type without the names of the parameters and results of functions.
func unnamed(of types.Type) types.Type {
	switch t := of.(type) {
	case *types.Signature:
		return types.NewSignatureType(nil, nil, nil, tuple(t.Params()), tuple(t.Results()), t.Variadic())
	default:
		return of
	}
}

func tuple(t *types.Tuple) *types.Tuple {
	var vars []*types.Var
	for v := range t.Variables() {
		vars = append(vars, types.NewParam(token.NoPos, nil, "", unnamed(v.Type())))
	}
	return types.NewTuple(vars...)
}
