package main

import (
	gc "github.com/mailgun/groupcache/v2" // the cache
	"github.com/mailgun/groupcache/v2/consistenthash"
	"github.com/mailgun/groupcache/v2/lru"
	sf "github.com/mailgun/groupcache/v2/singleflight"
	"time"
)

// The strings and comments stay: "github.com/mailgun/groupcache/v2".
const home = "github.com/mailgun/groupcache/v2"

func uses() (int, string) {
	ring := consistenthash.New(50, nil)
	ring.Add("a", "b")
	cache := lru.New(10)
	cache.Add("k", 1, time.Time{})
	var g sf.Group
	_, _ = g.Do("k", func() (any, error) { return nil, nil })
	if group := gc.GetGroup("users"); group != nil {
		_ = group.Set(nil, "k", []byte("v"), time.Time{}, false)
	}
	return cache.Len(), ring.Get("k") + home
}
