package groupcache

import (
	"context"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// native is a group on a node: that of the pool, or one without peers.
type native struct {
	node *gcnode.Node
	core *gcnode.Group
}

// newNative puts the group on a node.
func newNative(node *gcnode.Node, g *Group) (native, error) {
	core, err := node.Group(coreName(g.name), source{g}, g.options(g.bytes))
	return native{node, core}, err
}

func (n native) cached(key string) (v gcnode.Value, ends time.Time, source gcnode.Source) {
	return n.core.Cached(key)
}

func (n native) remote(key string) bool {
	owner := n.node.Owner(key).ID
	return owner != "" && owner != n.node.Self().ID
}

func (n native) get(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	return n.core.GetItem(ctx, key)
}

func (n native) set(ctx context.Context, key string, it gcnode.Item[gcnode.Value]) error {
	return n.core.Set(ctx, key, it)
}

func (n native) remove(ctx context.Context, key string) error { return n.core.Remove(ctx, key) }

func (n native) stats() gcnode.GroupStats { return n.core.Stats() }

func (n native) drop() { n.node.DropGroup(n.core.Name()) }
