package wasm

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSlicesFitTheTarget(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Now()
	slice := p.next(now)
	assert.EqualValues(t, sliceStart, slice)
	// A guest that needs 20 ns for a unit gets what lasts for a millisecond.
	for range 20 {
		now = now.Add(time.Duration(slice) * 20)
		slice = p.next(now)
	}
	assert.InDelta(t, 50_000, slice, 1)
	// One that is fast gets more, step by step and within bounds.
	for range 20 {
		now = now.Add(time.Duration(slice) / 100)
		next := p.next(now)
		assert.LessOrEqual(t, next, 2*slice)
		slice = next
	}
	assert.EqualValues(t, sliceMax, slice)
	// One that turns out to be slow gets less at once.
	now = now.Add(time.Second)
	assert.EqualValues(t, sliceMin, p.next(now))
	// Time in which it did not compute says nothing.
	p.interrupted()
	now = now.Add(time.Hour)
	assert.EqualValues(t, sliceMin, p.next(now))
	now = now.Add(time.Hour)
	p.resumed(now)
	now = now.Add(sliceMin)
	assert.EqualValues(t, 2*sliceMin, p.next(now))
}

func TestHostFunctionsLookAtTheClockNowAndThen(t *testing.T) {
	t.Parallel()
	var p pace
	looks := 0
	for range 10 * checkEvery {
		if p.due(0) {
			looks++
		}
	}
	assert.Equal(t, 10, looks)
	assert.True(t, p.due(checkEvery*bytesPerUnit), "copying much counts like many calls")
}
