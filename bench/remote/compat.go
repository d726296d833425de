package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	groupcache "github.com/gcnode/gcnode/compat/mailgun"
)

// compatPool is a pool of the API of mailgun/groupcache v2, with native peers. The
// asking group has no room for anything, so that it asks each time.
func compatPool() Contestant {
	return Contestant{
		Name: "compat",
		serve: func(content Content) (*server, error) {
			values := content.values()
			var filled atomic.Bool
			group := groupcache.NewGroup(groupName, capacity(content), groupcache.GetterFunc(
				func(_ context.Context, key string, dest groupcache.Sink) error {
					value, ok := values[key]
					if !ok || filled.Load() {
						return fmt.Errorf("there is no key %q", key)
					}
					return dest.SetBytes(value, time.Time{})
				}))
			mux := http.NewServeMux()
			s, err := serveHTTP(mux)
			if err != nil {
				return nil, err
			}
			self := "http://" + s.addr // by which the asker knows it
			pool := groupcache.NewHTTPPoolOpts(self, nil)
			pool.Set(self)
			mux.Handle("/_groupcache/", pool)
			for _, want := range content.wants() {
				var v groupcache.ByteView
				if err := group.Get(context.Background(), want.Key, groupcache.ByteViewSink(&v)); err != nil {
					return nil, err
				}
			}
			filled.Store(true)
			return s, nil
		},
		dial: func(ctx context.Context, addr string) (*Client, error) {
			pool := groupcache.NewHTTPPoolOpts("http://asker", nil)
			pool.Set("http://" + addr)
			group := groupcache.NewGroup(groupName, 0, groupcache.GetterFunc(
				func(context.Context, string, groupcache.Sink) error { return errors.New("the peer did not answer") }))
			if err := joined(ctx, pool.Node()); err != nil {
				return nil, err
			}
			return &Client{
				Get: func(ctx context.Context, want Want) error {
					var v groupcache.ByteView
					if err := group.Get(ctx, want.Key, groupcache.ByteViewSink(&v)); err != nil {
						return err
					}
					return checkView(want, v)
				},
				Close: func() error { return pool.Close(context.Background()) },
			}, nil
		},
	}
}
