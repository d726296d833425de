package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/golang/groupcache"
)

// groupcachePool is golang/groupcache over HTTP. The asking group has no room
// for anything, so that it asks each time.
func groupcachePool() Contestant {
	return Contestant{
		Name: "golang-groupcache",
		serve: func(content Content) (*server, error) {
			values, filled := content.values(), false
			group := groupcache.NewGroup(groupName, capacity(content), groupcache.GetterFunc(
				func(_ context.Context, key string, dest groupcache.Sink) error {
					value, ok := values[key]
					if !ok || filled {
						return fmt.Errorf("there is no key %q", key)
					}
					return dest.SetBytes(value)
				}))
			for _, want := range content.wants() {
				var v groupcache.ByteView
				if err := group.Get(context.Background(), want.Key, groupcache.ByteViewSink(&v)); err != nil {
					return nil, err
				}
			}
			filled = true // before there is anybody who asks
			return serveHTTP(groupcache.NewHTTPPoolOpts("http://owner", nil))
		},
		dial: func(_ context.Context, addr string) (*Client, error) {
			transport := newTransport()
			pool := groupcache.NewHTTPPoolOpts("http://asker", nil)
			pool.Transport = func(context.Context) http.RoundTripper { return transport }
			pool.Set("http://" + addr)
			group := groupcache.NewGroup(groupName, 0, groupcache.GetterFunc(
				func(context.Context, string, groupcache.Sink) error { return errors.New("the peer did not answer") }))
			return &Client{
				Get: func(ctx context.Context, want Want) error {
					var v groupcache.ByteView
					if err := group.Get(ctx, want.Key, groupcache.ByteViewSink(&v)); err != nil {
						return err
					}
					return checkView(want, v)
				},
				Close: func() error { transport.CloseIdleConnections(); return nil },
			}, nil
		},
	}
}

// byteView is a value of groupcache, or of what has the same API.
type byteView interface {
	Len() int
	Copy(dst []byte) int
	ByteSlice() []byte
}

// checkView is check without a copy of the value, unless all of it is compared.
func checkView(w Want, v byteView) error {
	if w.Whole || v.Len() < keyBytes {
		return check(w, v.ByteSlice())
	}
	var start [keyBytes]byte
	v.Copy(start[:])
	if v.Len() != w.Bytes || string(start[:]) != w.Key {
		return check(w, v.ByteSlice()) // which says what is wrong
	}
	return nil
}
