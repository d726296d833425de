package contestant

import (
	"fmt"
	"time"

	"github.com/coocood/freecache"
)

const (
	// freecacheLeast is the smallest size that the library takes as it is.
	freecacheLeast = 512 << 10
	// freecacheHeader goes before each entry. The sizes of its 256 segments
	// are equal, so some need room when others have it.
	freecacheHeader = 24
	freecacheSlack  = 8
)

func freeCache() Contestant {
	return Contestant{
		Name: "freecache", Limit: Bytes, Coarse: true, TTL: true, Overhead: freecacheHeader + freecacheSlack,
		New: func(o Options) (*Cache, error) {
			size := o.maxBytes(freecacheHeader + freecacheSlack)
			if size < freecacheLeast {
				return nil, fmt.Errorf("freecache of %d bytes: the least is %d", size, freecacheLeast)
			}
			c := freecache.NewCache(int(size))
			seconds := int(o.TTL / time.Second)
			set := func(key string) int {
				v := o.Origin.Bytes(key)
				_ = c.Set([]byte(key), v, seconds) // an entry that is too large is not kept
				return len(v)
			}
			return &Cache{
				Load: func(key string) int {
					v, err := c.Get([]byte(key))
					if err != nil {
						return set(key)
					}
					return len(v)
				},
				Set:   func(key string) { set(key) },
				Len:   func() int { return int(c.EntryCount()) },
				Close: nothing,
			}, nil
		},
	}
}
