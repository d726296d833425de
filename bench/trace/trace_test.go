package trace_test

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/bench/trace"
)

func TestReadDir(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "shop.gz"))
	require.NoError(t, err)
	z := gzip.NewWriter(f)
	_, err = z.Write([]byte("17\n-4\n17\nx\n"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())

	traces, err := trace.ReadDir(dir)
	require.NoError(t, err)
	assert.Equal(t, []*trace.Trace{{Name: "shop", Requests: []uint32{0, 1, 0, 2}, Distinct: 3}}, traces)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "torn.gz"), []byte("no gzip"), 0o600))
	_, err = trace.ReadDir(dir)
	require.ErrorContains(t, err, "torn.gz")
}

func TestZipf(t *testing.T) {
	const n = 200_000
	count := make([]int, 1000)
	for _, k := range trace.Zipf(1, 1000, n) {
		count[k]++
	}
	// The sum of 1/k up to 1,000 is 7.485.
	assert.InDelta(t, n/7.485, count[0], 0.03*n/7.485)
	assert.InDelta(t, n/7.485/10, count[9], 0.1*n/7.485/10)
}

func TestSynthetic(t *testing.T) {
	names := map[string]bool{}
	for i, a := range trace.Synthetic() {
		b := trace.Synthetic()[i]
		assert.Equal(t, a, b, "the same in every run")
		names[a.Name] = true
		seen := map[uint32]bool{}
		for _, key := range a.Requests {
			seen[key] = true
		}
		assert.Len(t, seen, a.Distinct)
	}
	assert.Len(t, names, 4)
}
