package groupcache

import (
	"context"
	"errors"

	gcnode "github.com/gcnode/gcnode/core"
)

// Getter loads the value of a key.
//
// Get gives the value to dest and returns nil, or returns an error: an
// [ErrNotFound] if there is none. To return nil without a value is an error. Its
// context has the values of the context of who asked first (of another member:
// of the request, see [HTTPPoolOptions].Context), but neither its deadline nor
// its cancellation: the load belongs to all who wait for it, and ends after
// [gcnode.DefaultLoadTimeout] or when nobody waits any more. A panic is an error
// for everyone who waits.
type Getter interface {
	Get(ctx context.Context, key string, dest Sink) error
}

// GetterFunc is a function that is a [Getter].
type GetterFunc func(ctx context.Context, key string, dest Sink) error

// Get calls f.
func (f GetterFunc) Get(ctx context.Context, key string, dest Sink) error { return f(ctx, key, dest) }

var errNoValue = errors.New("groupcache: the getter has returned nil without giving a value to its sink")

// source is the getter of a group for the core.
type source struct{ g *Group }

// GetItem implements [gcnode.Getter].
func (s source) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	s.g.Stats.LoadsDeduped.Add(1)
	return s.load(ctx, key)
}

// load is GetItem for a load that has been counted.
func (s source) load(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	var got loaded
	err := s.g.getter.Get(ctx, key, sinkOf[*loaded]{&got})
	if err == nil && !got.some {
		err = errNoValue
	}
	if err != nil {
		s.g.Stats.LocalLoadErrs.Add(1)
		return gcnode.Item[gcnode.Value]{}, toCore(err)
	}
	s.g.Stats.LocalLoads.Add(1)
	return gcnode.Item[gcnode.Value]{Value: got.view.v, Keep: s.g.life(got.view.Expire())}, nil
}
