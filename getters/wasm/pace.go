package wasm

import "time"

const (
	// sliceMin and sliceMax bound the fuel that a guest is given at once.
	// sliceMax is far below what takes sliceTarget on a fast machine: a
	// guest that first spends fuel on the cheapest instructions and then on
	// the dearest must not gain much, and a tick costs only 0.1 µs.
	sliceMin   = 1 << 10
	sliceMax   = 512 << 10
	sliceStart = 64 << 10
	// sliceTarget is how long a guest should compute with one slice.
	sliceTarget = time.Millisecond
	// checkEvery is the work of host functions, in units of a cheap call,
	// between two looks at the clock, and bytesPerUnit the bytes copied
	// that count like one.
	checkEvery   = 64
	bytesPerUnit = 16 << 10
)

// pace decides how much fuel a guest is given at once, so that it comes back
// to the host about every sliceTarget: often enough for deadlines and for the
// garbage collector, seldom enough to cost nothing.
type pace struct {
	fixed   int64 // the size of every slice; 0: it adapts
	slice   int64
	granted time.Time // when the last slice was given; zero: not comparable
	work    int       // of host functions since the last check
}

// next is the size of the next slice. How long the last one took decides: it
// shrinks at once when it took too long, and grows by at most a factor of two,
// so that a guest gains little from pretending to be fast.
func (p *pace) next(now time.Time) int64 {
	if p.fixed > 0 {
		return p.fixed
	}
	if p.slice == 0 {
		p.slice = sliceStart
	}
	if !p.granted.IsZero() {
		took := max(now.Sub(p.granted), time.Microsecond)
		fitting := int64(float64(p.slice) * float64(sliceTarget) / float64(took))
		p.slice = min(max(fitting, sliceMin), 2*p.slice, sliceMax)
	}
	p.granted = now
	return p.slice
}

// resumed notes that the guest begins to compute with its slice.
func (p *pace) resumed(now time.Time) { p.granted = now }

// interrupted forgets when the last slice was given, because the guest did
// not compute all the time since.
func (p *pace) interrupted() { p.granted = time.Time{} }

// due reports whether host functions have worked long enough for another look
// at the clock; one has just copied n bytes.
func (p *pace) due(n int) bool {
	p.work += 1 + n/bytesPerUnit
	if p.work < checkEvery {
		return false
	}
	p.work = 0
	return true
}
