package natstransport

import (
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// closing is a publisher that is being closed, with a line. It is not connected:
// what is published is lost.
func closing(t *testing.T, shared bool) (p *publisher, l *line, closed *bool) {
	t.Helper()
	p, l, closed = &publisher{nc: &nats.Conn{}}, &line{to: "peer", shared: shared}, new(bool)
	p.init()
	l.init(p, func(error) {})
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 2 {
		l.append(func(b []byte) []byte { return append(b, make([]byte, minPayload)...) })
	}
	p.running.Add(2)
	go func() {
		p.close()
		*closed = true
	}()
	return p, l, closed
}

// start runs a part of the publisher, and returns when nothing is left to be done.
func start(p *publisher, run func()) {
	go func() {
		defer p.running.Done()
		run()
	}()
	synctest.Wait()
}

// What lingers when the publisher is closed goes out, and what is said last after
// that.
func TestAPublisherEndsAfterLinesThatLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l, closed := closing(t, true)
		start(p, p.runPrompt)
		l.mu.Lock()
		l.close(goodbye())
		l.mu.Unlock()
		start(p, p.runLingering)
		require.True(t, *closed)
		require.Nil(t, l.last)
	})
}

// What is prompt may linger when a part of it has gone out.
func TestAPublisherEndsAfterTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l, closed := closing(t, false)
		start(p, p.runLingering)
		start(p, p.runPrompt)
		require.True(t, *closed)
		require.Zero(t, l.pending())
	})
}
