package contestant

import "github.com/maypok86/otter/v2"

func otterCache() Contestant {
	return Contestant{Name: "otter", Limit: Entries, TTL: true, New: func(o Options) (*Cache, error) {
		opts := &otter.Options[string, string]{MaximumSize: o.Entries}
		if o.TTL > 0 {
			opts.ExpiryCalculator = otter.ExpiryWriting[string, string](o.TTL)
		}
		if o.InStep {
			opts.Executor = func(maintain func()) { maintain() }
		}
		c, err := otter.New(opts)
		if err != nil {
			return nil, err
		}
		return &Cache{
			Load: func(key string) int {
				v, ok := c.GetIfPresent(key)
				if !ok {
					v = o.Origin.String(key)
					c.Set(key, v)
				}
				return len(v)
			},
			Set: func(key string) { c.Set(key, o.Origin.String(key)) },
			Len: func() int {
				c.CleanUp()
				return c.EstimatedSize()
			},
			Close: func() { c.StopAllGoroutines() },
		}, nil
	}}
}
