package gcnode

import (
	"math"
	"time"
)

// never is the time of what does not come, on a clock in nanoseconds.
const never int64 = math.MaxInt64

// freshness is how long answers live, when they are reloaded, and for how long
// they are of use beyond their life. Times are nanoseconds on a clock that
// begins at 0; what is stored with an answer is the end of its life alone.
//
//	born        due                expires          + revalidate      + onError
//	 | fresh ... | fresh, reloading | stale, reloading | spare ............ | dead
//
// The last two spans both begin where the life ends; either may be the longer
// one. Not-found answers are fresh and then dead.
type freshness struct {
	ttl        Lifetime // of a value when its getter does not say
	negative   Lifetime // of a not-found answer when its getter does not say
	jitter     float64  // up to this part of a life is cut off at random
	ahead      time.Duration
	revalidate time.Duration
	onError    time.Duration
	random     func() uint64 // for the jitter
}

// expires is the end of a value's life that begins at born: born itself for
// one that must not be kept.
func (f *freshness) expires(born int64, keep Lifetime) int64 { return f.end(born, keep.or(f.ttl)) }

// negativeExpires is expires for a not-found answer.
func (f *freshness) negativeExpires(born int64, keep Lifetime) int64 {
	return f.end(born, keep.or(f.negative))
}

func (f *freshness) end(born int64, keep Lifetime) int64 {
	if keep > 0 && keep != Forever && f.jitter > 0 {
		keep = max(keep-Lifetime(f.jitter*unit(f.random())*float64(keep)), 1)
	}
	return expiry(born, keep)
}

// unit makes a random number of one that is not less than 0 and less than 1.
func unit(random uint64) float64 { return float64(random>>11) / (1 << 53) }

// expiry is the end of a life that begins at born.
func expiry(born int64, keep Lifetime) int64 {
	switch {
	case keep <= 0:
		return born
	case int64(keep) >= never-born:
		return never
	default:
		return born + int64(keep)
	}
}

// due is from when on a use of the answer reloads it in the background: never
// without such an option. A life that is shorter than twice the time ahead is
// reloaded in its second half, not all the time.
func (f *freshness) due(born, expires int64) int64 {
	switch {
	case expires == never:
		return never
	case f.ahead > 0:
		return expires - min(int64(f.ahead), (expires-born)/2)
	case f.revalidate > 0:
		return expires
	default:
		return never
	}
}

// grace is how long a value is of use beyond its life.
func (f *freshness) grace() time.Duration { return max(f.revalidate, f.onError) }

// phase is what an answer is good for.
type phase uint8

const (
	phaseFresh phase = iota
	phaseStale       // to be served while it is being reloaded
	phaseSpare       // to be served if it cannot be reloaded
	phaseDead
)

// phase of a value at the given time.
func (f *freshness) phase(expires, now int64) phase {
	switch late := now - expires; {
	case late < 0:
		return phaseFresh
	case late < int64(f.revalidate):
		return phaseStale
	case late < int64(f.onError):
		return phaseSpare
	default:
		return phaseDead
	}
}

// usableOnError reports whether a value may be served because its load has
// failed.
func (f *freshness) usableOnError(expires, now int64) bool {
	return now < expires || now-expires < int64(f.onError)
}
