package godoctest_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/plugins/godoc/godoctest"
)

const text = `package p // import "a/p"

Package p has a comment that quotes

func Quoted()

CONSTANTS

const Lone = 1
    Lone is alone.

const (
	A, b = iota, iota
	_, C
	// Raw has lines like declarations.
	Raw = ` + "`" + `
func InRaw() {}
type InRaw int
` + "`" + `
)

VARIABLES

var V = map[string]int{
	"a": 1,
}

FUNCTIONS

func F[T interface{ ~int }](x struct {
	A int
}) (y T)
    F has a comment:

        func Example()

func unexported()

TYPES

type T[K comparable, V any] struct {
	Field K
	// Has unexported fields.
}
    T is generic.

const X T = 1

func New() *T

func (t *T[K, V]) M(x K) V

func (T) n()

type I interface{ Method() }

BUG: func Bug()
`

func TestExportedNames(t *testing.T) {
	names, err := godoctest.ExportedNames(text)
	require.NoError(t, err)
	want := []string{"A", "C", "F", "I", "Lone", "New", "Raw", "T", "T.M", "V", "X"}
	assert.Equal(t, want, slices.Sorted(maps.Keys(names)))

	names, err = godoctest.ExportedNames("package p\n\nNothing but a comment.\n")
	require.NoError(t, err)
	assert.Empty(t, names)

	_, err = godoctest.ExportedNames("package p\n\nTYPES\n\ntype 1 int\n")
	require.ErrorContains(t, err, "type 1 int")
}

func TestHTMLNames(t *testing.T) {
	names := godoctest.HTMLNames(`<h3 id="T">T</h3><a id="A"></a><a href="#B">B</a>`)
	assert.Equal(t, map[string]bool{"T": true, "A": true}, names)
}

func TestCompare(t *testing.T) {
	a, b := map[string]bool{"A": true, "B": true}, map[string]bool{"B": true, "C": true}
	require.NoError(t, godoctest.Compare(a, a))
	err := godoctest.Compare(a, b)
	require.ErrorIs(t, err, godoctest.ErrDifferent)
	assert.EqualError(t, err, "exported names differ: missing [A], too many [C]")
}

func TestToolchainThatFails(t *testing.T) {
	_, err := godoctest.Toolchain{}.Doc(t.Context(), "no/such/package")
	require.ErrorContains(t, err, "no/such/package")
}
