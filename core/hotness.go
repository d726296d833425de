package gcnode

import (
	"sync/atomic"

	"github.com/gcnode/gcnode/core/internal/ring"
)

const (
	// DefaultHotAfter is the default of [GroupOptions.HotAfter].
	DefaultHotAfter = 2
	// hotBytes is of how many bytes of a group's limit one belongs to a place
	// in its table of popular keys.
	hotBytes = 1 << 10
	// hotPlaces bounds that table.
	hotPlaces = 1 << 16
)

// popularity counts how often keys of other members were asked for here, each
// since its first time within [Config.HotTTL]. The keys share a table by their
// hashes: where two meet, the one that is asked for more often gets the place
// after a while, as in the counters of Misra and Gries ("Finding repeated
// elements", 1982).
//
//	 63      32        16      0
//	| tag     | period  | count |
type popularity struct {
	places []atomic.Uint64
	period int64 // in nanoseconds
}

func newPopularity(maxBytes, hotTTL int64) *popularity {
	n := 64
	for int64(n)*hotBytes < maxBytes && n < hotPlaces {
		n *= 2
	}
	return &popularity{places: make([]atomic.Uint64, n), period: max(hotTTL, 1)}
}

// bytes is what the table takes.
func (p *popularity) bytes() int64 { return int64(len(p.places)) * 8 }

// add counts one more question for the key.
func (p *popularity) add(key string, now int64) {
	place, tag, period := p.place(key, now)
	for {
		old := place.Load()
		count := old & 0xffff
		next := tag<<32 | period<<16
		switch recent := p.recent(old, period); {
		case recent && old>>32 == tag:
			next = old&^0xffff | min(count+1, 0xffff)
		case recent && count > 1:
			next = old - 1
		default:
			next |= 1
		}
		if place.CompareAndSwap(old, next) {
			return
		}
	}
}

// count is how often the key was asked for, as far as that is known.
func (p *popularity) count(key string, now int64) int {
	place, tag, period := p.place(key, now)
	if w := place.Load(); w>>32 == tag && p.recent(w, period) {
		return int(w & 0xffff)
	}
	return 0
}

// recent reports whether the place was taken in this period or the last one.
func (p *popularity) recent(w, period uint64) bool {
	return w != 0 && (period-w>>16)&0xffff <= 1
}

func (p *popularity) place(key string, now int64) (place *atomic.Uint64, tag, period uint64) {
	h := ring.Hash(key)
	return &p.places[h%uint64(len(p.places))], h >> 32, uint64(now/p.period) & 0xffff
}
