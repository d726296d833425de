package wasm

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// asyncGuest is the Go guest of testdata/guests/async, built once.
var asyncGuest = sync.OnceValues(func() ([]byte, error) { return buildGuest("testdata/guests/async") })

func loadAsync(tb testing.TB, opts Options) *Plugin {
	tb.Helper()
	module, err := asyncGuest()
	require.NoError(tb, err)
	if opts.AllowFetch == nil {
		opts.AllowFetch = somewhere
	}
	if opts.StoreBytes == 0 {
		opts.StoreBytes = 1 << 20
	}
	return loadModule(tb, module, opts)
}

// gate is an origin that answers nothing under /wait until it is opened.
type gate struct {
	url     string
	arrived chan string
	open    chan struct{}
}

func newGate(tb testing.TB) *gate {
	tb.Helper()
	g := &gate{arrived: make(chan string, 10_000), open: make(chan struct{})}
	g.url = newOrigin(tb, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/wait") {
			g.arrived <- r.URL.Path
			select {
			case <-g.open:
			case <-r.Context().Done():
				return
			}
		}
		io.WriteString(w, "body of "+r.URL.Path)
	}).URL
	return g
}

type outcome struct {
	value string
	err   error
}

// getLater asks for a key in a goroutine of its own.
func getLater(ctx context.Context, p *Plugin, key string) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		item, err := p.GetItem(ctx, key)
		done <- outcome{item.Value.String(), err}
	}()
	return done
}

// waitPending waits until n requests are pending.
func waitPending(tb testing.TB, p *Plugin, n int) {
	tb.Helper()
	require.Eventually(tb, func() bool { return p.Stats().Instances.Pending == n }, patience, time.Millisecond)
}

func TestPendingRequestIsResumedWithTheAnswer(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1})
	assert.Equal(t, "body of /a", get(t, p, "fetch:"+origin.url+"/a"))
	assert.Equal(t, "body of /b,body of /b,nothing", get(t, p, "again:"+origin.url+"/b"), "an answer is read while it is delivered")
	assert.Equal(t, "failure 2", get(t, p, "fetch:http://elsewhere.invalid"))
	assert.Equal(t, "-2", get(t, p, "malformed"))
	assert.Equal(t, "body of /0,body of /1,body of /2", get(t, p, "many:3:"+origin.url+"/"))
	s := p.Stats()
	assert.EqualValues(t, 1, s.Instances.Created)
	assert.Equal(t, FetchStats{Started: 7, Denied: 1}, s.Fetches)
	assert.Zero(t, s.Instances.Pending)
}

func TestOneInstanceWaitsForManyFetchesAtOnce(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1, Pending: 50})
	var answers []<-chan outcome
	for i := range 50 {
		answers = append(answers, getLater(t.Context(), p, fmt.Sprintf("fetch:%s/wait/%d", origin.url, i)))
	}
	waitPending(t, p, 50)
	for range 50 {
		<-origin.arrived // all of them are at the origin
	}
	over := getLater(t.Context(), p, "echo:one more")
	require.Eventually(t, func() bool { return p.Stats().Queue.Waiting == 1 }, patience, time.Millisecond)
	close(origin.open)
	for i, done := range answers {
		assert.Equal(t, outcome{fmt.Sprintf("body of /wait/%d", i), nil}, <-done)
	}
	assert.Equal(t, outcome{"one more", nil}, <-over)
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func TestExchangesThatNobodyWaitsForQueue(t *testing.T) {
	t.Parallel()
	_, err := asyncGuest() // built in real time
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		const parallel, fetches = 2, 12
		var inside atomic.Int32
		leave := make(chan struct{})
		p := loadAsync(t, Options{Instances: 1, ParallelFetches: parallel, Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			inside.Add(1)
			defer inside.Add(-1)
			<-leave
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("b"))}, nil
		})})
		done := getLater(t.Context(), p, fmt.Sprintf("many:%d:%s/", fetches, somewhere[0]))
		for left := fetches; left > 0; left-- {
			synctest.Wait() // everything that can happen has happened
			assert.EqualValues(t, min(parallel, left), inside.Load())
			leave <- struct{}{}
		}
		assert.Equal(t, outcome{strings.Repeat(",b", fetches)[1:], nil}, <-done)
	})
}

func TestGuestComputesWhileRequestsArePending(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1})
	done := getLater(t.Context(), p, "fetch:"+origin.url+"/wait")
	<-origin.arrived
	assert.Equal(t, "meanwhile", get(t, p, "echo:meanwhile"))
	close(origin.open)
	assert.Equal(t, outcome{"body of /wait", nil}, <-done)
}

// A request that yields is resumed behind those whose answers are there.
func TestRequestsYieldToOthers(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1})
	assert.Equal(t, "yielded 0", get(t, p, "yield:1000"))
	assert.Equal(t, "[-1 1 -3]", get(t, p, "yields"), "of no request, once, and again; it is answered meanwhile")
	yielding := getLater(t.Context(), p, "yield:2000000000")
	waiting := getLater(t.Context(), p, "fetch:"+origin.url+"/wait")
	<-origin.arrived
	assert.Equal(t, "x", get(t, p, "echo:x"))
	close(origin.open)
	assert.Equal(t, outcome{"body of /wait", nil}, <-waiting)
	assert.Empty(t, yielding)
	getWithin(t, p, 50*time.Millisecond, "yield:2000000000", gcnode.KindTimeout)
	assert.Zero(t, p.Stats().Instances.Discarded)
}

func TestDeadlineOfAPendingRequestCostsNoInstance(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1, Pending: 2})
	getWithin(t, p, 50*time.Millisecond, "fetch:"+origin.url+"/wait", gcnode.KindTimeout)
	ctx, cancel := context.WithCancel(t.Context())
	done := getLater(ctx, p, "fetch:"+origin.url+"/wait")
	waitPending(t, p, 1)
	cancel()
	require.ErrorIs(t, (<-done).err, context.Canceled)
	assert.Equal(t, "2 0", get(t, p, "cancelled"), "the guest was told of both, and can not answer them any more")
	s := p.Stats().Instances
	assert.EqualValues(t, 1, s.Created)
	assert.Equal(t, DiscardStats{}, s.Discarded)
}

func TestFetchesEndWithTheirRequest(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	origin := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/wait") {
			io.WriteString(w, "body")
			return
		}
		<-r.Context().Done()
		ended <- struct{}{}
	})
	p := loadAsync(t, Options{AllowFetch: []string{origin.URL}, Instances: 1, Timeout: time.Hour})
	getWithin(t, p, 200*time.Millisecond, "fetch:"+origin.URL+"/wait", gcnode.KindTimeout)
	<-ended
	for key, want := range map[string]string{
		"first:" + origin.URL:           "body",  // answered in a later turn
		"hasty:" + origin.URL + "/wait": "hasty", // answered in the first one
	} {
		assert.Equal(t, want, get(t, p, key))
		over := make(chan struct{})
		go func() {
			p.fetches.Wait()
			close(over)
		}()
		select {
		case <-over:
		case <-time.After(patience):
			require.Fail(t, "the fetch goes on", key)
		}
	}
	assert.Equal(t, "again", get(t, p, "echo:again"))
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func TestRequestsMayBeAnsweredInTheTurnOfAnother(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1, Pending: 3})
	leader := getLater(t.Context(), p, "lead:"+origin.url+"/wait")
	<-origin.arrived
	waitPending(t, p, 1)
	followers := []<-chan outcome{getLater(t.Context(), p, "follow"), getLater(t.Context(), p, "follow")}
	waitPending(t, p, 3)
	close(origin.open)
	for _, f := range followers {
		assert.Equal(t, outcome{"followed body of /wait", nil}, <-f)
	}
	assert.Equal(t, outcome{"body of /wait", nil}, <-leader)
	assert.Equal(t, "again", get(t, p, "echo:again"), "their room is free again")
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func TestGuestsThatBreakThePromiseToAnswerLater(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1})
	for i, c := range []struct{ key, want string }{
		{"strand", "gcnode_get returned 1 with no fetch in flight"},
		{"lie", "gcnode_get returned 1 for a request that it has answered"},
		{"silent", "gcnode_get returned 0 without an answer"},
		{"silentresume:" + origin.url, "gcnode_resume returned 0 without an answer"},
	} {
		e := getError(t, p, c.key, gcnode.KindPermanent)
		assert.Contains(t, e.Error(), c.want)
		assert.Equal(t, DiscardStats{Contract: uint64(i) + 1}, p.Stats().Instances.Discarded)
	}
	e := getError(t, p, "panic:"+origin.url, gcnode.KindPermanent)
	assert.Contains(t, e.Error(), "trapped")
	assert.Equal(t, "again", get(t, p, "echo:again"))
}

func TestRequestsOfAnInstanceThatIsDiscardedAreBegunOnceMore(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1, Pending: 2})
	bystander := getLater(t.Context(), p, "fetch:"+origin.url+"/wait")
	<-origin.arrived
	getError(t, p, "panic:"+origin.url, gcnode.KindPermanent)
	<-origin.arrived
	close(origin.open)
	assert.Equal(t, outcome{"body of /wait", nil}, <-bystander)
	assert.Equal(t, DiscardStats{Trap: 1}, p.Stats().Instances.Discarded)
}

func TestRequestsWhoseInstanceIsDiscardedTwiceFail(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1, Pending: 2})
	bystander := getLater(t.Context(), p, "fetch:"+origin.url+"/wait")
	for range 2 {
		<-origin.arrived
		getError(t, p, "panic:"+origin.url, gcnode.KindPermanent)
	}
	e := wantKind(t, (<-bystander).err, gcnode.KindTransient)
	assert.Contains(t, e.Error(), "discarded while it worked for another request (trap)")
	assert.Equal(t, "again", get(t, p, "echo:again"))
}

func TestResumedGuestIsStoppedAtTheDeadline(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1})
	getWithin(t, p, 200*time.Millisecond, "spin:"+origin.url, gcnode.KindTimeout)
	assert.Equal(t, DiscardStats{Timeout: 1}, p.Stats().Instances.Discarded)
	assert.Equal(t, "again", get(t, p, "echo:again"))
}

func TestFloodOfFetchesIsBounded(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1, MaxFetches: 20})
	assert.Equal(t, "-3", get(t, p, "flood:21:"+origin.url+"/wait"))
	assert.NotEqual(t, "-3", get(t, p, "flood:20:"+origin.url+"/wait"), "the next request has its own budget")
}

func TestFetchesAtTheSameTimeShareTheBytes(t *testing.T) {
	t.Parallel()
	const size = 100_000
	var together sync.WaitGroup
	together.Add(4)
	origin := newOrigin(t, func(w http.ResponseWriter, _ *http.Request) {
		together.Done()
		together.Wait()
		io.WriteString(w, strings.Repeat("b", size))
	})
	p := loadAsync(t, Options{AllowFetch: []string{origin.URL}, Instances: 1, MaxFetchBytes: 2.5 * size})
	bodies := strings.Split(get(t, p, "many:4:"+origin.URL+"/"), ",")
	whole := slices.DeleteFunc(slices.Clone(bodies), func(b string) bool { return b == "failure 6" })
	assert.LessOrEqual(t, len(strings.Join(whole, "")), int(2.5*size))
	assert.Less(t, len(whole), 3)
}

func TestCloseWaitsForPendingRequests(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1})
	done := getLater(context.Background(), p, "fetch:"+origin.url+"/wait")
	waitPending(t, p, 1)
	closed := make(chan error)
	go func() { closed <- p.Close(context.Background()) }()
	require.Eventually(t, func() bool {
		_, err := p.GetItem(t.Context(), "echo:x")
		return gcnode.KindOf(err) == gcnode.KindDraining
	}, patience, time.Millisecond)
	close(origin.open)
	assert.Equal(t, outcome{"body of /wait", nil}, <-done)
	require.NoError(t, <-closed)
	assert.EqualValues(t, 1, p.Stats().Instances.Discarded.Closed)
}

func TestCloseStopsPendingRequestsWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 1, Timeout: time.Hour})
	done := getLater(context.Background(), p, "fetch:"+origin.url+"/wait")
	waitPending(t, p, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Close(ctx), context.Canceled)
	wantKind(t, (<-done).err, gcnode.KindDraining)
}

func TestHammerPendingRequests(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	p := loadAsync(t, Options{AllowFetch: []string{origin.url}, Instances: 2, Pending: 8})
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 30 {
				path := fmt.Sprintf("/%d/%d", i, j)
				switch (i + j) % 6 {
				case 0:
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(j)*time.Millisecond)
					_, err := p.GetItem(ctx, "fetch:"+origin.url+"/wait")
					cancel()
					assert.Error(t, err)
				case 1:
					if j%10 == 0 {
						_, err := p.GetItem(t.Context(), "panic:"+origin.url)
						assert.Error(t, err)
					}
				case 2:
					item, err := p.GetItem(t.Context(), "echo:"+path)
					assert.True(t, err == nil && item.Value.String() == path, "%v", err)
				default:
					item, err := p.GetItem(t.Context(), "fetch:"+origin.url+path)
					if err != nil { // another one's panic
						assert.Equal(t, gcnode.KindTransient, gcnode.KindOf(err), "%v", err)
						continue
					}
					assert.Equal(t, "body of "+path, item.Value.String())
				}
			}
		})
	}
	wg.Wait()
	s := p.Stats().Instances
	assert.Zero(t, s.Pending)
	assert.LessOrEqual(t, s.Live, 2)
}
