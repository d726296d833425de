package httptransport

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// leaving is a context that ends without waking anybody: whoever waits for
// something else as well finds that first.
type leaving struct {
	context.Context

	left atomic.Bool
}

func (l *leaving) Err() error {
	if l.left.Load() {
		return context.Canceled
	}
	return nil
}

// A caller that leaves at the moment when it gets its turn to write does not take
// the turn with it.
func TestWhoeverLeavesWhenItsTurnComesPassesItOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		s := newStream(&peer{}, ours, nil, func() {}, nil)
		defer s.broken(io.EOF)
		require.NoError(t, s.out.acquire(t.Context()))
		pending := make([]byte, maxPending)
		_, _, err := s.out.add(true, func(b []byte) []byte { return append(b, pending...) })
		require.NoError(t, err)
		ctx := &leaving{Context: context.WithoutCancel(t.Context())}
		begun := make(chan error)
		go func() {
			_, err := s.begin(ctx, []byte("request"))
			begun <- err
		}()
		synctest.Wait()
		ctx.left.Store(true)
		s.out.release()
		require.ErrorIs(t, <-begun, context.Canceled)
		_, err = io.ReadFull(theirs, pending)
		require.NoError(t, err)
		require.NoError(t, s.out.acquire(t.Context()))
		s.out.release()
	})
}
