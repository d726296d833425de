package groupcache

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A ByteView whose address is in a sink is on the heap, and nothing else of a hit
// is.
func TestAHitAllocatesAtMostOnce(t *testing.T) {
	alone := alone(t, 1<<20, newOrigin())
	pool := start(t, nil, t.Cleanup)
	pool.pool.Set(pool.url)
	require.NoError(t, pool.pool.Node().Joined(t.Context()))
	old := start(t, &HTTPPoolOptions{OldPeers: true}, t.Cleanup)
	old.pool.Set(old.url)
	slow, _, _ := amongSlow(0)
	for name, g := range map[string]*Group{
		"alone":              alone,
		"on a pool":          pool.newTestGroup(t, "g", newOrigin()),
		"with old peers":     old.newTestGroup(t, "g", newOrigin()),
		"a copy of a peer's": slow,
	} {
		for life, ends := range map[string]time.Time{"without end": {}, "with an end": time.Now().Add(time.Hour)} {
			t.Run(name+", "+life, func(t *testing.T) {
				key := "a key that is not very short, as a rule, and has a value " + life
				require.NoError(t, g.Set(t.Context(), key, []byte("value"), ends, true))
				loads := g.Stats.Loads.Get()
				allocs := testing.AllocsPerRun(100, func() {
					var v ByteView
					if err := g.Get(t.Context(), key, ByteViewSink(&v)); err != nil {
						t.Error(err)
					}
				})
				assert.LessOrEqual(t, allocs, 1.0)
				assert.Equal(t, loads, g.Stats.Loads.Get(), "it was no hit")
			})
		}
	}
}
