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
