package wasm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

func TestGoGuestAnswersKeysOfAnyBytes(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Instances: 1})
	for _, key := range []string{
		"", "a", "with space", "a+b", "a/b//c", ".", "..", "%2F", "nul\x00nul", "not utf-8 \xff\xfe",
		strings.Repeat("k", gcnode.MaxKeyBytes-len("echo:")),
	} {
		assert.Equal(t, key, get(t, p, "echo:"+key))
	}
	s := p.Stats()
	assert.EqualValues(t, 11, s.Calls.OK)
	assert.EqualValues(t, 1, s.Instances.Created, "one instance answers everything")
}

func TestKeyOverTheLimitIsTooLarge(t *testing.T) {
	t.Parallel()
	p := sharedVerbs(t)
	e := getError(t, p, strings.Repeat("k", gcnode.MaxKeyBytes+1), gcnode.KindTooLarge)
	assert.Contains(t, e.Error(), "65537 bytes")
}

func TestStatusesBecomeKinds(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Instances: 1})
	for status, kind := range map[int]gcnode.Kind{
		1: gcnode.KindNotFound, 2: gcnode.KindTransient, 3: gcnode.KindPermanent,
		4: gcnode.KindDenied, 5: gcnode.KindOverloaded,
	} {
		e := getError(t, p, fmt.Sprintf("answer:%d:-1:origin said no", status), kind)
		assert.Contains(t, e.Error(), "origin said no")
		assert.Equal(t, gcnode.OpGet, e.Op)
		assert.NotEmpty(t, e.Key)
	}
	s := p.Stats()
	assert.Equal(t, CallStats{NotFound: 1, Transient: 1, Permanent: 1, Denied: 1, Overloaded: 1}, s.Calls)
	assert.EqualValues(t, 1, s.Instances.Created, "an error is an ordinary answer")
}

func TestMessagesAreCutAndCleaned(t *testing.T) {
	t.Parallel()
	p := sharedVerbs(t)
	e := getError(t, p, "answer:3:-1:"+"a\x1b[31mb\r\nc\xffd\u202ee"+strings.Repeat("x", 3000), gcnode.KindPermanent)
	require.Error(t, e.Err)
	assert.True(t, strings.HasPrefix(e.Err.Error(), "a[31mb | cdexxx"), "%q", e.Err)
	assert.LessOrEqual(t, len(e.Err.Error()), 1024)

	e = getError(t, p, "answer:1:-1:", gcnode.KindNotFound)
	require.NoError(t, e.Err, "an empty message is none")
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	p := sharedVerbs(t)
	for ttl, want := range map[int64]gcnode.Lifetime{
		-1: 0, 0: gcnode.NoStore, 1: gcnode.For(time.Millisecond), 60_000: gcnode.For(time.Minute),
		math.MaxInt64: gcnode.Forever,
	} {
		item, err := p.GetItem(t.Context(), fmt.Sprintf("answer:0:%d:v", ttl))
		require.NoError(t, err)
		assert.Equal(t, want, item.Keep)

		item, err = p.GetItem(t.Context(), fmt.Sprintf("answer:1:%d:gone", ttl))
		wantKind(t, err, gcnode.KindNotFound)
		assert.Equal(t, want, item.Keep, "the life of a negative entry")

		item, err = p.GetItem(t.Context(), fmt.Sprintf("answer:2:%d:later", ttl))
		wantKind(t, err, gcnode.KindTransient)
		assert.Zero(t, item.Keep, "errors have no life")
	}
}

func TestBadArgumentsOfRespondAnswerNothing(t *testing.T) {
	t.Parallel()
	p := sharedVerbs(t)
	for _, key := range []string{"answer:6:-1:x", "answer:-1:-1:x", "answer:0:-2:x"} {
		e := getError(t, p, key, gcnode.KindPermanent)
		assert.Contains(t, e.Error(), "without an answer")
	}
}

func TestValueOverTheLimit(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{MaxValueBytes: 1000, Instances: 1})
	assert.Len(t, get(t, p, "size:1000"), 1000)
	e := getError(t, p, "size:1001", gcnode.KindTooLarge)
	assert.Contains(t, e.Error(), "1001 bytes; at most 1000")
	assert.EqualValues(t, 1, p.Stats().Instances.Created)
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Config: map[string]string{"b": "2", "a": "one", "": "empty"}})
	assert.Equal(t, "one", get(t, p, "config:a"))
	assert.Empty(t, get(t, p, "config:c"))
	assert.Equal(t,
		"\x00\x00\x00\x00\x05\x00\x00\x00empty"+
			"\x01\x00\x00\x00\x03\x00\x00\x00aone"+
			"\x01\x00\x00\x00\x01\x00\x00\x00b2",
		get(t, p, "configuration"))
}

func TestRefusedConfigurationFailsTheLoad(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", maxComplaintBytes/2)
	for reason, want := range map[string]string{
		"unknown setting\n\x1b[0mlimit": "refused the configuration with the result 1: unknown setting | [0mlimit",
		"bad limit;;bad name":           "refused the configuration with the result 1: bad limit | bad name",
		"first;" + long + "x":           "refused the configuration with the result 1: " + long[len("ä"):] + "x",
	} {
		_, err := Load(t.Context(), verbsModule(t), Options{
			Config: map[string]string{"refuse": reason}, AllowFetch: somewhere, CacheDir: compiled,
			Logger: slog.New(slog.DiscardHandler), Timeout: patience,
		})
		require.Error(t, err)
		assert.True(t, strings.HasSuffix(err.Error(), want), "%s", err)
	}
}

func TestDeadlineCoversComputingAndSleeping(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Timeout: time.Hour, Instances: 1})
	begin := time.Now()
	assert.Equal(t, "awake", get(t, p, "sleep:20"))
	assert.GreaterOrEqual(t, time.Since(begin), 20*time.Millisecond)

	for i, key := range []string{"spin", "sleep:3600000"} {
		e := getWithin(t, p, 100*time.Millisecond, key, gcnode.KindTimeout)
		require.ErrorIs(t, e, context.DeadlineExceeded)
		assert.Equal(t, "again", get(t, p, "echo:again"))
		assert.Equal(t, DiscardStats{Timeout: uint64(i) + 1}, p.Stats().Instances.Discarded)
	}
}

func TestTimeoutIsTheDeadlineOfCallersWithout(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Timeout: 2 * time.Second, Instances: 1})
	begin := time.Now()
	getError(t, p, "sleep:3600000", gcnode.KindTimeout)
	assert.GreaterOrEqual(t, time.Since(begin), 2*time.Second)
	assert.Less(t, time.Since(begin), patience)
}

func TestCancellationStopsTheGuest(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Timeout: time.Hour, Instances: 1})
	for i, key := range []string{"spin", "sleep:3600000"} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := p.GetItem(ctx, key)
			done <- err
		}()
		require.Eventually(t, func() bool { s := p.Stats().Instances; return s.Live == 1 && s.Idle == 0 },
			patience, time.Millisecond)
		cancel()
		err := <-done
		wantKind(t, err, gcnode.KindTransient)
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, DiscardStats{Canceled: uint64(i) + 1}, p.Stats().Instances.Discarded)
		assert.EqualValues(t, i+1, p.Stats().Calls.Canceled)
		assert.Equal(t, "again", get(t, p, "echo:again"))
	}
}

func TestExitAndPanicOfAGoGuest(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Instances: 1})
	e := getError(t, p, "exit:7", gcnode.KindPermanent)
	assert.Contains(t, e.Error(), "exited with code 7")
	e = getError(t, p, "panic:oh no", gcnode.KindPermanent)
	assert.Contains(t, e.Error(), "trapped: wasm error: unreachable")
	assert.Equal(t, "again", get(t, p, "echo:again"))
	assert.Equal(t, DiscardStats{Exit: 1, Trap: 1}, p.Stats().Instances.Discarded)
}

func TestDeepRecursionIsATypedError(t *testing.T) {
	t.Parallel()
	p := sharedVerbs(t)
	assert.Equal(t, "1000", get(t, p, "recurse:1000"))
	getError(t, p, "recurse:100000000", gcnode.KindPermanent)
	assert.Equal(t, "again", get(t, p, "echo:again"))
}

func TestInstanceThatUsesUpItsMemoryIsReplaced(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{MaxMemoryBytes: 16 << 20, Instances: 1})
	for range 20 {
		get(t, p, "hold:"+strconv.Itoa(1<<20))
	}
	s := p.Stats().Instances
	assert.NotZero(t, s.Discarded.Memory)
	assert.EqualValues(t, 0, s.Discarded.Trap+s.Discarded.Exit, "it is replaced before it runs out")

	getError(t, p, "hold:"+strconv.Itoa(100<<20), gcnode.KindPermanent)
	assert.Equal(t, "again", get(t, p, "echo:again"))
}

func TestManyCallersShareFewInstances(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Instances: 3, Timeout: patience})
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			for j := range 40 {
				key := fmt.Sprintf("%d.%d", i, j)
				item, err := p.GetItem(t.Context(), "echo:"+key)
				assert.NoError(t, err)
				assert.Equal(t, key, item.Value.String())
				if j%10 == 9 {
					_, err = p.GetItem(t.Context(), "panic:"+key)
					assert.ErrorIs(t, err, gcnode.ErrPermanent)
				}
			}
		})
	}
	wg.Wait()
	s := p.Stats()
	assert.EqualValues(t, 12*40, s.Calls.OK)
	assert.Equal(t, DiscardStats{Trap: 12 * 4}, s.Instances.Discarded)
	assert.LessOrEqual(t, s.Instances.Live, 3)
}

func TestFullQueueIsOverloaded(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Instances: 1, Queue: -1, Timeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.GetItem(ctx, "spin") })
	require.Eventually(t, func() bool { return p.Stats().Instances.Idle == 0 }, patience, time.Millisecond)
	getError(t, p, "echo:x", gcnode.KindOverloaded)
	cancel()
	wg.Wait()
	assert.EqualValues(t, 1, p.Stats().Queue.Rejected)
}

func TestDeadlineCoversQueueing(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Instances: 1, Timeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { p.GetItem(ctx, "spin") })
	require.Eventually(t, func() bool { return p.Stats().Instances.Idle == 0 }, patience, time.Millisecond)
	short, cancelShort := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancelShort()
	_, err := p.GetItem(short, "echo:x")
	wantKind(t, err, gcnode.KindTimeout)
	cancel()
	wg.Wait()
	assert.EqualValues(t, 1, p.Stats().Queue.Waited)
	assert.Equal(t, "again", get(t, p, "echo:again"))
}

func TestCloseWaitsForRunningCalls(t *testing.T) {
	t.Parallel()
	p := loadVerbs(t, Options{Instances: 1})
	answers := make(chan string, 1)
	go func() {
		item, err := p.GetItem(context.Background(), "sleep:100")
		answers <- fmt.Sprint(item.Value.String(), err)
	}()
	require.Eventually(t, func() bool { return p.Stats().Instances.Idle == 0 }, patience, time.Millisecond)
	require.NoError(t, p.Close(t.Context()))
	assert.Equal(t, "awake<nil>", <-answers)
	getError(t, p, "echo:x", gcnode.KindDraining)
	require.NoError(t, p.Close(t.Context()), "closing twice is fine")
	assert.EqualValues(t, 1, p.Stats().Instances.Discarded.Closed)
}

func TestCloseStopsRunningCallsWhenItsTimeIsUp(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"spin", "sleep:3600000"} {
		p := loadVerbs(t, Options{Instances: 1, Timeout: time.Hour})
		errs := make(chan error, 2)
		for range 2 { // one runs, one waits
			go func() {
				_, err := p.GetItem(context.Background(), key)
				errs <- err
			}()
		}
		require.Eventually(t, func() bool { return p.Stats().Queue.Waiting == 1 }, patience, time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, p.Close(ctx), context.DeadlineExceeded)
		for range 2 {
			err := <-errs
			assert.True(t, errors.Is(err, gcnode.ErrDraining), "%v", err)
		}
	}
}
