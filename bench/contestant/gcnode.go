package contestant

import (
	"context"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/corebench"
)

const (
	// storeOverhead is about what an entry of the store needs beyond key and
	// value, and a little more, so that there is room for all.
	storeOverhead = 44
	// groupHotShare is the part of a group's bytes, one in so many, that is set
	// aside for copies of other members' values, which a node alone has not.
	groupHotShare = 8
)

// gcnodeGroup is a group on a node without peers, through Group.Get and Set.
func gcnodeGroup() Contestant {
	return Contestant{
		Name: "gcnode-group", Limit: Bytes, TTL: true, Overhead: storeOverhead,
		New: func(o Options) (*Cache, error) {
			size := o.MaxBytes
			if size == 0 {
				size = o.maxBytes(storeOverhead) * groupHotShare / (groupHotShare - 1)
			}
			node, err := gcnode.NewNode(gcnode.Config{})
			if err != nil {
				return nil, err
			}
			group, err := node.Group("bench", stringGetter(o.Origin), gcnode.GroupOptions{MaxBytes: size, TTL: lifetime(o.TTL)})
			if err != nil {
				return nil, err
			}
			ctx := context.Background()
			return &Cache{
				Load: func(key string) int {
					v, err := group.Get(ctx, key)
					if err != nil {
						return -1
					}
					return v.Len()
				},
				Set: func(key string) {
					it := gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(o.Origin.String(key))}
					if err := group.Set(ctx, key, it); err != nil {
						panic(err) //nolint:forbidigo // a benchmark's keys are not too long
					}
				},
				Len:   func() int { return group.Stats().Owned.Entries },
				Close: func() { _ = node.Close(ctx) },
			}, nil
		},
	}
}

// gcnodeStore is the memory of a group, without anything around it.
func gcnodeStore() Contestant {
	return Contestant{
		Name: "gcnode-store", Limit: Bytes, TTL: true, Overhead: storeOverhead,
		New: func(o Options) (*Cache, error) {
			s := corebench.New(o.maxBytes(storeOverhead))
			return &Cache{
				Load: func(key string) int {
					v, ok := s.Get(key)
					if !ok {
						v = o.Origin.String(key)
						s.Set(key, v, int64(o.TTL))
					}
					return len(v)
				},
				Set:   func(key string) { s.Set(key, o.Origin.String(key), int64(o.TTL)) },
				Len:   s.Len,
				Close: nothing,
			}, nil
		},
	}
}

// gcnodeCache is a cache of Go values in process, through Cache.Get.
func gcnodeCache() Contestant {
	return Contestant{
		Name: "gcnode-cache", Limit: Entries, TTL: true,
		New: func(o Options) (*Cache, error) {
			getter := gcnode.GetterFunc[string](func(_ context.Context, key string) (gcnode.Item[string], error) {
				return gcnode.Item[string]{Value: o.Origin.String(key)}, nil
			})
			c, err := gcnode.NewCache(getter, gcnode.CacheOptions[string]{MaxEntries: int64(o.Entries), TTL: lifetime(o.TTL)})
			if err != nil {
				return nil, err
			}
			ctx := context.Background()
			return &Cache{
				Load: func(key string) int {
					v, err := c.Get(ctx, key)
					if err != nil {
						return -1
					}
					return len(v)
				},
				Set: func(key string) {
					if err := c.Set(key, gcnode.Item[string]{Value: o.Origin.String(key)}); err != nil {
						panic(err) //nolint:forbidigo // a benchmark's keys are not too long
					}
				},
				Len:   func() int { return c.Stats().Entries },
				Close: nothing,
			}, nil
		},
	}
}

// lifetime is the life of entries; 0 is without end.
func lifetime(d time.Duration) gcnode.Lifetime {
	if d == 0 {
		return gcnode.Forever
	}
	return gcnode.For(d)
}

func stringGetter(origin Origin) gcnode.Getter[gcnode.Value] {
	return gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(origin.String(key))}, nil
	})
}
