package wasm

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withProducers appends a section "producers" to a module.
func withProducers(module []byte, fields ...[]string) []byte {
	name := func(s string) []byte { return append([]byte{byte(len(s))}, s...) }
	body := append(name("producers"), byte(len(fields)))
	for _, f := range fields {
		body = append(body, name(f[0])...)
		body = append(body, byte(len(f)/2))
		for _, word := range f[1:] {
			body = append(body, name(word)...)
		}
	}
	return slices.Concat(module, []byte{0, byte(len(body))}, body)
}

func TestADescriptionTellsWhatAModuleIsAndNeeds(t *testing.T) {
	t.Parallel()
	module, err := os.ReadFile("wasmtest/testdata/c.wasm")
	require.NoError(t, err)
	d, err := Describe(withProducers(module, []string{"language", "C11", ""}, []string{"processed-by", "cc", "1", "ld", "2"}))
	require.NoError(t, err)
	require.NoError(t, d.Contract)
	require.NoError(t, d.Fuel)
	assert.True(t, d.Fetches)
	assert.True(t, d.Stores)
	assert.True(t, d.Waits)
	assert.Positive(t, d.MemoryBytes)
	assert.Contains(t, d.Imports, Extern{abiModule, "respond", "function", "(i32, i32, i32, i64, i32, i32) -> (i32)"})
	assert.Contains(t, d.Exports, Extern{"", "gcnode_get", "function", "(i32, i32) -> (i32)"})
	assert.Contains(t, d.Exports, Extern{"", "memory", "memory", ""})
	assert.Equal(t, []Producer{{"language", "C11", ""}, {"processed-by", "cc", "1"}, {"processed-by", "ld", "2"}}, d.Producers[len(d.Producers)-3:])

	d, err = Describe(newAssembler().getter(0x41, 0).bytes())
	require.NoError(t, err)
	assert.False(t, d.Fetches || d.Stores || d.Waits || d.Batches)
	assert.Empty(t, d.Imports)
	assert.Empty(t, d.Producers)
}

func TestADescriptionSaysWhyNoNodeRunsAModule(t *testing.T) {
	t.Parallel()
	d, err := Describe([]byte("\x00asm\x01\x00\x00\x00"))
	require.NoError(t, err)
	require.ErrorContains(t, d.Contract, "gcnode_abi_1")

	_, err = Describe([]byte("\x00asm\x0d\x00\x01\x00"))
	require.ErrorContains(t, err, "component")
	_, err = Describe([]byte("text"))
	require.ErrorContains(t, err, "not a WebAssembly module")

	shared := newAssembler().getter(0x41, 0)
	shared.importFunction("gcnode_fuel", "tick", nil, []valueType{i64})
	d, err = Describe(shared.bytes())
	require.NoError(t, err)
	require.Error(t, d.Fuel)
	require.Error(t, d.Contract)
}

func TestProducersThatAreMalformedTellNothing(t *testing.T) {
	t.Parallel()
	module := withProducers([]byte("\x00asm\x01\x00\x00\x00"), []string{"language", "C11", ""})
	require.Len(t, producersOf(module), 1)
	for cut := 10; cut < len(module); cut++ {
		broken := append([]byte{}, module[:cut]...)
		broken[9] = byte(cut - 10) // the section ends there
		assert.Empty(t, producersOf(broken))
	}
}

func TestOnlyTheModuleThatIsPinnedIsLoaded(t *testing.T) {
	t.Parallel()
	module := newAssembler().getter(0x41, 0).bytes()
	p := loadModule(t, module, Options{SHA256: strings.ToUpper(HashOf(module))})
	assert.EqualValues(t, pageBytes, p.Stats().Instances.MemoryBytes)

	_, err := Load(t.Context(), withProducers(module), Options{SHA256: HashOf(module)})
	require.ErrorContains(t, err, "the one that may run has "+HashOf(module))
	_, err = Load(t.Context(), []byte("not even a module"), Options{SHA256: HashOf(module)})
	require.ErrorContains(t, err, "the one that may run has "+HashOf(module))
	for _, pin := range []string{"12", strings.Repeat("g", 64), strings.Repeat("a", 66)} {
		_, err = Load(t.Context(), module, Options{SHA256: pin})
		require.ErrorContains(t, err, "option SHA256")
	}
}

// A guest that computes more has used more fuel, and with small slices the
// figure is exact.
func TestFuelIsCounted(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{FuelSlice: 1, Instances: 1})
	used := func(key string) uint64 {
		before := p.Stats().Fuel
		_, err := p.GetItem(t.Context(), key)
		require.NoError(t, err)
		return p.Stats().Fuel - before
	}
	used("echo:warm")
	small, large := used("echo:"+strings.Repeat("x", 10)), used("echo:"+strings.Repeat("x", 60_000))
	assert.Positive(t, small)
	assert.Greater(t, large, small+60_000/256)
	assert.Positive(t, p.Stats().Instances.MemoryBytes)
	require.NoError(t, p.Close(t.Context()))
	assert.Zero(t, p.Stats().Instances.MemoryBytes)
}
