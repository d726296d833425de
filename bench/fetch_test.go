package bench_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/golang/groupcache"
	"github.com/golang/groupcache/groupcachepb"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

const (
	mostCallers = 128
	// capacity is enough for all keys of the fetch benchmark, in bytes.
	capacity = 64 << 20
)

// getFunc looks a key up and returns the length of its value.
type getFunc func(ctx context.Context, key string) (int, error)

func look(b *testing.B, get getFunc, key string) {
	n, err := get(b.Context(), key)
	if err != nil || n != valueBytes {
		b.Errorf("got %d bytes, %v", n, err)
	}
}

// BenchmarkFetch gets keys that another member has in its store, over
// loopback, client and server in one process, and keeps no copy of them.
func BenchmarkFetch(b *testing.B) {
	for _, impl := range []struct {
		name string
		make func(testing.TB) getFunc
	}{
		{"net-http", bareGet},
		{"golang-groupcache", groupcacheFetch},
		{"gcnode", gcnodeFetch},
	} {
		get := impl.make(b)
		for _, callers := range []int{1, 16, mostCallers} {
			b.Run(fmt.Sprintf("callers=%d/impl=%s", callers, impl.name), func(b *testing.B) {
				b.ReportAllocs()
				work := make(chan struct{}, callers)
				var wg sync.WaitGroup
				for i := range callers { // each with a key of its own, or they would share answers
					look(b, get, keyOf(i))
					wg.Go(func() {
						for range work {
							look(b, get, keyOf(i))
						}
					})
				}
				for b.Loop() {
					work <- struct{}{}
				}
				close(work)
				wg.Wait()
			})
		}
	}
}

// serve serves h on a port of its own until the benchmark ends.
func serve(tb testing.TB, h http.Handler) (url string) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	tb.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String()
}

// bareGet is the floor of everything that uses net/http in the ordinary way.
func bareGet(tb testing.TB) getFunc {
	tb.Helper()
	v := value()
	url := serve(tb, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, v)
	}))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	tb.Cleanup(client.CloseIdleConnections)
	return func(ctx context.Context, key string) (int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/"+key, http.NoBody)
		if err != nil {
			return 0, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		return len(body), err
	}
}

// gcnodeFetch asks a node that owns everything through one that owns nothing.
// The shortest HotTTL there is means that no copy is kept.
func gcnodeFetch(tb testing.TB) getFunc {
	tb.Helper()
	client, err := httptransport.NewClient(httptransport.ClientOptions{})
	require.NoError(tb, err)
	tb.Cleanup(client.Close)
	getter := gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(value())}, nil
	})
	start := func(id string) (*gcnode.Node, *gcnode.Group) {
		node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: id}, Transport: client, HotTTL: time.Nanosecond})
		require.NoError(tb, err)
		tb.Cleanup(func() { _ = node.Close(context.Background()) })
		g, err := node.Group("bench", getter, gcnode.GroupOptions{MaxBytes: capacity})
		require.NoError(tb, err)
		return node, g
	}
	owner, _ := start("owner")
	asker, group := start("asker")
	handler, err := httptransport.NewHandler(owner, httptransport.HandlerOptions{})
	require.NoError(tb, err)
	tb.Cleanup(handler.Close)
	peers := []gcnode.Peer{{ID: "owner", Addr: serve(tb, handler)}}
	require.NoError(tb, owner.SetPeers(peers))
	require.NoError(tb, asker.SetPeers(peers))
	return func(ctx context.Context, key string) (int, error) {
		v, err := group.Get(ctx, key)
		return v.Len(), err
	}
}

// groupcachePool is the library's one pool of peers; it allows no second one.
var groupcachePool = sync.OnceValue(func() *groupcache.HTTPPool {
	return groupcache.NewHTTPPoolOpts("http://asker", nil)
})

// groupcacheFetch asks the library's peer itself, not through its group, which
// would keep one answer in ten. The keys are loaded while there are no peers,
// because the library forwards a request of a peer again.
func groupcacheFetch(tb testing.TB) getFunc {
	tb.Helper()
	pool := groupcachePool()
	pool.Set()
	name := "fetch"
	group := groupcache.GetGroup(name) // the library keeps one for ever
	if group == nil {
		v := value()
		group = groupcache.NewGroup(name, capacity, groupcache.GetterFunc(func(_ context.Context, _ string, dest groupcache.Sink) error {
			return dest.SetString(v)
		}))
	}
	for i := range mostCallers {
		var v groupcache.ByteView
		require.NoError(tb, group.Get(tb.Context(), keyOf(i), groupcache.ByteViewSink(&v)))
	}
	pool.Set(serve(tb, pool))
	peer, ok := pool.PickPeer(keyOf(0))
	require.True(tb, ok)
	return func(ctx context.Context, key string) (int, error) {
		var out groupcachepb.GetResponse
		err := peer.Get(ctx, &groupcachepb.GetRequest{Group: &name, Key: &key}, &out)
		return len(out.GetValue()), err
	}
}
