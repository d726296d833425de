package natstransport

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzToken expects each ID to have a token of its own, which is one to NATS.
func FuzzToken(f *testing.F) {
	f.Add("a", "A")
	f.Add("=41", "A")
	f.Add("a.b", "a b")
	f.Add("\x00*>", "\xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		require.Equal(t, a == b, token(a) == token(b))
		require.NotContains(t, token(a), ".")
		require.False(t, strings.ContainsAny(token(a), "*> \t\r\n\x00"))
	})
}

func TestClusterNames(t *testing.T) {
	names, err := newSubjects("")
	require.NoError(t, err)
	require.Equal(t, "gcnode.default.node.n1", names.node("n1"))
	require.Equal(t, DefaultCluster, names.cluster())
	for _, bad := range []string{"a.b", "*", ">", " ", "ü", strings.Repeat("c", maxClusterBytes+1)} {
		_, err := newSubjects(bad)
		require.ErrorContains(t, err, "letters, digits", "cluster %q", bad)
	}
}

func TestOpeningSubjects(t *testing.T) {
	names, err := newSubjects("shop")
	require.NoError(t, err)
	subject, err := names.opening("n1", "X7")
	require.NoError(t, err)
	require.Equal(t, "gcnode.shop.at.X7.open", subject)
	subject, err = names.opening("n 1", "")
	require.NoError(t, err)
	require.Equal(t, "gcnode.shop.node.n=201", subject)
	_, err = names.opening("n1", "http://10.0.0.1:7001/")
	require.ErrorContains(t, err, "http://10.0.0.1:7001/")
	_, err = names.opening("", "")
	require.Error(t, err)
}

func TestStreamNumbers(t *testing.T) {
	for _, n := range []uint64{0, 1, 35, 36, 1<<64 - 1} {
		got, ok := streamNumber("gcnode.c.at.x." + streamToken(n))
		require.True(t, ok)
		require.Equal(t, n, got)
	}
	_, ok := streamNumber("gcnode.c.at.x.open?")
	require.False(t, ok)
}
