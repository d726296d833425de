package gcnode_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// numbered is a value that is never made twice.
type numbered struct {
	n    int
	cost int64
}

// model is a cache beside which the real one is put: a map, and the rules that
// are promised. It does not know what is evicted, so it takes note of what
// may have been.
type model struct {
	t     *testing.T
	cache *gcnode.Cache[numbered]
	opts  gcnode.CacheOptions[numbered]
	start time.Time
	known map[string]*known

	// the origin
	made  int
	loads int
	fail  error
	keep  gcnode.Lifetime
	cost  int64
}

// known is an entry that was stored.
type known struct {
	value    numbered
	notFound bool
	expires  time.Duration // since the start
	attend   time.Duration
	maybe    bool // it may have been evicted
}

const eternity = time.Duration(1<<63 - 1)

func (m *model) GetItem(context.Context, string) (gcnode.Item[numbered], error) {
	m.loads++
	if m.fail != nil {
		return gcnode.Item[numbered]{Keep: m.keep}, m.fail
	}
	return gcnode.Item[numbered]{Value: m.make(), Keep: m.keep}, nil
}

func (m *model) make() numbered {
	m.made++
	return numbered{m.made, m.cost}
}

func (m *model) now() time.Duration { return time.Since(m.start) }

func (m *model) grace(k *known) time.Duration {
	if k.notFound {
		return 0
	}
	return max(m.opts.StaleWhileRevalidate, m.opts.StaleOnError)
}

// dead reports whether the entry has been of no use for that long.
func (m *model) dead(k *known, since time.Duration) bool {
	return k.expires != eternity && m.now() >= k.expires+m.grace(k)+since
}

func (m *model) costOf(k *known) int64 {
	if k.notFound {
		return max(m.opts.MaxCost/100_000, 1)
	}
	return max(k.value.cost, 1)
}

// stored takes note of an answer.
func (m *model) stored(key string, k *known) {
	life := time.Duration(m.keep)
	if life == 0 {
		life = time.Duration(m.opts.TTL)
		if k.notFound {
			life = m.opts.NegativeTTL
		}
	}
	delete(m.known, key)
	k.expires, k.attend = eternity, eternity
	if life <= 0 || m.costOf(k) > m.opts.MaxCost {
		return
	}
	if gcnode.Lifetime(life) != gcnode.Forever {
		k.expires = m.now() + life
		switch {
		case k.notFound:
		case m.opts.RefreshAhead > 0:
			k.attend = k.expires - min(m.opts.RefreshAhead, life/2)
		case m.opts.StaleWhileRevalidate > 0:
			k.attend = k.expires
		}
	}
	m.known[key] = k
}

// loaded takes note of a load, which has just ended.
func (m *model) loaded(key string) {
	switch {
	case m.fail == nil:
		m.stored(key, &known{value: numbered{m.made, m.cost}})
	case errors.Is(m.fail, gcnode.ErrNotFound):
		m.stored(key, &known{notFound: true})
	}
}

// get compares one Get with the rules.
func (m *model) get(key string) {
	k, loads := m.known[key], m.loads
	v, err := m.cache.Get(m.t.Context(), key)
	synctest.Wait() // for a load in the background
	loads = m.loads - loads
	now := m.now()
	if k != nil && k.maybe && (v != k.value || k.notFound && loads > 0) {
		k = nil // it was evicted
	}
	background := 0
	switch {
	case k != nil && (now < k.expires || !k.notFound && now < k.expires+m.opts.StaleWhileRevalidate):
		k.maybe = false
		if k.notFound != errors.Is(err, gcnode.ErrNotFound) || v != k.value || !k.notFound && err != nil {
			m.t.Fatalf("%v: got %+v, %v of %q; want %+v", now, v, err, key, k)
		}
		if now >= k.attend {
			background = 1
		}
		if loads != background {
			m.t.Fatalf("%v: %d loads of %q; %d were due: %+v", now, loads, key, background, k)
		}
		if background == 1 {
			k.attend = now + time.Second
			m.loaded(key)
		}
	case loads != 1:
		m.t.Fatalf("%v: %d loads of %q, which was to be loaded: %+v", now, loads, key, k)
	case m.fail == nil:
		if err != nil || v.n != m.made {
			m.t.Fatalf("%v: got %+v, %v of %q; want number %d", now, v, err, key, m.made)
		}
		m.loaded(key)
	case errors.Is(m.fail, gcnode.ErrNotFound):
		if !errors.Is(err, gcnode.ErrNotFound) {
			m.t.Fatalf("%v: got %+v, %v of %q", now, v, err, key)
		}
		m.loaded(key)
	case k != nil && !k.notFound && now < k.expires+m.opts.StaleOnError:
		if err != nil || v != k.value {
			m.t.Fatalf("%v: got %+v, %v of %q; want %+v, since the load failed", now, v, err, key, k)
		}
	default:
		if !errors.Is(err, m.fail) {
			m.t.Fatalf("%v: got %+v, %v of %q; want %v", now, v, err, key, m.fail)
		}
	}
}

// all compares All with the rules.
func (m *model) all() {
	seen := map[string]bool{}
	for key, it := range m.cache.All() {
		k := m.known[key]
		if seen[key] || k == nil || k.notFound || it.Value != k.value || m.now() >= k.expires {
			m.t.Fatalf("%v: All has %+v for %q, %+v", m.now(), it, key, k)
		}
		if want := k.expires - m.now(); k.expires != eternity && it.Keep != gcnode.For(want) {
			m.t.Fatalf("%v: All has %+v for %q, which lives for %v", m.now(), it, key, want)
		}
		seen[key] = true
	}
	for key, k := range m.known {
		if !seen[key] && !k.maybe && !k.notFound && m.now() < k.expires {
			m.t.Fatalf("%v: All lacks %q, %+v", m.now(), key, k)
		}
	}
}

// step does one thing, and then compares the figures with the rules.
func (m *model) step(op, arg byte) {
	before := m.cache.Stats()
	key := strconv.Itoa(int(arg % 8))
	lives := []gcnode.Lifetime{0, gcnode.NoStore, gcnode.Forever, gcnode.For(1), gcnode.For(time.Second), gcnode.For(20 * time.Second)}
	switch op % 8 {
	case 0, 1, 2:
		m.get(key)
	case 3:
		m.cost = int64(arg/8) % (m.opts.MaxCost + 2)
		v := m.make()
		if err := m.cache.Set(key, gcnode.Item[numbered]{Value: v, Keep: m.keep}); err != nil {
			m.t.Fatal(err)
		}
		m.stored(key, &known{value: v})
	case 4:
		m.cache.Remove(key)
		delete(m.known, key)
	case 5:
		switch arg % 16 {
		case 0:
			m.cache.Clear()
			clear(m.known)
		default:
			m.all()
		}
	case 6:
		time.Sleep(time.Duration(1) << (arg % 37))
	default:
		m.fail = []error{nil, nil, gcnode.ErrNotFound, gcnode.ErrPermanent}[arg%4]
		m.keep = lives[int(arg/4)%len(lives)]
		m.cost = int64(arg/24) % (m.opts.MaxCost + 2)
	}
	after := m.cache.Stats()
	if after.Cost > m.opts.MaxCost || int64(after.Entries) > after.Cost {
		m.t.Fatalf("%+v", after)
	}
	var cost int64
	alive := 0
	for _, k := range m.known {
		cost += m.costOf(k)
		if !m.dead(k, 2*time.Millisecond) {
			alive++
		}
	}
	if after.Evicted > before.Evicted {
		if cost <= m.opts.MaxCost {
			m.t.Fatalf("%v: evicted when there was room: %+v, then %+v", m.now(), before, after)
		}
		if after.Entries > alive {
			m.t.Fatalf("%v: evicted when %d entries were dead: %+v", m.now(), after.Entries-alive, after)
		}
		for _, k := range m.known {
			k.maybe = true
		}
	}
	if after.Expired > before.Expired {
		for _, k := range m.known {
			k.maybe = k.maybe || m.dead(k, 0)
		}
	}
	if gone := after.Evicted + after.Expired + after.Removed + after.Replaced; gone < before.Evicted+before.Expired+before.Removed+before.Replaced ||
		after.Gets < after.Hits || after.Hits < after.NegativeHits+after.StaleHits || after.Loads != uint64(m.loads) {
		m.t.Fatalf("%+v, then %+v", before, after)
	}
}

// FuzzCache puts a cache beside a model of it: any operations, costs, lives and
// times.
func FuzzCache(f *testing.F) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, seed))
		data := make([]byte, 600)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 4 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			pick := func(b byte) time.Duration { return []time.Duration{0, time.Second, 5 * time.Second, time.Minute}[b%4] }
			m := &model{t: t, start: time.Now(), known: map[string]*known{}, opts: gcnode.CacheOptions[numbered]{
				MaxCost:              int64(data[0]%30) + 1,
				Cost:                 func(_ string, v numbered) int64 { return v.cost },
				TTL:                  gcnode.For(2 * time.Minute),
				NegativeTTL:          time.Second,
				RefreshAhead:         pick(data[1]),
				StaleWhileRevalidate: pick(data[1] / 4),
				StaleOnError:         pick(data[1] / 16),
				ClockResolution:      -1,
			}}
			var err error
			if m.cache, err = gcnode.NewCache(m, m.opts); err != nil {
				t.Fatal(err)
			}
			for i := 2; i+1 < len(data); i += 2 {
				m.step(data[i], data[i+1])
			}
		})
	})
}

// Readers, writers, removals, clears, batches, evictions and background loads
// at once. Every answer belongs to its key, and is not older than the last
// write that had ended before its Get began.
func TestHammerCache(t *testing.T) {
	type value struct {
		key     int
		version int64
	}
	const keys = 32
	var origin, floor [keys]atomic.Int64 // the current version; the last that a write made sure of
	var writing [keys]sync.Mutex         // versions are written in their order
	getter := gcnode.GetterFunc[value](func(_ context.Context, key string) (gcnode.Item[value], error) {
		k, err := strconv.Atoi(key)
		if err != nil {
			return gcnode.Item[value]{}, err
		}
		v := value{k, origin[k].Load()}
		runtime.Gosched()
		switch v.version % 6 {
		case 5:
			return gcnode.Item[value]{}, gcnode.ErrDenied
		case 3:
			return gcnode.Item[value]{Keep: gcnode.For(time.Millisecond)}, gcnode.ErrNotFound
		case 4:
			return gcnode.Item[value]{Value: v, Keep: gcnode.For(time.Millisecond)}, nil
		default:
			return gcnode.Item[value]{Value: v}, nil
		}
	})
	rounds := 3000
	if runtime.GOARCH == "wasm" {
		rounds = 300
	}
	for _, batch := range []bool{false, true} {
		var g gcnode.Getter[value] = getter
		if batch {
			g = stackedGetter[value]{getter}
		}
		// What is served beyond its life has not been removed either.
		c, err := gcnode.NewCache(g, gcnode.CacheOptions[value]{
			MaxCost: 60, Cost: func(_ string, v value) int64 { return v.version % 7 },
			TTL: gcnode.For(20 * time.Millisecond), RefreshAhead: 15 * time.Millisecond, MaxLoads: 4, MaxQueuedLoads: 1000,
			StaleWhileRevalidate: 10 * time.Millisecond, StaleOnError: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		check := func(k int, v value, err error, least int64) {
			if err != nil && !errors.Is(err, gcnode.ErrNotFound) && !errors.Is(err, gcnode.ErrDenied) && !errors.Is(err, context.Canceled) {
				t.Errorf("key %d: %v", k, err)
			}
			if err == nil && (v.key != k || v.version < least) {
				t.Errorf("key %d: got %+v after version %d", k, v, least)
			}
		}
		// Everyone goes on until that has happened: a machine that is busy with
		// other things may pass over the moments in which it can.
		complete := func() bool {
			st := c.Stats()
			return runtime.GOARCH == "wasm" || st.StaleHits > 0 && st.StaleOnError > 0
		}
		var wg sync.WaitGroup
		for w := range 12 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), 7))
				for i := 0; i < rounds || i < 100*rounds && !complete(); i++ {
					k := r.IntN(keys)
					key := strconv.Itoa(k)
					switch op := r.IntN(40); {
					case w < 2 && op == 0: // everything that was before is overtaken
						var vs [keys]int64
						for k := range keys {
							writing[k].Lock()
							vs[k] = origin[k].Add(1)
						}
						c.Clear()
						for k := range keys {
							floor[k].Store(vs[k])
							writing[k].Unlock()
						}
					case w < 4 && op < 20:
						writing[k].Lock()
						v := origin[k].Add(1)
						if op < 10 {
							c.Remove(key)
						} else if err := c.Set(key, gcnode.Item[value]{Value: value{k, v}}); err != nil {
							t.Error(err)
						}
						floor[k].Store(v)
						writing[k].Unlock()
					case op < 4:
						ks, least := make([]string, 6), make([]int64, 6)
						for i := range ks {
							n := r.IntN(keys)
							ks[i], least[i] = strconv.Itoa(n), floor[n].Load()
						}
						for res, err := range c.Stream(t.Context(), ks) {
							n, _ := strconv.Atoi(res.Key)
							check(n, res.Value, err, least[res.Index])
							if r.IntN(20) == 0 {
								break
							}
						}
					case op == 5:
						for key, it := range c.All() {
							if strconv.Itoa(it.Value.key) != key {
								t.Errorf("%q has %+v", key, it)
							}
						}
						c.Stats()
					default:
						ctx, cancel := context.WithCancel(t.Context())
						if op == 6 {
							cancel()
						}
						least := floor[k].Load()
						v, err := c.Get(ctx, key)
						check(k, v, err, least)
						cancel()
					}
				}
			})
		}
		wg.Wait()
		st := c.Stats()
		if st.Cost > st.MaxCost || st.Gets < st.Hits {
			t.Errorf("%+v", st)
		}
		if !complete() {
			t.Errorf("%+v: nothing was served beyond its life", st)
		}
	}
}

// stackedGetter answers the keys of a batch one after the other.
type stackedGetter[V any] struct{ gcnode.Getter[V] }

func (s stackedGetter[V]) GetItems(ctx context.Context, keys []string, yield func(int, gcnode.Item[V], error)) error {
	for i, key := range keys {
		it, err := s.GetItem(ctx, key)
		yield(i, it, err)
	}
	return nil
}
