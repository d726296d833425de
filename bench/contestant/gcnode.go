package contestant

import (
	"context"

	gcnode "github.com/gcnode/gcnode/core"
)

const (
	// groupOverhead is what an entry of a group counts beyond key and value.
	groupOverhead = 256
	// groupHotShare is the part of a group's bytes, one in so many, that is set
	// aside for copies of other members' values, which a node alone has not.
	groupHotShare = 8
)

// gcnodeGroup is a group on a node without peers, through Group.Get.
func gcnodeGroup() Contestant {
	return Contestant{
		Name: "gcnode-group", Limit: Bytes, TTL: true, Overhead: groupOverhead,
		New: func(o Options) (*Cache, error) {
			size := o.MaxBytes
			if size == 0 {
				size = o.maxBytes(groupOverhead) * groupHotShare / (groupHotShare - 1)
			}
			node, err := gcnode.NewNode(gcnode.Config{})
			if err != nil {
				return nil, err
			}
			opts := gcnode.GroupOptions{MaxBytes: size}
			if o.TTL > 0 {
				opts.TTL = gcnode.For(o.TTL)
			}
			group, err := node.Group("bench", stringGetter(o.Origin), opts)
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
				Len:   func() int { return group.Stats().Owned.Entries },
				Close: func() { _ = node.Close(ctx) },
			}, nil
		},
	}
}

func stringGetter(origin Origin) gcnode.Getter[gcnode.Value] {
	return gcnode.GetterFunc[gcnode.Value](func(_ context.Context, key string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(origin.String(key))}, nil
	})
}
