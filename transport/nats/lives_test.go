package natstransport

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
)

func announcement(id, addr string, started int64) *wire.Announcement {
	return &wire.Announcement{Peer: gcnode.Peer{ID: id, Addr: addr}, Started: started, Heartbeat: time.Second}
}

// note takes an announcement that has to be in order.
func note(t *testing.T, l lives, a *wire.Announcement, now time.Time) (changed bool) {
	t.Helper()
	changed, err := l.note(a, now)
	require.NoError(t, err)
	return changed
}

// TestTheLastStartCounts has two lives of a member, in either order.
func TestTheLastStartCounts(t *testing.T) {
	now := time.Now()
	first, second := announcement("a", "x", 1), announcement("a", "w", 2)
	for _, order := range [][]*wire.Announcement{{first, second}, {second, first}} {
		l := lives{}
		for _, a := range order {
			require.True(t, note(t, l, a, now))
		}
		require.Equal(t, []gcnode.Peer{second.Peer}, l.members())
		bye := *second
		bye.Goodbye = true
		require.True(t, note(t, l, &bye, now))
		require.Equal(t, []gcnode.Peer{first.Peer}, l.members())
	}
	l := lives{} // the same start: by address
	note(t, l, announcement("a", "x", 1), now)
	note(t, l, announcement("a", "y", 1), now)
	require.Equal(t, "y", l.members()[0].Addr)
}

// TestMissedHeartbeats goes by the heartbeat that a member has announced.
func TestMissedHeartbeats(t *testing.T) {
	now := time.Now()
	l := lives{}
	slow := announcement("slow", "x", 1)
	slow.Heartbeat = 10 * time.Second
	note(t, l, slow, now)
	note(t, l, announcement("quick", "y", 1), now)
	require.False(t, l.expire(now.Add(missedHeartbeats*time.Second)))
	require.Len(t, l.members(), 2)
	require.False(t, note(t, l, announcement("quick", "y", 1), now.Add(2*time.Second)), "a heartbeat changes nothing")
	require.False(t, l.expire(now.Add(5*time.Second)))
	require.True(t, l.expire(now.Add(5*time.Second+1)))
	require.Equal(t, []gcnode.Peer{slow.Peer}, l.members())
	l.forgive(now.Add(time.Hour))
	require.False(t, l.expire(now.Add(time.Hour+30*time.Second)))
}

// TestLivesAreBounded announces more lives than are remembered.
func TestLivesAreBounded(t *testing.T) {
	now := time.Now()
	l := lives{}
	for i := range maxLives {
		note(t, l, announcement(strconv.Itoa(i), "", 1), now)
	}
	_, err := l.note(announcement("one more", "", 1), now)
	require.ErrorIs(t, err, errTooMany)
	require.Len(t, l, maxLives)
}
