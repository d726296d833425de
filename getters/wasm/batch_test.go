package wasm

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

var _ gcnode.BatchGetter[gcnode.Value] = (*Plugin)(nil)

// getMany asks for several keys, and returns each answer as a string.
func getMany(tb testing.TB, p *Plugin, keys ...string) []string {
	tb.Helper()
	answers := make([]string, len(keys))
	require.NoError(tb, p.GetItems(tb.Context(), keys, func(i int, it gcnode.Item[gcnode.Value], err error) {
		assert.Empty(tb, answers[i], "a key is answered once")
		answers[i] = it.Value.String()
		if err != nil {
			answers[i] = gcnode.KindOf(err).String()
		}
	}))
	return answers
}

func TestBatch(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1, Pending: 1})
	assert.Equal(t,
		[]string{"a", "body of /x", "b", "body of /0,body of /1", "too large"},
		getMany(t, p, "echo:a", "fetch:"+origin.url+"/x", "echo:b", "many:2:"+origin.url+"/", strings.Repeat("k", gcnode.MaxKeyBytes+1)))
	assert.Equal(t, []string{"only"}, getMany(t, p, "echo:only"))
	assert.Empty(t, getMany(t, p))
	s := p.Stats()
	assert.EqualValues(t, 5, s.Calls.OK)
	assert.EqualValues(t, 1, s.Calls.TooLarge)
	assert.EqualValues(t, 1, s.Instances.Created)
	assert.Zero(t, s.Instances.Pending)
}

func TestBatchDoesNotWaitForItsSlowestKey(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1})
	var order []int
	keys := []string{"fetch:" + origin.url + "/wait", "fetch:" + origin.url + "/x", "echo:a"}
	require.NoError(t, p.GetItems(t.Context(), keys, func(i int, _ gcnode.Item[gcnode.Value], err error) {
		assert.NoError(t, err)
		if order = append(order, i); len(order) == 2 {
			close(origin.open)
		}
	}))
	assert.Equal(t, []int{2, 1, 0}, order)
}

func TestBatchOfAGuestThatFails(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1})
	assert.Equal(t, []string{"a", "permanent failure"}, getMany(t, p, "echo:a", "silent"), "what was answered counts")
	assert.Equal(t, []string{"permanent failure"}, getMany(t, p, "strand"))
	assert.Equal(t, []string{"a", "permanent failure"}, getMany(t, p, "echo:a", "panic:"+origin.url))
	get(t, p, "echo:") // starts an instance
	ctx, cancel := context.WithCancel(t.Context())
	kinds := map[int]gcnode.Kind{}
	require.NoError(t, p.GetItems(ctx, []string{"fetch:" + origin.url + "/wait", "echo:a"}, func(i int, _ gcnode.Item[gcnode.Value], err error) {
		if cancel(); err != nil {
			kinds[i] = gcnode.KindOf(err)
		}
	}))
	assert.Equal(t, map[int]gcnode.Kind{0: gcnode.KindTransient}, kinds)
	assert.Equal(t, "again", get(t, p, "echo:again"))
}

// A caller may be gone when an instance is free, as may one of a single key.
func TestBatchThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	p := loadAsync(t, Options{Instances: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	yielded := 0
	require.NoError(t, p.GetItems(ctx, []string{"echo:a", "silent"}, func(_ int, _ gcnode.Item[gcnode.Value], err error) {
		yielded++
		require.ErrorIs(t, err, context.Canceled)
		wantKind(t, err, gcnode.KindTransient)
	}))
	assert.Equal(t, 2, yielded)
	assert.Equal(t, DiscardStats{}, p.Stats().Instances.Discarded, "the guest was not called")
	assert.Equal(t, "b", get(t, p, "echo:b"))
	require.NoError(t, p.Close(t.Context()))
}

func TestBatchOfAModuleWithoutGetMany(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Instances: 2, Queue: -1})
	var keys, want []string
	for i := range 50 {
		keys = append(keys, fmt.Sprintf("echo:%d", i))
		want = append(want, strconv.Itoa(i))
	}
	assert.Equal(t, want, getMany(t, p, keys...))
	assert.Equal(t, []string{"denied"}, getMany(t, p, "answer:4:-1:no"))
}

func TestBatchAfterClose(t *testing.T) {
	t.Parallel()
	p := loadAsync(t, Options{})
	require.NoError(t, p.Close(t.Context()))
	assert.Equal(t, []string{"shutting down", "shutting down"}, getMany(t, p, "echo:a", "echo:b"))
}
