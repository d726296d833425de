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

// filledPool lends out n slots, numbered from 0, all of which are taken.
func filledPool(t *testing.T, n, share, maxWaiting int) (*pool[int], []*slot[int]) {
	t.Helper()
	p := newPool[int](n, share, maxWaiting)
	var taken []*slot[int]
	for i := range n {
		s, err := p.acquire(t.Context(), soon(), nothing)
		require.NoError(t, err)
		require.False(t, s.filled)
		s.item, s.filled = i, true
		taken = append(taken, s)
	}
	return p, taken
}

func TestPoolLendsTheItemThatWasUsedLast(t *testing.T) {
	t.Parallel()
	p, taken := filledPool(t, 3, 1, 0)
	for _, s := range taken {
		require.False(t, p.release(s, 1, false))
	}
	for _, want := range []int{2, 1, 0} {
		got, err := p.acquire(t.Context(), soon(), nothing)
		require.NoError(t, err)
		require.True(t, got.filled)
		assert.Equal(t, want, got.item)
	}
	_, err := p.acquire(t.Context(), soon(), nothing)
	require.ErrorIs(t, err, errQueueFull)
}

func TestPoolServesWaitersInTheirOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, taken := filledPool(t, 1, 1, 3)
		waited := 0
		served := make(chan *slot[int], 3)
		for range 3 {
			go func() {
				s, err := p.acquire(t.Context(), soon(), func() { waited++ })
				assert.NoError(t, err)
				served <- s
			}()
			synctest.Wait()
		}
		_, err := p.acquire(t.Context(), soon(), nothing)
		require.ErrorIs(t, err, errQueueFull, "the queue is bounded")
		assert.Equal(t, 3, waited)

		require.False(t, p.release(taken[0], 1, false))
		assert.Same(t, taken[0], <-served)
		p.discard(taken[0])
		p.drop()
		fresh := <-served
		assert.False(t, fresh.filled, "a place without an item is handed over too")
		require.False(t, p.release(fresh, 1, false))
		assert.Same(t, fresh, <-served)
	})
}

func TestPoolWaitEndsWithTheDeadlineOrTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, taken := filledPool(t, 1, 2, 2)
		begin := time.Now()
		_, err := p.acquire(t.Context(), begin.Add(time.Second), nothing)
		require.ErrorIs(t, err, errQueueTime)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, p.reacquire(t.Context(), time.Now().Add(time.Second), taken[0]), errQueueTime)
		assert.Equal(t, 2*time.Second, time.Since(begin))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = p.acquire(ctx, soon(), nothing)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, _, waiting := p.figures()
		assert.Zero(t, waiting, "who gave up does not wait")

		require.False(t, p.release(taken[0], 1, false))
		s, err := p.acquire(t.Context(), soon(), nothing)
		require.NoError(t, err)
		assert.Same(t, taken[0], s, "nothing was handed to those who gave up")
	})
}

func TestPoolServesThoseWhoGiveUpAtTheSameMoment(t *testing.T) {
	t.Parallel()
	p, taken := filledPool(t, 1, 1, 1)
	w, place := enqueue[int](&p.waiting)
	require.False(t, p.release(taken[0], 1, false), "hands the slot to the waiter")
	l, served := p.giveUp(w, &p.waiting, place)
	require.True(t, served, "a slot that was handed over is not lost")
	assert.Equal(t, loan[int]{slot: taken[0]}, l)
}

func TestPoolClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, taken := filledPool(t, 2, 1, 2)
		errs := make(chan error, 1)
		go func() {
			_, err := p.acquire(t.Context(), soon(), nothing)
			errs <- err
		}()
		synctest.Wait()
		assert.Empty(t, p.close(), "both are lent")
		p.close()
		require.ErrorIs(t, <-errs, errPoolClosed, "who waits is told")
		_, err := p.acquire(t.Context(), soon(), nothing)
		require.ErrorIs(t, err, errPoolClosed)
		require.True(t, p.release(taken[0], 1, false), "nothing comes back")
		p.drop()
		select {
		case <-p.empty:
			t.Fatal("one place is still taken")
		default:
		}
		p.discard(taken[1])
		p.drop()
		<-p.empty
	})
}

func TestPoolCloseWithIdleItems(t *testing.T) {
	t.Parallel()
	p, taken := filledPool(t, 2, 1, 0)
	p.release(taken[0], 1, false)
	p.release(taken[1], 1, false)
	assert.Equal(t, taken, p.close())
	p.drop()
	p.drop()
	<-p.empty

	unused := newPool[int](1, 1, 0)
	unused.close()
	<-unused.empty
}

func TestPoolLendsAnItemWithOpenRequestsUpToItsShare(t *testing.T) {
	t.Parallel()
	p, taken := filledPool(t, 1, 3, 0)
	s := taken[0]
	for range 2 {
		require.False(t, p.release(s, 0, false), "the request stays open")
		got, err := p.acquire(t.Context(), soon(), nothing)
		require.NoError(t, err)
		assert.Same(t, s, got)
	}
	require.False(t, p.release(s, 0, false))
	_, err := p.acquire(t.Context(), soon(), nothing)
	require.ErrorIs(t, err, errQueueFull, "three requests are open")

	require.NoError(t, p.reacquire(t.Context(), soon(), s), "open requests come back nevertheless")
	require.False(t, p.release(s, 1, false))
	_, err = p.acquire(t.Context(), soon(), nothing)
	require.NoError(t, err, "one is over")
	_, idle, _ := p.figures()
	assert.Zero(t, idle)
}

func TestPoolServesReturningRequestsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, taken := filledPool(t, 1, 2, 1)
		s := taken[0]
		require.False(t, p.release(s, 0, false))
		_, err := p.acquire(t.Context(), soon(), nothing)
		require.NoError(t, err)
		order := make(chan string, 2)
		go func() {
			_, err := p.acquire(t.Context(), soon(), nothing)
			assert.NoError(t, err)
			order <- "new"
		}()
		synctest.Wait()
		go func() {
			assert.NoError(t, p.reacquire(t.Context(), soon(), s))
			order <- "returning"
		}()
		synctest.Wait()
		require.False(t, p.release(s, 1, false))
		assert.Equal(t, "returning", <-order)
		require.False(t, p.release(s, 0, false))
		assert.Equal(t, "new", <-order)
	})
}

// Requests of a guest that yields come back as soon as they are gone.
func TestPoolServesNewRequestsBetweenThoseThatComeBack(t *testing.T) {
	t.Parallel()
	p, taken := filledPool(t, 1, 4, 2)
	s := taken[0]
	require.False(t, p.release(s, 0, false))
	_, err := p.acquire(t.Context(), soon(), nothing)
	require.NoError(t, err)
	var fresh [2]*waiter[int]
	for i := range fresh {
		fresh[i], _ = enqueue[int](&p.waiting)
	}
	back, _ := enqueue[int](&s.returning)
	var order string
	for range 6 {
		again, _ := enqueue[int](&s.returning) // there is always one
		require.False(t, p.release(s, 0, false))
		select {
		case <-back.ready:
			order += "back "
			back = again
		case <-fresh[0].ready:
			order += "new "
			fresh[0] = fresh[1]
			s.returning.Remove(s.returning.Back())
		}
	}
	assert.Equal(t, "back new back new back back ", order)
}

func TestPoolPassesTheRoomOfARequestThatLeftOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, taken := filledPool(t, 1, 1, 1)
		s := taken[0]
		require.False(t, p.release(s, 0, false))
		served := make(chan *slot[int])
		go func() {
			got, err := p.acquire(t.Context(), soon(), nothing)
			assert.NoError(t, err)
			served <- got
		}()
		synctest.Wait()
		require.False(t, p.leave(s))
		assert.Same(t, s, <-served)
	})
}

func TestPoolKeepsWhatHasOpenRequests(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(p *pool[int], s *slot[int]){
		"retired": func(p *pool[int], s *slot[int]) { p.release(s, 0, true) },
		"closed":  func(p *pool[int], s *slot[int]) { p.release(s, 0, false); p.close() },
	} {
		p, taken := filledPool(t, 1, 2, 0)
		end(p, taken[0])
		require.NoError(t, p.reacquire(t.Context(), soon(), taken[0]), name)
		require.False(t, p.release(taken[0], 0, false), name)
		assert.True(t, p.leave(taken[0]), "%s: spent with its last request", name)
		require.ErrorIs(t, p.reacquire(t.Context(), soon(), taken[0]), errSlotGone, name)
	}
}

func TestPoolTellsReturningRequestsOfADiscardedItem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, taken := filledPool(t, 1, 2, 0)
		errs := make(chan error)
		go func() { errs <- p.reacquire(t.Context(), soon(), taken[0]) }()
		synctest.Wait()
		p.discard(taken[0])
		require.ErrorIs(t, <-errs, errSlotGone)
		require.ErrorIs(t, p.reacquire(t.Context(), soon(), taken[0]), errSlotGone)
		assert.False(t, p.leave(taken[0]), "that is not for the one who leaves to do")
		p.drop()
		p.close()
		<-p.empty
	})
}
