package contestant

import (
	"fmt"
	"math"
)

const (
	// tolerance is how far, as a share, the number of entries may be below
	// the one that was asked for.
	tolerance = 0.02
	trials    = 12
	// samples are taken of the number of entries while the second half of the
	// keys are asked for.
	samples = 100
)

// Calibrate returns the limit in bytes at which c holds as many entries as o
// asks for, and not more, so that caches which count bytes can be compared
// with those that count entries: all entries being equal, so are the bytes of
// their keys and values, and what a cache counts on top does not matter. The
// keys must fill a cache with their first half. It is an error if there is no
// such limit.
func Calibrate(c Contestant, o Options, keys []string) (int64, error) {
	size := float64(o.Entries * (o.EntryBytes + c.Overhead))
	best, bestOff := int64(0), math.Inf(1)
	for range trials {
		o.MaxBytes = int64(size)
		entries, err := most(c, o, keys)
		if err != nil {
			return 0, err
		}
		off := 1 - entries/float64(o.Entries)
		if off >= 0 && off < bestOff {
			best, bestOff = o.MaxBytes, off
		}
		if off >= 0 && off <= tolerance/2 || entries == 0 {
			break
		}
		size *= (1 - tolerance/4) * float64(o.Entries) / entries
	}
	if bestOff > tolerance {
		return 0, fmt.Errorf("%s of %d entries: the nearest has %.1f %% less", c.Name, o.Entries, 100*bestOff)
	}
	return best, nil
}

// most is how many entries a cache has at most.
func most(c Contestant, o Options, keys []string) (float64, error) {
	cache, err := c.New(o)
	if err != nil {
		return 0, err
	}
	defer cache.Close()
	highest, every := 0, max(len(keys)/2/samples, 1)
	for i, key := range keys {
		cache.Load(key)
		if i >= len(keys)/2 && i%every == 0 {
			highest = max(highest, cache.Len())
		}
	}
	return float64(highest), nil
}
