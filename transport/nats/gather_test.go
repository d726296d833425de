package natstransport

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// asking is a session whose publisher is the test.
type asking struct {
	t *testing.T
	session
	on []int // the questions of the packets on their way
	// lingered is whether others had time to add something to the last packet.
	lingered bool
}

func newAsking(t *testing.T) *asking {
	t.Helper()
	a := &asking{t: t}
	pub := &publisher{}
	pub.init()
	a.init(pub, func(err error) { t.Error(err) })
	a.to, a.opened = "peer", true
	return a
}

const questionBytes = 100

func (a *asking) ask(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		a.last++
		a.calls.add(&call{id: a.last})
		a.shared = true
		a.session.ask(func(b []byte) []byte { return append(b, make([]byte, questionBytes)...) })
	}
}

// published sends what is to be sent, and is how many questions that are.
func (a *asking) published() (n int) {
	prompt, lingering := a.queued()
	if prompt {
		n = a.publish()
	}
	if lingering && a.line.lingered() {
		n += a.publish()
	}
	a.lingered = !prompt
	return n
}

func (a *asking) publish() int {
	_, _, size := a.next(maxPacketData + headRoom)
	a.sent()
	n := size / questionBytes
	a.on = append(a.on, n)
	return n
}

// queued takes the line out of the queues, and reports where it was.
func (a *asking) queued() (prompt, lingering bool) {
	a.pub.mu.Lock()
	defer a.pub.mu.Unlock()
	prompt, lingering = len(a.pub.prompt.queue) > 0, len(a.pub.lingering.queue) > 0
	a.pub.prompt.queue, a.pub.lingering.queue = nil, nil
	return prompt, lingering
}

// silence lets the time go by after which questions wait no longer.
func (a *asking) silence() {
	time.Sleep(patience)
	synctest.Wait()
}

// answer has the peer answer to the first packet on its way; the callers ask n
// questions while they get the answers.
func (a *asking) answer(n int) {
	first := a.on[0]
	a.on = a.on[1:]
	a.mu.Lock()
	a.receiving = true
	require.NoError(a.t, a.allow(a.theirs+uint64(first*questionBytes)))
	a.mu.Unlock()
	for range first {
		a.mu.Lock()
		for c := range a.calls.all() {
			a.calls.remove(c)
			break
		}
		a.mu.Unlock()
	}
	a.ask(n)
	a.mu.Lock()
	defer a.mu.Unlock()
	prompt, lingering := a.queued()
	require.False(a.t, prompt || lingering, "there are more answers")
	a.received()
}

func TestQuestionsOfManyGoInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t)
		a.ask(1)
		require.Equal(t, 1, a.published(), "nothing is on its way")
		a.ask(1)
		require.Equal(t, 1, a.published(), "few are asking")
		require.True(t, a.lingered)
		a.ask(30)
		require.Equal(t, 30, a.published())
		a.ask(20)
		require.Zero(t, a.published(), "20 of 52")
		a.ask(10)
		require.Zero(t, a.published(), "30 of 62")
		a.ask(1)
		require.Equal(t, 31, a.published(), "31 of 63, which is half")
		require.False(t, a.lingered)

		a.answer(1)
		require.Zero(t, a.published(), "others are on their way")
		a.answer(0)
		a.answer(0)
		require.Zero(t, a.published(), "another packet is")
		a.answer(3)
		require.Equal(t, 4, a.published(), "nothing is to be waited for any more")
		require.True(t, a.lingered, "but for those who have their answers")
		a.answer(0)
		a.ask(1)
		require.Equal(t, 1, a.published(), "nor is now")
	})
}

func TestWhatIsUrgentTakesQuestionsAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t)
		a.ask(32)
		require.Equal(t, 32, a.published())
		a.ask(1)
		require.Zero(t, a.published())
		a.mu.Lock()
		a.append(func(b []byte) []byte { return append(b, make([]byte, questionBytes)...) })
		a.mu.Unlock()
		require.Equal(t, 2, a.published())
		a.ask(1)
		a.mu.Lock()
		a.session.ask(func(b []byte) []byte { return append(b, make([]byte, maxGathered)...) })
		a.mu.Unlock()
		require.Equal(t, 1+maxGathered/questionBytes, a.published(), "they are large enough")
	})
}

// What the peer says nothing to may be what it has to load.
func TestQuestionsDoNotWaitForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t)
		a.ask(32)
		require.Equal(t, 32, a.published())
		a.ask(1)
		time.Sleep(patience - time.Nanosecond)
		require.Zero(t, a.published())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, 1, a.published())
		for wait := range 3 { // 1, 3, 7 packets
			for range 2<<wait - 1 {
				a.ask(1)
				require.Equal(t, 1, a.published(), "nobody waits in vain again soon")
			}
			a.ask(1)
			require.Zero(t, a.published())
			a.silence()
			require.Equal(t, 1, a.published())
		}
		require.Equal(t, 15, a.vain)
		for a.haste > 1 {
			a.ask(1)
			require.Equal(t, 1, a.published())
		}
		a.ask(a.crowd)
		require.Positive(t, a.published())
		require.Equal(t, 14, a.vain, "this was worth it")
	})
}

// Questions that come when the alarm is set already have their whole time.
func TestTheAlarmIsForThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t)
		a.ask(32)
		require.Equal(t, 32, a.published())
		a.ask(30)
		require.Zero(t, a.published())
		a.ask(1)
		require.Equal(t, 31, a.published())
		time.Sleep(patience / 2)
		a.ask(1)
		time.Sleep(patience / 2)
		synctest.Wait()
		require.Zero(t, a.published())
		a.silence()
		require.Equal(t, 1, a.published())
	})
}
