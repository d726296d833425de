package groupcache

import (
	"reflect"
	"time"

	"github.com/gcnode/gcnode/compat/mailgun/lru"
	gcnode "github.com/gcnode/gcnode/core"
)

// NowFunc says whether a value has expired, for tests that put the clock forward.
// Expiry times are absolute, and the cache counts how much of a life is left, so
// a clock of one's own begins at the time of the machine. Values, and copies of
// them, that have expired by it are removed from all members when they are asked
// for.
//
// With package gcnode, tests that wait for lives run under testing/synctest.
var NowFunc lru.NowFunc = time.Now //nolint:gochecknoglobals // so it is in the API that this package stands in for

// expired reports whether a value that is in memory has come to its end by a
// clock of the program's own. By that of the machine it would not be there.
func expired(ends time.Time) bool {
	return !ends.IsZero() && NowFunc != nil && pointer(NowFunc) != machineClock && !NowFunc().Before(ends)
}

var machineClock = pointer(time.Now) //nolint:gochecknoglobals // a constant

func pointer(now func() time.Time) uintptr { return reflect.ValueOf(now).Pointer() }

// lifeUntil is how much there is left until a time.
func lifeUntil(ends time.Time) gcnode.Lifetime {
	if ends.IsZero() {
		return gcnode.Forever
	}
	return gcnode.For(time.Until(ends))
}

// endOf is when a life ends that begins now.
func endOf(life gcnode.Lifetime) time.Time {
	if life == gcnode.Forever {
		return time.Time{}
	}
	left, _ := life.Duration()
	return time.Now().Add(left)
}
