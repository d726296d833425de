package contestant

import "sync"

// bareMap is the floor: it is not safe for concurrent writing, evicts nothing
// and counts nothing.
func bareMap() Contestant {
	return Contestant{Name: "map", Serial: true, New: func(o Options) (*Cache, error) {
		m := map[string]string{}
		return &Cache{
			Load: func(key string) int {
				v, ok := m[key]
				if !ok {
					v = o.Origin.String(key)
					m[key] = v
				}
				return len(v)
			},
			Set:   func(key string) { m[key] = o.Origin.String(key) },
			Len:   func() int { return len(m) },
			Close: nothing,
		}, nil
	}}
}

func lockedMap() Contestant {
	return Contestant{Name: "map+RWMutex", New: func(o Options) (*Cache, error) {
		var mu sync.RWMutex
		m := map[string]string{}
		set := func(key string) int {
			v := o.Origin.String(key)
			mu.Lock()
			defer mu.Unlock()
			m[key] = v
			return len(v)
		}
		return &Cache{
			Load: func(key string) int {
				mu.RLock()
				v, ok := m[key]
				mu.RUnlock()
				if !ok {
					return set(key)
				}
				return len(v)
			},
			Set: func(key string) { set(key) },
			Len: func() int {
				mu.RLock()
				defer mu.RUnlock()
				return len(m)
			},
			Close: nothing,
		}, nil
	}}
}

func syncMap() Contestant {
	return Contestant{Name: "sync.Map", New: func(o Options) (*Cache, error) {
		var m sync.Map
		return &Cache{
			Load: func(key string) int {
				v, ok := m.Load(key)
				if !ok {
					s := o.Origin.String(key)
					m.Store(key, s)
					return len(s)
				}
				s, _ := v.(string)
				return len(s)
			},
			Set: func(key string) { m.Store(key, o.Origin.String(key)) },
			Len: func() int {
				n := 0
				m.Range(func(any, any) bool {
					n++
					return true
				})
				return n
			},
			Close: nothing,
		}, nil
	}}
}
