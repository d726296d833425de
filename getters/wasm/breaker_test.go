package wasm

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	gcnode "github.com/gcnode/gcnode/core"
)

func TestModuleThatLosesItsInstancesIsSpared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, f := newHostile()
		p := loadModule(t, a.getter(hostile(f.respond, opUnreachable)...).bytes(), Options{Instances: 1, BreakAfter: 3})
		lose := func() { getError(t, p, "hostile", gcnode.KindPermanent) }
		spared := func(retry time.Duration) {
			created := p.Stats().Instances.Created
			e := getError(t, p, goodKey, gcnode.KindOverloaded)
			assert.ErrorContains(t, e, "instances were lost one after the other")
			assert.Equal(t, retry, e.RetryAfter)
			assert.Equal(t, created, p.Stats().Instances.Created)
		}
		lose()
		lose()
		get(t, p, goodKey) // not in a row
		lose()
		lose()
		lose()
		spared(time.Second)
		time.Sleep(time.Second - 1)
		spared(1)
		for _, pause := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, longestBreak, longestBreak} {
			time.Sleep(time.Until(p.breaker.until))
			lose()
			spared(pause)
		}
		time.Sleep(longestBreak)
		get(t, p, goodKey)
		lose()
		lose()
		get(t, p, goodKey)
		assert.Equal(t, DiscardStats{Trap: 13}, p.Stats().Instances.Discarded)
	})
}

// One request is let through, and those behind it wait for what comes of it.
func TestOneRequestTriesAModuleThatWasSpared(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	b := breaker{after: 1}
	b.discarded(discardClosed, now)
	b.discarded(discardWorn, now)
	b.discarded(discardMemory, now)
	b.discarded(discardCanceled, now)
	assert.NoError(t, b.pass(now), "that is not for what the module did")
	b.discarded(discardContract, now)
	assert.Equal(t, brokenError(time.Second), b.pass(now))
	now = now.Add(time.Second)
	assert.NoError(t, b.pass(now))
	assert.Equal(t, brokenError(time.Second), b.pass(now))
	now = now.Add(time.Second)
	assert.NoError(t, b.pass(now), "nothing was heard of the first one")
	b.worked()
	assert.NoError(t, b.pass(now))
	assert.NoError(t, b.pass(now))
}
