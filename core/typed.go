package gcnode

import (
	"context"
	"fmt"
	"iter"
)

// Typed is a view on a [Group] whose values have a Go type. There may be any
// number of views on one group, also of different types. A view is a [Getter].
// Its methods may be called from any goroutine.
//
// A value is decoded for each call that returns it. One that the codec does
// not understand is an [*Error] of [KindPermanent] that names group and key,
// with the codec's error in its chain. It stays in the cache: asking again
// brings the same error until it expires or is removed. [Typed.GetItem] and
// [Typed.Lookup] tell everything but the value also beside that error.
type Typed[V any] struct {
	group *Group
	codec Codec[V]
}

// Of makes a group on the node, as [Node.Group] does, with a getter of typed
// values, and returns a view on it. A value that the codec cannot encode is a
// failed load of [KindPermanent].
func Of[V any](n *Node, name string, codec Codec[V], getter Getter[V], opts GroupOptions) (*Typed[V], error) {
	if codec == nil {
		return nil, noCodec(name)
	}
	var encoded Getter[Value] // nil without a getter, which the group reports
	if getter != nil {
		encoded = encodingGetter[V]{getter, codec}
		if batch, ok := getter.(BatchGetter[V]); ok {
			encoded = encodingBatchGetter[V]{encodingGetter[V]{getter, codec}, batch}
		}
	}
	g, err := n.Group(name, encoded, opts)
	if err != nil {
		return nil, err
	}
	return As(g, codec)
}

// As makes a view on an existing group.
func As[V any](g *Group, codec Codec[V]) (*Typed[V], error) {
	if codec == nil {
		return nil, noCodec(g.name)
	}
	return &Typed[V]{group: g, codec: codec}, nil
}

func noCodec(group string) error {
	return fmt.Errorf("group %q: there is no codec", group)
}

// encodingGetter is the getter of a group whose values are loaded with a type.
type encodingGetter[V any] struct {
	getter Getter[V]
	codec  Codec[V]
}

// GetItem implements [Getter].
func (e encodingGetter[V]) GetItem(ctx context.Context, key string) (Item[Value], error) {
	return e.encode(e.getter.GetItem(ctx, key))
}

func (e encodingGetter[V]) encode(it Item[V], err error) (Item[Value], error) {
	if err != nil {
		return Item[Value]{Keep: it.Keep}, err
	}
	v, err := encode(e.codec, it.Value)
	if err != nil {
		return Item[Value]{}, &Error{Kind: KindPermanent, Err: fmt.Errorf("encode the getter's value: %w", err)}
	}
	return Item[Value]{Value: v, Keep: it.Keep}, nil
}

// encodingBatchGetter is encodingGetter for one that can load several keys.
type encodingBatchGetter[V any] struct {
	encodingGetter[V]
	batch BatchGetter[V]
}

// GetItems implements [BatchGetter].
func (e encodingBatchGetter[V]) GetItems(ctx context.Context, keys []string, yield func(int, Item[Value], error)) error {
	return e.batch.GetItems(ctx, keys, func(i int, it Item[V], err error) {
		encoded, err := e.encode(it, err)
		yield(i, encoded, err)
	})
}

// Group is the group below, with the values as they are stored.
func (t *Typed[V]) Group() *Group { return t.group }

// Name is the group's name.
func (t *Typed[V]) Name() string { return t.group.Name() }

// Owner is the member that owns the key; the zero Peer when the list is empty.
func (t *Typed[V]) Owner(key string) Peer { return t.group.Owner(key) }

// Stats returns the figures of the group on this node, which all views share.
func (t *Typed[V]) Stats() GroupStats { return t.group.Stats() }

// Get is [Group.Get] with the value decoded.
func (t *Typed[V]) Get(ctx context.Context, key string) (V, error) {
	v, err := t.group.Get(ctx, key)
	if err != nil {
		var none V
		return none, err
	}
	return t.decode(key, v)
}

// GetItem is [Group.GetItem] with the value decoded.
func (t *Typed[V]) GetItem(ctx context.Context, key string) (Item[V], error) {
	it, err := t.group.GetItem(ctx, key)
	if err != nil {
		return Item[V]{Keep: it.Keep}, err
	}
	v, err := t.decode(key, it.Value)
	return Item[V]{Value: v, Keep: it.Keep}, err
}

// Lookup is [Group.Lookup] with the value decoded.
func (t *Typed[V]) Lookup(ctx context.Context, key string) (Answer[V], error) {
	a, err := t.group.Lookup(ctx, key)
	found := Answer[V]{Item: Item[V]{Keep: a.Keep}, Source: a.Source, Owner: a.Owner}
	if err != nil {
		return found, err
	}
	found.Value, err = t.decode(key, a.Value)
	return found, err
}

// Stream is [Group.Stream] with the values decoded.
func (t *Typed[V]) Stream(ctx context.Context, keys []string) iter.Seq2[Result[V], error] {
	return func(yield func(Result[V], error) bool) {
		for r, err := range t.group.Stream(ctx, keys) {
			out := Result[V]{Index: r.Index, Key: r.Key, Item: Item[V]{Keep: r.Keep}}
			if err == nil {
				out.Value, err = t.decode(r.Key, r.Value)
			}
			if !yield(out, err) {
				return
			}
		}
	}
}

// GetMany is [Group.GetMany] with the values decoded.
func (t *Typed[V]) GetMany(ctx context.Context, keys []string) (map[string]V, error) {
	return collect(ctx, len(keys), t.Stream(ctx, keys))
}

// GetItems implements [BatchGetter]: it yields what [Typed.Stream] yields.
func (t *Typed[V]) GetItems(ctx context.Context, keys []string, yield func(i int, it Item[V], err error)) error {
	for r, err := range t.Stream(ctx, keys) {
		yield(r.Index, r.Item, err)
	}
	return nil
}

// Set is [Group.Set] with a value that the codec encodes. One that it cannot
// encode is an [*Error] of [KindPermanent], and nothing has happened.
func (t *Typed[V]) Set(ctx context.Context, key string, it Item[V]) error {
	v, err := encode(t.codec, it.Value)
	if err != nil {
		return &Error{Kind: KindPermanent, Op: OpSet, Group: t.group.name, Key: key, Err: fmt.Errorf("encode the value: %w", err)}
	}
	return t.group.Set(ctx, key, Item[Value]{Value: v, Keep: it.Keep})
}

// Clear is [Group.Clear].
func (t *Typed[V]) Clear(ctx context.Context) error { return t.group.Clear(ctx) }

// Remove is [Group.Remove].
func (t *Typed[V]) Remove(ctx context.Context, keys ...string) error {
	return t.group.Remove(ctx, keys...)
}

// decode is the value of the key, or the zero value and an error.
func (t *Typed[V]) decode(key string, v Value) (V, error) {
	out, err := t.codec.Decode(v)
	if err != nil {
		var none V
		return none, &Error{Kind: KindPermanent, Group: t.group.name, Key: key, Err: fmt.Errorf("decode the value: %w", err)}
	}
	return out, nil
}
