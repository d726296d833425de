package groupcache

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func BenchmarkHit(b *testing.B) {
	for name, expire := range map[string]time.Time{"life=none": {}, "life=hour": time.Now().Add(time.Hour)} {
		b.Run(name, func(b *testing.B) {
			g := alone(b, 64<<20, newOrigin())
			require.NoError(b, g.Set(b.Context(), "key", []byte(strings.Repeat("x", 128)), expire, false))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					var v ByteView
					if err := g.Get(b.Context(), "key", ByteViewSink(&v)); err != nil || v.Len() != 128 {
						b.Error(err, v.Len())
					}
				}
			})
		})
	}
}
