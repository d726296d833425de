package httptransport

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNoncesAreKeptForTheWindowAndNoLonger adds some over a long time, beside a
// model that forgets nothing.
func TestNoncesAreKeptForTheWindowAndNoLonger(t *testing.T) {
	const window = 30 * time.Second
	n := newNonces(window, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	begun := time.UnixMilli(1_700_000_000_000)
	type entry struct {
		id nonce
		at time.Time
	}
	var all []entry
	now := begun
	for i := range 20_000 {
		now = now.Add(time.Duration(random.Int64N(int64(100 * time.Millisecond))))
		e := entry{at: now.Add(time.Duration(random.Int64N(int64(2*window))) - window)}
		binary.BigEndian.PutUint64(e.id[:], uint64(i))
		require.Equal(t, isNew, n.add(e.id, e.at, now, isMember))
		all = append(all, e)
		old := all[random.IntN(len(all))]
		if now.Sub(old.at) <= window {
			require.Equal(t, isRepeated, n.add(old.id, old.at, now, isMember), "%v after its time", now.Sub(old.at))
		}
	}
	live := 0
	for _, e := range all {
		if now.Sub(e.at) <= 2*window { // with the rest of a stretch
			live++
		}
	}
	require.LessOrEqual(t, n.count, live)
	require.LessOrEqual(t, len(n.stretches), 4)
}

// TestAClockThatIsSetBackLetsNothingInAgain forgets a nonce, and sets the clock
// back to its time.
func TestAClockThatIsSetBackLetsNothingInAgain(t *testing.T) {
	n := newNonces(time.Second, 10)
	now := time.UnixMilli(1_700_000_000_000)
	require.Equal(t, isNew, n.add(nonce{1}, now, now, isMember))
	later := now.Add(time.Minute)
	require.Equal(t, isNew, n.add(nonce{2}, later, later, isMember))
	require.Equal(t, isForgotten, n.add(nonce{1}, now, now, isMember))
}

// TestNoncesAreLimited fills the memory, and waits until the first are forgotten.
func TestNoncesAreLimited(t *testing.T) {
	n := newNonces(time.Second, 3)
	now := time.UnixMilli(1_700_000_000_000)
	for i := range 3 {
		require.Equal(t, isNew, n.add(nonce{byte(i)}, now, now, isMember))
	}
	require.Equal(t, isOneTooMany, n.add(nonce{4}, now, now, isMember))
	require.Equal(t, isRepeated, n.add(nonce{0}, now, now, isMember), "what is there is still known")
	now = now.Add(2 * time.Second)
	require.Equal(t, isNew, n.add(nonce{4}, now, now, isMember))
	require.Equal(t, 1, n.count)
}

// TestNoncesOfClientsHaveHalfOfTheRoom fills that, and waits until they are
// forgotten.
func TestNoncesOfClientsHaveHalfOfTheRoom(t *testing.T) {
	n := newNonces(time.Second, 4)
	now := time.UnixMilli(1_700_000_000_000)
	for i := range 2 {
		require.Equal(t, isNew, n.add(nonce{byte(i)}, now, now, isClient))
	}
	require.Equal(t, isOneTooManyOfClients, n.add(nonce{2}, now, now, isClient))
	require.Equal(t, isNew, n.add(nonce{3}, now, now, isMember))
	now = now.Add(2 * time.Second)
	for i := range 2 {
		require.Equal(t, isNew, n.add(nonce{byte(i)}, now, now, isClient))
	}
	require.Equal(t, isOneTooManyOfClients, n.add(nonce{2}, now, now, isClient))
}
