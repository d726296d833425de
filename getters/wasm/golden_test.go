package wasm

import (
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goldenVectors are the messages in docs/plugin-abi.md, by name.
func goldenVectors(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("../../docs/plugin-abi.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Golden vectors\n")
	require.True(t, found)
	vectors := map[string][]byte{}
	for _, m := range regexp.MustCompile("(?s)\n([A-Z][a-z ]+): [^\n]*\n\n```\n(.*?)```").FindAllStringSubmatch(section, -1) {
		vectors[m[1]], err = hex.DecodeString(strings.Join(strings.Fields(m[2]), ""))
		require.NoError(t, err, m[1])
	}
	return vectors
}

func TestGoldenVectors(t *testing.T) {
	t.Parallel()
	vectors := goldenVectors(t)
	require.Len(t, vectors, 5)

	request, err := parseFetchRequest(vectors["Fetch request"])
	require.NoError(t, err)
	assert.Equal(t, &fetchRequest{
		method: "POST", url: "https://example.com/a?b",
		header: []headerField{{"Accept", "*/*"}, {"X-Empty", ""}},
		body:   []byte("body"), timeoutMillis: 1500, maxBodyBytes: 65536,
	}, request)

	answer := &fetchAnswer{status: 200, header: []headerField{{"Content-Type", "text/plain"}}, body: []byte("ok\n")}
	assert.Equal(t, answer.encode(), vectors["Fetch answer"])
	failed := &fetchAnswer{failure: fetchTimeout, body: []byte("too slow")}
	assert.Equal(t, failed.encode(), vectors["Failed fetch"])
	assert.Equal(t, encodeConfig(map[string]string{"ttl": "10m", "": "x", "empty": ""}), vectors["Configuration"])
	assert.Equal(t, encodeBatch([]string{"ann", "", "\xff\x00"}), vectors["Batch"])
}

// documented are the signatures in a section of docs/plugin-abi.md, by name.
func documented(t *testing.T, section string) map[string]signature {
	t.Helper()
	text, err := os.ReadFile("../../docs/plugin-abi.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	require.True(t, found)
	rest, _, _ = strings.Cut(rest, "\n## ")
	types := map[string]valueType{"i32": i32, "i64": i64}
	signatures := map[string]signature{}
	for _, m := range regexp.MustCompile("\n\\| `(\\w+)` \\| `\\((.*?)\\) -> (.*?)` \\|").FindAllStringSubmatch(rest, -1) {
		var s signature
		for _, param := range regexp.MustCompile(`\w+: (\w+)`).FindAllStringSubmatch(m[2], -1) {
			s.params = append(s.params, types[param[1]])
		}
		if m[3] != "()" {
			s.results = []valueType{types[m[3]]}
		}
		signatures[m[1]] = s
	}
	return signatures
}

func TestSignaturesAreThoseOfTheDocument(t *testing.T) {
	t.Parallel()
	imports := documented(t, "Imports")
	for _, f := range abiFunctions() {
		s, ok := imports[f.name]
		assert.True(t, ok, f.name)
		assert.Equal(t, f.sig.String(), s.String(), f.name)
	}
	assert.Len(t, imports, len(abiFunctions()))

	exports := documented(t, "Exports")
	assert.Len(t, exports, 7)
	shape := moduleShape{exports: map[string]moduleExport{exportMemory: {kind: externMemory}}}
	for name, s := range exports {
		shape.exports[name] = moduleExport{kind: externFunc, sig: s}
	}
	require.NoError(t, checkExports(&shape))
	for name, s := range exports {
		shape.exports[name] = moduleExport{kind: externFunc, sig: signature{params: append([]valueType{i64}, s.params...), results: s.results}}
		assert.ErrorContains(t, checkExports(&shape), name)
		shape.exports[name] = moduleExport{kind: externFunc, sig: s}
	}
}
