package main

import (
	"context"
	"hash/crc32"
	"net/http"

	"github.com/golang/groupcache"
	"github.com/golang/groupcache/consistenthash"
	pb "github.com/golang/groupcache/groupcachepb"
	"github.com/golang/groupcache/lru"
)

var pool = groupcache.NewHTTPPoolOpts("http://127.0.0.1:8080", &groupcache.HTTPPoolOptions{
	BasePath: "/cache/",
	HashFn:   crc32.ChecksumIEEE,
})

type server struct{ peers *groupcache.HTTPPool }

type picker struct{ groupcache.NoPeers }

type one struct{}

func (one) Get(context.Context, *pb.GetRequest, *pb.GetResponse) error { return nil }

func (picker) PickPeer(string) (groupcache.ProtoGetter, bool) { return one{}, true }

func main() {
	pool.Transport = func(context.Context) http.RoundTripper { return http.DefaultTransport }
	s := server{}
	s.peers = groupcache.NewHTTPPool("http://127.0.0.1:8081")
	s.peers.Context = func(r *http.Request) context.Context { return r.Context() }
	groupcache.RegisterPeerPicker(func() groupcache.PeerPicker { return picker{} })
	groupcache.NewGroup("words", 1<<20, groupcache.GetterFunc(func(ctx context.Context, key string, dest groupcache.Sink) error {
		if key == "bytes" {
			return dest.SetBytes([]byte(key))
		}
		return dest.SetString(key)
	}))
	ring := consistenthash.New(50, crc32.ChecksumIEEE)
	ring.Add("a")
	cache := lru.New(1)
	cache.Add("k", "v")
	var hash consistenthash.Hash = crc32.ChecksumIEEE
	_ = hash
	var plain = consistenthash.New(50, nil)
	plain.Add("a")
}
