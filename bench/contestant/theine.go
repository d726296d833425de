package contestant

import "github.com/Yiling-J/theine-go"

func theineCache() Contestant {
	return Contestant{Name: "theine", Limit: Entries, TTL: true, New: func(o Options) (*Cache, error) {
		c, err := theine.NewBuilder[string, string](int64(o.Entries)).Build()
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
				return c.Len()
			},
			Close: c.Close,
		}, nil
	}}
}
