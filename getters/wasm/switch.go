package wasm

import (
	"context"
	"errors"
	"sync/atomic"

	gcnode "github.com/gcnode/gcnode/core"
)

// Switch is a getter whose module can be exchanged while it answers: no request
// fails for it. The new module is loaded beside the old one, so that one which
// cannot be loaded changes nothing:
//
//	next, err := wasm.LoadFile(ctx, "users-2.wasm", opts)
//	if err != nil {
//		return err // the old one goes on
//	}
//	return users.Exchange(ctx, next)
//
// It is safe for concurrent use.
type Switch struct {
	current atomic.Pointer[Plugin]
}

// NewSwitch is a switch that begins with a plugin, which belongs to it.
func NewSwitch(p *Plugin) *Switch {
	s := &Switch{}
	s.current.Store(p)
	return s
}

// Plugin is the plugin that answers new requests.
func (s *Switch) Plugin() *Plugin { return s.current.Load() }

// Exchange has next, which belongs to the switch from now on, answer from now
// on, and closes the old plugin as [Plugin.Close] does: requests that it works
// on end in it, and those that ctx does not leave the time for begin again in
// the new one.
func (s *Switch) Exchange(ctx context.Context, next *Plugin) error {
	return s.current.Swap(next).Close(ctx)
}

// Close closes the plugin that answers. The switch is of no use any more.
func (s *Switch) Close(ctx context.Context) error { return s.Plugin().Close(ctx) }

// GetItem asks the module for the value of a key, as [Plugin.GetItem] does.
func (s *Switch) GetItem(ctx context.Context, key string) (gcnode.Item[gcnode.Value], error) {
	for {
		p := s.Plugin()
		item, err := p.GetItem(ctx, key)
		if !s.exchanged(p, err) {
			return item, err
		}
	}
}

// GetItems asks the module for the values of several keys, as
// [Plugin.GetItems] does.
func (s *Switch) GetItems(ctx context.Context, keys []string, yield func(i int, it gcnode.Item[gcnode.Value], err error)) error {
	places := make([]int, len(keys)) // of the keys that are asked for
	for i := range places {
		places[i] = i
	}
	for len(keys) > 0 {
		p := s.Plugin()
		var again []string
		var at []int
		err := p.GetItems(ctx, keys, func(i int, it gcnode.Item[gcnode.Value], err error) {
			if s.exchanged(p, err) {
				again, at = append(again, keys[i]), append(at, places[i])
				return
			}
			yield(places[i], it, err)
		})
		if err != nil {
			return err
		}
		keys, places = again, at
	}
	return nil
}

// exchanged reports whether a plugin refused a request, or stopped it, because
// another one has taken its place.
func (s *Switch) exchanged(p *Plugin, err error) bool {
	return errors.Is(err, gcnode.ErrDraining) && s.Plugin() != p
}
