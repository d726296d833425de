package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhenTheOwnerIsKilledTheOthersAnswerAndRemovalsReachItLater(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, groups())
	victim, rest := c[0], c[1:]
	keys := c.keysOf(t, victim, "echo", 4)
	require.Equal(t, "loaded", rest[0].value(t, "echo", keys[0]).source)

	victim.kill(t)
	for _, n := range rest {
		for _, key := range keys {
			got := n.value(t, "echo", key)
			assert.Equal(t, hexOf(key), got.body)
			assert.Equal(t, victim.id, got.owner)
		}
	}

	remover := rest[1]
	got := send(t, http.MethodDelete, remover.valueURL("echo", keys[0]))
	refusal := got.failure(t, http.StatusBadGateway, "not_confirmed")
	require.Len(t, refusal.Error.Peers, 1, got.body)
	assert.Equal(t, victim.id, refusal.Error.Peers[0].ID)
	assert.Equal(t, "unreachable", refusal.Error.Peers[0].Kind)
	assert.Contains(t, refusal.Error.Message, fmt.Sprintf("not confirmed by all peers (they are told again in the background): %q", victim.id))
	log := runProcess(t, 1, "rm", "--addr", "http://"+remover.api, "echo", keys[1])
	assert.Contains(t, log, fmt.Sprintf("%q unreachable", victim.id))
	assert.Equal(t, 2, remover.stats(t).Node.RetryingRemovals)
	assert.NotContains(t, remover.log.String(), "peer confirmed removals late")
	assert.Equal(t, "loaded", rest[0].value(t, "echo", keys[0]).source, "the other node has confirmed")

	victim.start(t)
	require.True(t, victim.awaitReady(t), "the node's port was taken")
	remover.until(t, func(s stats) bool { return s.Node.RetryingRemovals == 0 }, "the removals are not confirmed")
	assert.Eventually(t, func() bool { // what was printed is on its way
		return strings.Contains(remover.log.String(), "peer confirmed removals late")
	}, patience, pollEvery)
	for _, n := range rest {
		n.until(t, func(s stats) bool { return !s.peer(victim.id).Down }, "the peer is not used again")
	}
	remover.remove(t, "echo", keys[1])
	assert.Equal(t, hexOf(keys[1]), rest[0].value(t, "echo", keys[1]).body)
	assert.EqualValues(t, 1, victim.stats(t).group("echo").Loads, "the owner is asked again")
}

func TestAnOwnerThatHangsCostsOnePeerTimeout(t *testing.T) {
	t.Parallel()
	const peerTimeout = 2 * time.Second
	c := startCluster(t, 3, "peer_timeout: "+peerTimeout.String()+"\n"+groups())
	victim, asked := c[0], c[1]
	keys := c.keysOf(t, victim, "echo", 6)
	loads := victim.stats(t).group("echo").Loads
	before := asked.stats(t).peer(victim.id)
	requests := func() uint64 { return asked.stats(t).peer(victim.id).Requests - before.Requests }

	victim.stop(t)
	begun := time.Now()
	assert.Equal(t, hexOf(keys[0]), asked.value(t, "echo", keys[0]).body)
	took := time.Since(begun)
	assert.GreaterOrEqual(t, took, peerTimeout)
	assert.Less(t, took, 20*peerTimeout)
	assert.True(t, asked.stats(t).peer(victim.id).Down)
	assert.EqualValues(t, 1, requests())

	for _, key := range keys[1:5] {
		assert.Equal(t, hexOf(key), asked.value(t, "echo", key).body)
	}
	assert.EqualValues(t, 1, requests(), "the node that hangs was asked again")
	t.Logf("the first get took %v", took)

	victim.signal(t, syscall.SIGCONT)
	asked.until(t, func(s stats) bool { return !s.peer(victim.id).Down }, "the peer is not used again")
	got := asked.value(t, "echo", keys[5])
	assert.Equal(t, "loaded", got.source)
	assert.EqualValues(t, 2, requests(), "the owner is asked again")
	assert.Greater(t, victim.stats(t).group("echo").Loads, loads)
}
