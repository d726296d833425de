package wasm

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// The time of a bubble stands still while anything computes, so that only waiting
// takes any.
func TestTimesSayWhatWasWaitedFor(t *testing.T) {
	t.Parallel()
	verbsModule(t) // built in real time
	synctest.Test(t, func(t *testing.T) {
		const exchange = time.Second
		p := loadVerbs(t, Options{Instances: 1, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			<-time.After(exchange)
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("b"))}, nil
		})})
		get(t, p, "echo:x")
		assert.Equal(t, TimeStats{}, p.Stats().Times)
		first := getLater(t.Context(), p, "fetch:0:0:GET:"+somewhere[0])
		synctest.Wait()
		second := getLater(t.Context(), p, "fetch:0:0:GET:"+somewhere[0])
		require.NoError(t, (<-first).err)
		require.NoError(t, (<-second).err)
		assert.Equal(t, TimeStats{Fetch: 2 * exchange, Queue: exchange}, p.Stats().Times)
		get(t, p, "sleep:5000")
		assert.Equal(t, TimeStats{Fetch: 2 * exchange, Queue: exchange}, p.Stats().Times, "the guest did not compute")
	})
}

func TestTimesSayHowLongGuestsComputed(t *testing.T) {
	t.Parallel()
	a, f := newHostile()
	p := loadModule(t, a.getter(hostile(f.respond, forever()...)...).bytes(), Options{Instances: 1})
	assert.Positive(t, p.Stats().Times.Compile)
	getWithin(t, p, 50*time.Millisecond, "endless", gcnode.KindTimeout)
	assert.Greater(t, p.Stats().Times.Guest, 40*time.Millisecond)
	assert.Zero(t, p.Stats().Times.Fetch)
}

// Fuel does not depend on the machine, as time does.
func TestFuelOfARequestIsBounded(t *testing.T) {
	t.Parallel()
	a, f := newHostile()
	p := loadModule(t, a.getter(hostile(f.respond, forever()...)...).bytes(), Options{Instances: 1, MaxFuel: 100_000, Timeout: patience})
	for range 3 {
		e := getError(t, p, "endless", gcnode.KindPermanent)
		assert.ErrorContains(t, e, "the module used up the fuel of a request, 100000")
	}
	assert.Equal(t, DiscardStats{Fuel: 3}, p.Stats().Instances.Discarded)
	fuel := p.Stats().Fuel
	assert.InDelta(t, 300_000, fuel, 1000)
}

// Each request has what one may use, whatever others have used in its instance,
// also if it is resumed in between.
func TestFuelBelongsToTheRequest(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	close(origin.open)
	const most = 1_000_000
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1, MaxFuel: most, FuelSlice: 100})
	fuelOf := func(key string) uint64 {
		before := p.Stats().Fuel
		get(t, p, key)
		return p.Stats().Fuel - before
	}
	for total := uint64(0); total < 3*most; {
		total += fuelOf("again:" + origin.url + "/x")
	}
	assert.Zero(t, p.Stats().Instances.Discarded)
	e := getError(t, p, "yield:1000000", gcnode.KindPermanent)
	assert.ErrorContains(t, e, "the fuel of a request")
	assert.Equal(t, DiscardStats{Fuel: 1}, p.Stats().Instances.Discarded)
}

func TestInstanceOfItsOwnForEachRequest(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	events := map[string]int{}
	note := func(event string) {
		mu.Lock()
		defer mu.Unlock()
		events[event]++
	}
	origin := newOrigin(t, func(http.ResponseWriter, *http.Request) {})
	p := loadVerbs(t, Options{Instances: 2, CallsPerInstance: 1, AllowFetch: []string{origin.URL}, Hooks: Hooks{
		Started:   func(took time.Duration) { assert.Positive(t, took); note("started") },
		Discarded: note,
		Fetched: func(e FetchEvent) {
			assert.Positive(t, e.Took)
			e.Took = 0
			switch e.URL {
			case origin.URL:
				assert.Equal(t, FetchEvent{Method: "GET", URL: origin.URL, Status: 200}, e)
			default:
				assert.Equal(t, FetchEvent{Method: "GET", URL: "http://elsewhere", Failure: "denied"}, e)
			}
			note("fetched")
		},
	}})
	for range 5 {
		get(t, p, "echo:x")
	}
	fetchThrough(t, p, "0:0:GET:"+origin.URL)
	fetchThrough(t, p, "0:0:GET:http://elsewhere")
	getError(t, p, "exit:1", gcnode.KindPermanent)
	require.NoError(t, p.Close(context.Background()))
	assert.Equal(t, DiscardStats{Worn: 7, Exit: 1}, p.Stats().Instances.Discarded)
	assert.Equal(t, map[string]int{"started": 8, "worn": 7, "exit": 1, "fetched": 2}, events)
}
