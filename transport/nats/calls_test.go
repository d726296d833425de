package natstransport

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Calls of any age are found, whatever is begun and removed meanwhile.
func TestCallsAreFoundByNumber(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	var cs calls
	under := map[uint64]*call{}
	ending := map[uint64][]*call{} // by the number of the call after which they end
	outlived := 0
	for id := range uint64(20 * recentCalls) {
		c := &call{id: id}
		cs.add(c)
		under[id] = c
		end := id + random.Uint64N(recentCalls)
		if random.IntN(100) == 0 {
			end += random.Uint64N(10 * recentCalls)
		}
		ending[end] = append(ending[end], c)
		for _, gone := range ending[id] {
			delete(under, gone.id)
			require.Same(t, gone, cs.find(gone.id))
			cs.remove(gone)
			cs.remove(gone) // does nothing
			require.Nil(t, cs.find(gone.id))
		}
		outlived = max(outlived, len(cs.older))
		require.Equal(t, len(under), cs.n)
	}
	require.Positive(t, outlived)
	for id, c := range under {
		require.Same(t, c, cs.find(id))
	}
	for c := range cs.all() {
		require.Same(t, under[c.id], c)
		delete(under, c.id)
		cs.remove(c)
	}
	require.Empty(t, under)
	require.Zero(t, cs.n)
}
