package natstransport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestALineUsesItsMemoryAgain(t *testing.T) {
	l := &line{to: "peer"}
	pub := &publisher{}
	pub.init()
	l.init(pub, func(err error) { t.Error(err) })
	data := make([]byte, maxPending/2)
	send := func() *byte {
		l.mu.Lock()
		l.append(func(b []byte) []byte { return append(b, data...) })
		memory := &l.buf[0]
		l.mu.Unlock()
		for size := -1; size != 0; l.sent() {
			_, _, size = l.next(maxPacketData + headRoom)
			l.theirs += uint64(size)
		}
		return memory
	}
	trim := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.trim()
	}
	memory := send()
	require.Same(t, memory, send())
	trim()
	require.Same(t, memory, send(), "it was needed a moment ago")
	trim()
	require.Greater(t, cap(l.buf), keptBytes)
	trim()
	require.LessOrEqual(t, cap(l.buf), keptBytes, "it was not needed for a while")
	require.NotSame(t, memory, send())
}
