package contestant

import (
	"fmt"
	"math"
)

// tolerance is how far, as a share, the number of entries may be from the one
// that was asked for.
const tolerance = 0.01

// Calibrate returns the limit in bytes at which c holds as many entries as o
// asks for, so that caches which count bytes can be compared with those that
// count entries: all entries being equal, so are the bytes of their keys and
// values, and what a cache counts on top does not matter. fill uses a new
// cache until it is full. It is an error if there is no such limit.
func Calibrate(c Contestant, o Options, fill func(*Cache)) (int64, error) {
	size := float64(o.Entries * (o.EntryBytes + c.Overhead))
	best, bestError := int64(0), math.Inf(1)
	for range 8 {
		o.MaxBytes = int64(size)
		cache, err := c.New(o)
		if err != nil {
			return 0, err
		}
		fill(cache)
		got := float64(cache.Len())
		cache.Close()
		off := math.Abs(got/float64(o.Entries) - 1)
		if off < bestError {
			best, bestError = o.MaxBytes, off
		}
		if off <= tolerance/2 || got == 0 {
			break
		}
		size *= float64(o.Entries) / got
	}
	if bestError > tolerance {
		return 0, fmt.Errorf("%s with %d entries: the nearest is %.1f %% off", c.Name, o.Entries, 100*bestError)
	}
	return best, nil
}
