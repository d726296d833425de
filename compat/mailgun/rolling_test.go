package groupcache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// deployment is a cluster whose processes are replaced one by one while it is
// used.
type deployment struct {
	t        *testing.T
	database *database
	slots    []*slot
	urls     []string

	gets, removals atomic.Int64
	begun, ended   atomic.Int64 // replacements of processes
	phase          sync.RWMutex // held by a removal, and for writing by a change of what holds
	promise        promise
	floors         sync.Map // by key, what no later Get may be below: *atomic.Int64
}

// slot is a place for a process. It is held by those who use the process.
type slot struct {
	sync.RWMutex
	process *mixed
}

// copyTTL is short, so that the test need not wait long for what heals with it.
const copyTTL = 200 * time.Millisecond

// promise is what Remove promises in a phase.
type promise int

const (
	nothing promise = iota // an old process may bring an older value back
	soon                   // older values are gone after the life of copies
	at                     // they are gone when Remove returns
)

// TestARollingDeployment goes from the old library to this module among old
// peers, on to native ones, and back again, under load.
//
// No Get fails. What Remove promises is what the processes of the moment can
// keep. It may fail only while a process is away, and names that.
func TestARollingDeployment(t *testing.T) {
	d := &deployment{t: t, database: newDatabase()}
	for range 3 {
		p := startMixed(t, onOld, listen(t, ""), d.database, time.Hour, gcnode.For(copyTTL))
		d.slots = append(d.slots, &slot{process: p})
		d.urls = append(d.urls, p.url)
	}
	for _, s := range d.slots {
		s.process.setPeers(d.urls...)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for range 4 {
		wg.Go(func() { d.read(ctx) })
	}
	wg.Go(func() { d.write(ctx) })

	d.settle()
	for _, step := range []struct {
		to               mode
		meanwhile, after promise
	}{
		{withOld, nothing, at},
		{onNative, soon, at},
		{withOld, soon, at},
		{onOld, nothing, nothing},
	} {
		d.promises(step.meanwhile)
		for i := range d.slots {
			d.replace(i, step.to)
			d.settle()
		}
		d.promises(step.after)
		d.settle()
		d.look(step.to)
	}
}

func (d *deployment) promises(p promise) {
	d.phase.Lock()
	defer d.phase.Unlock()
	d.promise = p
}

// settle waits until the cluster has been used for a while.
func (d *deployment) settle() {
	d.t.Helper()
	gets, removals := d.gets.Load()+200, d.removals.Load()+4
	require.Eventually(d.t, func() bool { return d.gets.Load() >= gets && d.removals.Load() >= removals }, 3*patience, time.Millisecond)
}

// replace stops the process of a slot when nobody uses it any more, and starts
// another one.
func (d *deployment) replace(i int, to mode) {
	d.t.Helper()
	s := d.slots[i]
	s.Lock()
	defer s.Unlock()
	d.begun.Add(1)
	defer d.ended.Add(1)
	s.process.end()
	s.process = startMixed(d.t, to, listen(d.t, d.urls[i]), d.database, time.Hour, gcnode.For(copyTTL))
	s.process.setPeers(d.urls...)
	if to == withOld && slices.ContainsFunc(d.slots, func(s *slot) bool { return s.process.mode == onNative }) {
		s.process.awaitNative(d.t, len(d.slots)) // native ones took it for one that has left
	}
}

const loadedKeys = 20

func loadedKey() string { return fmt.Sprintf("key:%d:loaded", rand.IntN(loadedKeys)) }

// use calls do with a process that is there.
func (d *deployment) use(do func(*mixed)) {
	s := d.slots[rand.IntN(len(d.slots))]
	if !s.TryRLock() {
		return // it is being replaced
	}
	defer s.RUnlock()
	do(s.process)
}

func (d *deployment) floor(key string) *atomic.Int64 {
	f, _ := d.floors.LoadOrStore(key, new(atomic.Int64))
	return f.(*atomic.Int64)
}

func (d *deployment) read(ctx context.Context) {
	for ctx.Err() == nil {
		d.use(func(p *mixed) {
			key := loadedKey()
			floor := d.floor(key).Load()
			value, _, wrong := p.get(context.WithoutCancel(ctx), key)
			d.gets.Add(1)
			of, version, _ := strings.Cut(value, "@")
			n, _ := strconv.ParseInt(version, 10, 64)
			assert.Empty(d.t, wrong, "a process that is %v", p.mode)
			assert.Equal(d.t, key, of)
			assert.GreaterOrEqual(d.t, n, floor, "an older value of %q from a process that is %v", key, p.mode)
		})
	}
}

func (d *deployment) write(ctx context.Context) {
	for ctx.Err() == nil {
		d.use(func(p *mixed) {
			d.phase.RLock()
			defer d.phase.RUnlock()
			key := loadedKey()
			_, version, _ := strings.Cut(d.database.change(key), "@")
			n, _ := strconv.ParseInt(version, 10, 64)
			ended := d.ended.Load()
			err := p.remove(context.WithoutCancel(ctx), key)
			d.removals.Add(1)
			switch {
			case err != nil:
				assert.Greater(d.t, d.begun.Load(), ended, "nobody was away, and yet: %v", err)
			case d.promise == at:
				d.floor(key).Store(n)
			case d.promise == soon:
				floor := d.floor(key)
				time.AfterFunc(5*copyTTL, func() { // clocks of caches may be behind
					for old := floor.Load(); old < n && !floor.CompareAndSwap(old, n); old = floor.Load() {
					}
				})
			}
		})
	}
}

// look removes keys that nobody else uses, and wants all processes to load them
// afresh at once.
func (d *deployment) look(m mode) {
	d.t.Helper()
	for i := range 10 {
		key := fmt.Sprintf("quiet:%d:key", i*i)
		for range 2 {
			for _, s := range d.slots {
				_, _, wrong := s.process.get(d.t.Context(), key)
				require.Empty(d.t, wrong)
			}
			want := d.database.change(key)
			require.NoError(d.t, d.slots[i%len(d.slots)].process.remove(d.t.Context(), key))
			for _, s := range d.slots {
				value, _, wrong := s.process.get(d.t.Context(), key)
				require.Empty(d.t, wrong)
				require.Equal(d.t, want, value, "all are %v", m)
			}
		}
	}
}
