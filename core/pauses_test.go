//go:build !race

// The race detector itself fails at times when so many goroutines of a bubble
// have ended: https://go.dev/issue/78156.

package gcnode_test

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPausesThatHaveEndedMakeRoomFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPausing(t, 2000)
		p.get(0, 1000)
		time.Sleep(2 * time.Second) // longer than a pause
		p.get(1000, 2000)
		if n := p.get(1000, 2000); n != 0 {
			t.Errorf("%d of 1000 pauses were forgotten in place of ones that had ended", n)
		}
	})
}
