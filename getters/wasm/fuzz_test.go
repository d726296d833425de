package wasm

import (
	"slices"
	"testing"
)

// FuzzLoad loads whatever comes, and calls what can be loaded. Nothing may
// panic or outlive its deadline.
func FuzzLoad(f *testing.F) {
	f.Add(puppet())
	a, imports := newHostile()
	f.Add(a.getter(hostile(imports.respond, forever()...)...).bytes())
	f.Add(minimal().bytes())
	f.Add(newFetching().bytes())
	memory := minimal()
	memory.pages, memory.maxPages = 2, 3
	memory.start = int(memory.function("", nil, nil))
	memory.function(exportConfigure, []valueType{i32}, []valueType{i32}, constI32(0)...)
	f.Add(memory.bytes())
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, module []byte) { loadAnything(t, module) })
}

// FuzzInspect reads the shape of mutated modules.
func FuzzInspect(f *testing.F) {
	f.Add(minimal().bytes())
	a, _ := newHostile()
	f.Add(a.getter(constI32(0)...).bytes())
	f.Fuzz(func(t *testing.T, module []byte) {
		before := slices.Clone(module)
		shape, err := inspect(module)
		if (shape == nil) == (err == nil) {
			t.Fatalf("shape %v, error %v", shape, err)
		}
		if !slices.Equal(before, module) {
			t.Fatal("the module was changed")
		}
	})
}

// FuzzFetchMessage parses what guests hand over. A message that is accepted
// consists of its parts and nothing else.
func FuzzFetchMessage(f *testing.F) {
	f.Add(make([]byte, fetchRequestHead))
	f.Add(encodeFetch(&fetchRequest{method: "GET", url: "http://example.com/"}))
	f.Add(encodeFetch(&fetchRequest{
		method: "POST", url: "https://example.com/a?b", body: []byte("body"), timeoutMillis: 5, maxBodyBytes: 6,
		header: []headerField{{"Accept", "*/*"}, {"X", ""}},
	}))
	f.Fuzz(func(t *testing.T, msg []byte) {
		req, err := parseFetchRequest(msg)
		if err != nil {
			if req != nil {
				t.Fatal("a request beside an error")
			}
			return
		}
		if again := encodeFetch(req); !slices.Equal(again, msg) {
			t.Fatalf("%q was read as %q", msg, again)
		}
		if out, err := req.build(t.Context()); (out == nil) == (err == nil) {
			t.Fatalf("request %v, error %v", out, err)
		}
	})
}
