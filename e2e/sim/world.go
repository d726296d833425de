package sim

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/gcnode/gcnode/e2e/history"
)

// world is a simulation under way. What is not guarded by mu belongs to the
// goroutine that runs it.
type world struct {
	seed  uint64
	rng   *rand.Rand
	begun time.Time
	rec   *history.Recorder
	// counts are what the run met.
	counts Counts

	mu      sync.Mutex
	posted  []posting
	wake    chan struct{} // holds one element when something was posted
	hearing hearing
	err     error // what the simulation itself could not do

	log []string

	queue []event // by time
	order uint64
	last  time.Duration // when the last event happened
	asked time.Duration // when a client's call last began or ended
	timer *time.Timer

	net      network
	origin   origin
	members  map[string]*member
	everyone []string // the IDs of the members, in the order of their first start
}

// posting is what a node or a client has done.
type posting interface {
	// content orders what was posted at the same time.
	content() string
	// accept is called by the world.
	accept()
}

// event is something that will happen.
type event struct {
	at    time.Duration
	order uint64
	run   func()
}

func newWorld(seed uint64, name string, bounds history.Bounds) *world {
	w := &world{
		seed: seed, rng: rand.New(rand.NewPCG(seed, 0x73696d)), begun: time.Now(), counts: Counts{},
		wake: make(chan struct{}, 1), timer: time.NewTimer(time.Hour),
		members: map[string]*member{}, hearing: newHearing(),
	}
	w.rec = history.NewRecorder(name, bounds, func() int64 { return int64(w.now()) })
	w.net = network{w: w, blocked: map[link]bool{}}
	w.origin = origin{w: w, versions: map[string]int{}, loads: map[string]int{}, ends: map[string]time.Duration{}}
	return w
}

// now is the time since the beginning.
func (w *world) now() time.Duration { return time.Since(w.begun) }

// post hands something to the world. It may be called from any goroutine.
func (w *world) post(p posting) {
	w.mu.Lock()
	w.posted = append(w.posted, p)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// after lets something happen some time from now.
func (w *world) after(d time.Duration, run func()) { w.at(w.now()+d, run) }

// at lets something happen at a time, or as soon as possible.
func (w *world) at(t time.Duration, run func()) {
	w.order++
	e := event{t, w.order, run}
	i, _ := slices.BinarySearchFunc(w.queue, e, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
	w.queue = slices.Insert(w.queue, i, e)
}

// settle waits until nothing can go on by itself, and takes what was posted.
func (w *world) settle() {
	for {
		synctest.Wait()
		w.mu.Lock()
		posted := w.posted
		w.posted = nil
		w.mu.Unlock()
		if len(posted) == 0 {
			return
		}
		if len(posted) > 1 {
			contents := make(map[posting]string, len(posted))
			for _, p := range posted {
				contents[p] = p.content()
			}
			slices.SortStableFunc(posted, func(a, b posting) int { return cmp.Compare(contents[a], contents[b]) })
		}
		for _, p := range posted {
			if keepLogs {
				w.logf("posted %s", p.content())
			}
			p.accept()
		}
	}
}

// step lets the next event happen that comes before the end, and reports
// whether there was one.
func (w *world) step(end time.Duration) bool {
	for {
		w.settle()
		next := end
		if len(w.queue) > 0 {
			next = min(next, max(w.queue[0].at, w.last+1))
		}
		now := w.now()
		if next <= now {
			if next == end {
				return false
			}
			e := w.queue[0]
			w.queue = slices.Delete(w.queue, 0, 1)
			w.last = now
			e.run()
			return true
		}
		w.timer.Reset(next - now)
		select {
		case <-w.timer.C:
		case <-w.wake:
		}
	}
}

// run lets everything happen until done, or the end, and reports whether it is
// done.
func (w *world) run(end time.Duration, done func() bool) bool {
	for {
		w.settle()
		if done() {
			return true
		}
		if !w.step(end) {
			return done()
		}
	}
}

// logf adds a line to the log.
func (w *world) logf(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%d ", w.now())+fmt.Sprintf(format, args...))
}

// failed takes note of what the simulation itself could not do. It may be
// called from any goroutine.
func (w *world) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
}

// between is a random duration.
func (w *world) between(from, to time.Duration) time.Duration {
	if to <= from {
		return from
	}
	return from + time.Duration(w.rng.Int64N(int64(to-from)))
}

// chance is true with a probability.
func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// pick is one of some.
func pick[T any](w *world, of []T) T { return of[w.rng.IntN(len(of))] }

// publish writes a new version of a key at the origin.
func (w *world) publish(key string) { w.origin.publish(key) }

// note writes into the history what a reader wants to know.
func (w *world) note(text string) {
	w.rec.Event(history.Event{What: history.Note, Detail: text})
}
