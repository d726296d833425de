package contestant

import "github.com/dgraph-io/ristretto/v2"

func ristrettoCache() Contestant {
	return Contestant{Name: "ristretto", Limit: Entries, TTL: true, New: func(o Options) (*Cache, error) {
		c, err := ristretto.NewCache(&ristretto.Config[string, string]{
			NumCounters:        int64(o.Entries) * 10, // as its documentation advises
			MaxCost:            int64(o.Entries),
			BufferItems:        64, // likewise
			IgnoreInternalCost: true,
		})
		if err != nil {
			return nil, err
		}
		return &Cache{
			Load: func(key string) int {
				v, ok := c.Get(key)
				if !ok {
					v = o.Origin.String(key)
					c.SetWithTTL(key, v, 1, o.TTL)
					if o.InStep {
						c.Wait()
					}
				}
				return len(v)
			},
			Set: func(key string) { c.SetWithTTL(key, o.Origin.String(key), 1, o.TTL) },
			Len: func() int {
				c.Wait()
				return int(c.MaxCost() - c.RemainingCost()) // each entry costs 1
			},
			Close: c.Close,
		}, nil
	}}
}
