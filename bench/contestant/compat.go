package contestant

import (
	"context"
	"fmt"
	"time"

	groupcache "github.com/gcnode/gcnode/compat/mailgun"
)

// compatGroup is a group through the API of mailgun/groupcache v2, read into a
// ByteViewSink.
func compatGroup() Contestant {
	return Contestant{
		Name: "compat", Limit: Bytes, TTL: true, Overhead: storeOverhead, Front: true,
		New: func(o Options) (*Cache, error) {
			size := o.MaxBytes
			if size == 0 {
				size = o.maxBytes(storeOverhead) * groupHotShare / (groupHotShare - 1)
			}
			ends := func() time.Time {
				if o.TTL == 0 {
					return time.Time{}
				}
				return time.Now().Add(o.TTL)
			}
			ctx := context.Background()
			g := groupcache.NewGroup(freeCompatName(), size, groupcache.GetterFunc(
				func(_ context.Context, key string, dest groupcache.Sink) error {
					return dest.SetString(o.Origin.String(key), ends())
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
				Set: func(key string) {
					if err := g.Set(ctx, key, o.Origin.Bytes(key), ends(), false); err != nil {
						panic(err) //nolint:forbidigo // a benchmark's keys are not too long
					}
				},
				Len:   func() int { return int(g.CacheStats(groupcache.MainCache).Items) },
				Close: func() { groupcache.DeregisterGroup(g.Name()) },
			}, nil
		},
	}
}

// freeCompatName is freeName for that library.
func freeCompatName() string {
	for i := 0; ; i++ {
		if name := fmt.Sprintf("contestant-%d", i); groupcache.GetGroup(name) == nil {
			return name
		}
	}
}
