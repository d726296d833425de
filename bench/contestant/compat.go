package contestant

import (
	"context"
	"fmt"
	"time"

	compat "github.com/gcnode/gcnode/compat/mailgun"
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
			g := compat.NewGroup(freeCompatName(), size, compat.GetterFunc(
				func(_ context.Context, key string, dest compat.Sink) error {
					return dest.SetString(o.Origin.String(key), ends())
				},
			))
			return &Cache{
				Load: func(key string) int {
					var v compat.ByteView
					if err := g.Get(ctx, key, compat.ByteViewSink(&v)); err != nil {
						return -1
					}
					return v.Len()
				},
				Set: func(key string) {
					if err := g.Set(ctx, key, o.Origin.Bytes(key), ends(), false); err != nil {
						panic(err) //nolint:forbidigo // a benchmark's keys are not too long
					}
				},
				Len:   func() int { return int(g.CacheStats(compat.MainCache).Items) },
				Close: func() { compat.DeregisterGroup(g.Name()) },
			}, nil
		},
	}
}

// freeCompatName is freeName for that library.
func freeCompatName() string {
	for i := 0; ; i++ {
		if name := fmt.Sprintf("contestant-%d", i); compat.GetGroup(name) == nil {
			return name
		}
	}
}
