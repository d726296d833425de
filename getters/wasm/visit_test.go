package wasm

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// pendingVisit is a request that waits for a fetch which never gets its turn,
// and whose goroutine is the test. The guest traps when it is resumed; asked
// for a key of four bytes it answers request 1 beside its own.
func pendingVisit(t *testing.T) (p *Plugin, s *slot[*instance], r *request, d deadline) {
	t.Helper()
	a, f := newAsyncHostile()
	code := slices.Concat(
		localGet(1), constI32(4), []byte{opEq, opIf, opVoid},
		respondNumber(f.respond, constI32(1)), []byte{opDrop},
		respondNumber(f.respond, localGet(0)), []byte{opReturn, opEnd},
		startNothing(f, localGet(0)), constI32(turnPending))
	module := resumable(a.getter(code...), opUnreachable).bytes()
	p = loadModule(t, module, Options{AllowFetch: somewhere, StoreBytes: 1, Instances: 1, ParallelFetches: 1})
	p.fetcher.parallel <- struct{}{}
	d = p.newDeadline(t.Context())
	s, err := p.checkOut(&d)
	require.NoError(t, err)
	_, r, err = p.begin(s, d, "pending")
	require.NoError(t, err)
	require.EqualValues(t, 1, r.id)
	return p, s, r, d
}

// endings counts how often each request of a visit ends.
func endings() (over ending, count *int, last *error) {
	count, last = new(int), new(error)
	return func(_ *request, err error) { *count++; *last = err }, count, last
}

func TestAnswerThatArrivesAfterTheDeadlineIsNotDelivered(t *testing.T) {
	t.Parallel()
	p, s, r, d := pendingVisit(t)
	d.at = time.Now().Add(-time.Second)
	over, count, last := endings()
	p.resume(s, r.visit, arrival{r, 2, nil}, d, over)
	assert.Zero(t, *count, "that is found out by who waits")
	p.await(s, r.visit, d, over)
	assert.Equal(t, 1, *count)
	wantKind(t, *last, gcnode.KindTimeout)
	assert.Equal(t, DiscardStats{}, p.Stats().Instances.Discarded, "the guest was not resumed")
	get(t, p, "good")
}

func TestAnswerThatArrivesAfterTheRequestIsOver(t *testing.T) {
	t.Parallel()
	p, s, r, d := pendingVisit(t)
	get(t, p, "both")
	require.True(t, r.answered)
	over, count, last := endings()
	p.resume(s, r.visit, arrival{r, 2, nil}, d, over)
	assert.Zero(t, *count, "the answer is on its way already")
	p.await(s, r.visit, d, over)
	assert.Equal(t, 1, *count)
	assert.NoError(t, *last)
	assert.Equal(t, DiscardStats{}, p.Stats().Instances.Discarded)
	get(t, p, "good")
}
