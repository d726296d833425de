package contestant

import (
	"context"
	"fmt"

	"github.com/golang/groupcache"
)

func groupcacheGroup() Contestant {
	return Contestant{Name: "golang-groupcache", Limit: Bytes, LRU: true, New: func(o Options) (*Cache, error) {
		ctx := context.Background()
		g := groupcache.NewGroup(freeName(), o.maxBytes(0), groupcache.GetterFunc(
			func(_ context.Context, key string, dest groupcache.Sink) error {
				return dest.SetString(o.Origin.String(key))
			},
		))
		return &Cache{
			Load: func(key string) int {
				var v groupcache.ByteView
				if err := g.Get(ctx, key, groupcache.ByteViewSink(&v)); err != nil {
					return -1
				}
				return v.Len()
			},
			Len:   func() int { return int(g.CacheStats(groupcache.MainCache).Items) },
			Close: nothing,
		}, nil
	}}
}

// freeName is a name for a group; the library allows each once in a process.
func freeName() string {
	for i := 0; ; i++ {
		if name := fmt.Sprintf("contestant-%d", i); groupcache.GetGroup(name) == nil {
			return name
		}
	}
}
