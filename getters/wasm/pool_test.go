package wasm

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func nothing() {}

// soon is a deadline that no test reaches unless it waits for it.
func soon() time.Time { return time.Now().Add(time.Minute) }

// filledPool lends out items 1 to n, all of which are taken.
func filledPool(t *testing.T, n, maxWaiting int) *pool[int] {
	t.Helper()
	p := newPool[int](n, maxWaiting)
	for range n {
		_, filled, err := p.acquire(t.Context(), soon(), nothing)
		require.NoError(t, err)
		require.False(t, filled)
	}
	return p
}

func TestPoolLendsTheItemThatWasUsedLast(t *testing.T) {
	t.Parallel()
	p := filledPool(t, 3, 0)
	for i := range 3 {
		require.True(t, p.release(i))
	}
	for _, want := range []int{2, 1, 0} {
		got, filled, err := p.acquire(t.Context(), soon(), nothing)
		require.NoError(t, err)
		require.True(t, filled)
		assert.Equal(t, want, got)
	}
	_, _, err := p.acquire(t.Context(), soon(), nothing)
	require.ErrorIs(t, err, errQueueFull)
}

func TestPoolServesWaitersInTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := filledPool(t, 1, 3)
		waited := 0
		served := make(chan [2]int, 3)
		for i := range 3 {
			go func() {
				item, filled, err := p.acquire(t.Context(), soon(), func() { waited++ })
				assert.NoError(t, err)
				if !filled {
					item = -1
				}
				served <- [2]int{i, item}
			}()
			synctest.Wait()
		}
		_, _, err := p.acquire(t.Context(), soon(), nothing)
		require.ErrorIs(t, err, errQueueFull, "the queue is bounded")
		assert.Equal(t, 3, waited)

		p.release(7)
		assert.Equal(t, [2]int{0, 7}, <-served)
		p.drop()
		assert.Equal(t, [2]int{1, -1}, <-served, "a place without an item is handed over too")
		p.release(8)
		assert.Equal(t, [2]int{2, 8}, <-served)
	})
}

func TestPoolWaitEndsWithTheDeadlineOrTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := filledPool(t, 1, 2)
		begin := time.Now()
		_, _, err := p.acquire(t.Context(), begin.Add(time.Second), nothing)
		require.ErrorIs(t, err, errQueueTime)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(begin))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err = p.acquire(ctx, soon(), nothing)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, _, waiting := p.figures()
		assert.Zero(t, waiting, "who gave up does not wait")

		require.True(t, p.release(1))
		item, filled, err := p.acquire(t.Context(), soon(), nothing)
		require.NoError(t, err)
		assert.True(t, filled)
		assert.Equal(t, 1, item, "nothing was handed to those who gave up")
	})
}

func TestPoolServesThoseWhoGiveUpAtTheSameMoment(t *testing.T) {
	t.Parallel()
	p := filledPool(t, 1, 1)
	w := &waiter[int]{ready: make(chan loan[int], 1)}
	place := p.waiting.PushBack(w)
	require.True(t, p.release(5), "hands the item to the waiter")
	l, served := p.leave(w, place)
	require.True(t, served, "an item that was handed over is not lost")
	assert.Equal(t, loan[int]{item: 5, filled: true}, l)
}

func TestPoolClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := filledPool(t, 2, 2)
		require.True(t, p.release(1))
		_, filled, err := p.acquire(t.Context(), soon(), nothing)
		require.NoError(t, err)
		require.True(t, filled)
		errs := make(chan error, 1)
		go func() {
			_, _, err := p.acquire(t.Context(), soon(), nothing)
			errs <- err
		}()
		synctest.Wait()
		p.close()
		p.close()
		require.ErrorIs(t, <-errs, errPoolClosed, "who waits is told")
		_, _, err = p.acquire(t.Context(), soon(), nothing)
		require.ErrorIs(t, err, errPoolClosed)
		require.False(t, p.release(1), "nothing comes back")
		p.drop()
		select {
		case <-p.empty:
			t.Fatal("one place is still taken")
		default:
		}
		p.drop()
		<-p.empty
	})
}

func TestPoolCloseWithIdleItems(t *testing.T) {
	t.Parallel()
	p := filledPool(t, 2, 0)
	p.release(1)
	p.release(2)
	p.close()
	assert.Equal(t, []int{1, 2}, p.drain())
	p.drop()
	p.drop()
	<-p.empty

	unused := newPool[int](1, 0)
	unused.close()
	<-unused.empty
}
