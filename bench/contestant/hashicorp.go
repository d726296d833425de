package contestant

import lru "github.com/hashicorp/golang-lru/v2"

func hashicorpLRU() Contestant {
	return Contestant{Name: "golang-lru", Limit: Entries, LRU: true, New: func(o Options) (*Cache, error) {
		c, err := lru.New[string, string](o.Entries)
		if err != nil {
			return nil, err
		}
		return &Cache{
			Load: func(key string) int {
				v, ok := c.Get(key)
				if !ok {
					v = o.Origin.String(key)
					c.Add(key, v)
				}
				return len(v)
			},
			Set:   func(key string) { c.Add(key, o.Origin.String(key)) },
			Len:   c.Len,
			Close: nothing,
		}, nil
	}}
}
