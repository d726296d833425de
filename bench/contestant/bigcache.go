package contestant

import (
	"context"
	"fmt"
	"time"

	"github.com/allegro/bigcache/v3"
)

const (
	// bigcacheHeader goes before each entry: time, hash, length of the key,
	// and of the whole. As with freecache, its shards need some room.
	bigcacheHeader = 20
	bigcacheSlack  = 8
)

func bigCache() Contestant {
	return Contestant{
		Name: "bigcache", Limit: Bytes, Coarse: true, Overhead: bigcacheHeader + bigcacheSlack,
		New: func(o Options) (*Cache, error) {
			const unit = 1 << 20
			size := o.maxBytes(bigcacheHeader + bigcacheSlack)
			cfg := bigcache.DefaultConfig(365 * 24 * time.Hour)
			cfg.HardMaxCacheSize = int((size + unit/2) / unit) // 0 would be without limit
			if cfg.HardMaxCacheSize == 0 {
				return nil, fmt.Errorf("bigcache of %d bytes: the least is 1 MiB", size)
			}
			cfg.Shards = 64
			cfg.CleanWindow = 0
			cfg.MaxEntriesInWindow = min(o.Entries, int(size)/max(o.EntryBytes, 1))
			cfg.MaxEntrySize = o.EntryBytes + bigcacheHeader
			cfg.Verbose = false
			c, err := bigcache.New(context.Background(), cfg)
			if err != nil {
				return nil, err
			}
			set := func(key string) int {
				v := o.Origin.Bytes(key)
				_ = c.Set(key, v) // an entry that is too large is not kept
				return len(v)
			}
			return &Cache{
				Load: func(key string) int {
					v, err := c.Get(key)
					if err != nil {
						return set(key)
					}
					return len(v)
				},
				Set:   func(key string) { set(key) },
				Len:   c.Len,
				Close: func() { _ = c.Close() },
			}, nil
		},
	}
}
