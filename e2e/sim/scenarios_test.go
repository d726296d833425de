package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/e2e/history"
)

// TestScenarios are the schedules by which simpler protocols break.
func TestScenarios(t *testing.T) {
	for _, sc := range []struct {
		name string
		run  func(s *script)
	}{
		{"C1: the remover asks the owner before that has heard of the removal", remoteOwnerIsLate},
		{"C2: a member asks a stand-in that has not heard of the removal", standInIsLate},
		{"C3: a new owner peeks a previous one that has not heard of the removal", previousOwnerIsLate},
		{"C4: a joiner peeks a previous owner that has not heard of the removal", joinerPeeks},
		{"C5: a load of a node that joins is not joined after a removal", joinerLoads},
		{"C5: a load of a node on nobody's list is not joined after a removal", unknownJoinerLoads},
		{"C6: a member has left the remover's list", leaverIsTold},
		{"C7: a member is known to others only", strangerIsTold},
		{"C7: a member is known to who confirms only", unknownMemberIsTold},
		{"C8: a member has left the lists of others", strangersLeaverIsTold},
		{"C9: two members each take the other for the owner", noDeadlock},
		{"C10: a set arrives again after a later one", setAgain},
		{"C11: a removal arrives again after a set", removeAgain},
		{"C11: a removal is sent again after a set", removeRetried},
		{"C12: an owner restarts, and a copy is vouched for anew", revalidateAfterRestart},
		{"C13: two sets arrive in the wrong order", setsCross},
		{"a removal is lost, and then its sender", lostWithItsSender},
		{"a removal is lost, and nobody remembers it", lostAndForgotten},
		{"a member comes back to the lists after a long time", comesBack},
		{"a set arrives at the next life of its owner", setAtNextLife},
		{"a set arrives again after its removal was forgotten", setAfterMemory},
		{"a set arrives when its caller has given up waiting", setAfterItsEnd},
		{"a client's clock is behind", clientIsBehind},
		{"what is handed over was removed meanwhile", removedWhileHandedOver},
		{"who was silent when a node joined has another list", silentWithAnotherList},
	} {
		t.Run(sc.name, func(t *testing.T) { scenario(t, sc.run) })
		t.Run(sc.name+", by broadcasts", func(t *testing.T) {
			scenario(t, func(s *script) {
				s.broadcasts = true
				sc.run(s)
			})
		})
	}
}

func remoteOwnerIsLate(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	s.get("a", key)
	s.publish(key)
	late := s.hold(requests(gcnode.OpRemove, "a", "b"))
	r := s.beginRemove("a", key)
	s.pass(time.Millisecond)
	s.get("a", key)
	late.Release()
	s.ok(r)
	s.same(key, "a", "b", "c")
}

func standInIsLate(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	s.get("a", key)
	s.get("c", key)
	s.publish(key)
	standIn, asker, remover := "a", "c", "b"
	if lineOf(s, key)[1] == "c" {
		standIn, asker = "c", "a"
	}
	late := s.hold(requests(gcnode.OpRemove, remover, standIn))
	reach := s.refuse(requests(gcnode.OpFetch, asker, "b"))
	r := s.beginRemove(remover, key)
	s.pass(time.Millisecond)
	s.get(asker, key)
	late.Release()
	s.ok(r)
	reach()
	s.pass(3 * time.Second)
	s.same(key, "a", "b", "c")
}

// lineOf are the members in the order in which they stand in for a key, found
// out by taking them off a list.
func lineOf(s *script, key string) []string {
	list := []string{"a", "b", "c"}
	var line []string
	for len(list) > 0 {
		node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "-"}, Transport: nowhere{}})
		require.NoError(s.t, err)
		peers := make([]gcnode.Peer, len(list))
		for i, id := range list {
			peers[i].ID = id
		}
		require.NoError(s.t, node.SetPeers(peers))
		g, err := node.Group("g", gcnode.GetterFunc[gcnode.Value](nil), gcnode.GroupOptions{MaxBytes: gcnode.MinBytes})
		require.NoError(s.t, err)
		owner := g.Owner(key).ID
		line = append(line, owner)
		list = without(list, owner)
		require.NoError(s.t, node.Close(s.t.Context()))
	}
	return line
}

func previousOwnerIsLate(s *script) {
	s.cluster("a", "b")
	s.start("c", &s.settings, []string{"a", "b", "c"})
	s.pass(time.Millisecond)
	key := s.keyOf("c", "c")
	previous := s.alive("a").group.Owner(key).ID
	remover := without([]string{"a", "b"}, previous)[0]
	s.get(previous, key)
	keys := s.hold(func(m *Message) bool { return m.Request.Op == gcnode.OpKeys })
	s.list([]string{"a", "b", "c"}, "a", "b")
	s.pass(100 * time.Millisecond)
	s.publish(key)
	late := s.hold(requests(gcnode.OpRemove, remover, previous))
	r := s.beginRemove(remover, key)
	s.pass(time.Millisecond)
	s.get("c", key)
	keys.Release()
	s.pass(time.Millisecond)
	late.Release()
	s.ok(r)
	s.same(key, "a", "b", "c")
}

func joinerPeeks(s *script) {
	s.cluster("a", "b")
	key := joinersKey(s)
	previous := s.alive("a").group.Owner(key).ID
	remover := without([]string{"a", "b"}, previous)[0]
	s.get(previous, key)
	s.publish(key)
	late := s.hold(requests(gcnode.OpRemove, remover, previous))
	r := s.beginRemove(remover, key)
	s.pass(time.Millisecond)
	s.start("c", &s.settings, []string{"a", "b", "c"})
	s.list([]string{"a", "b", "c"}, "a", "b")
	s.pass(50 * time.Millisecond)
	s.get("c", key)
	late.Release()
	s.ok(r)
	s.same(key, "a", "b", "c")
}

// joinersKey is a key that c owns when it has joined a and b.
func joinersKey(s *script) string {
	for _, key := range []string{"key0", "key1", "key2", "key3", "key4", "key5", "key6", "key7", "key8", "key9", "key10", "key11"} {
		if lineOf(s, key)[0] == "c" {
			return key
		}
	}
	s.t.Fatal("c owns no key")
	return ""
}

func joinerLoads(s *script) {
	s.cluster("a", "b")
	key := joinersKey(s)
	s.list([]string{"a", "b", "c"}, "a", "b")
	hellos := s.hold(func(m *Message) bool { return m.Request.Op == gcnode.OpHello })
	s.net.block("c", "a")
	s.net.block("c", "b")
	s.start("c", &s.settings, []string{"a", "b", "c"})
	s.pass(time.Millisecond)
	s.origin.hold = &Hold{w: s.world}
	first := s.beginGet("c", key)
	s.pass(scriptPeerTimeout * 4)
	s.publish(key)
	r := s.beginRemove("a", key)
	s.pass(10 * time.Millisecond)
	s.net.heal()
	hellos.Release()
	s.pass(10 * time.Millisecond)
	second := s.beginGet("c", key)
	s.pass(time.Millisecond)
	s.origin.hold.Release()
	s.origin.hold = nil
	s.end(first)
	s.end(second)
	s.end(r)
	s.pass(3 * time.Second)
	s.same(key, "a", "b", "c")
}

func unknownJoinerLoads(s *script) {
	s.cluster("a", "b")
	key := joinersKey(s)
	s.start("c", &s.settings, []string{"a", "b", "c"})
	s.pass(time.Millisecond)
	s.origin.hold = &Hold{w: s.world}
	first := s.beginGet("c", key)
	s.pass(2 * scriptPeerTimeout)
	s.publish(key)
	s.ok(s.beginRemove("a", key))
	second := s.beginGet("c", key)
	s.pass(2 * scriptPeerTimeout)
	s.origin.hold.Release()
	s.origin.hold = nil
	before, after := s.end(first), s.end(second)
	assert.NotEqual(s.t, before.Answers[0].Value, after.Answers[0].Value)
}

func leaverIsTold(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	s.get("c", key)
	s.publish(key)
	s.list([]string{"a", "b"}, "a", "b")
	s.ok(s.beginRemove("a", key))
	s.get("c", key)
	s.get("a", key)
}

func strangerIsTold(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "b")
	s.get("c", key)
	s.pass(time.Millisecond)
	s.crash(s.alive("a")) // whose next life has never heard of c
	s.start("a", &s.settings, []string{"a", "b"})
	s.pass(scriptJoinTimeout + time.Second)
	s.get("c", key)
	s.publish(key)
	r := s.end(s.beginRemove("a", key))
	s.get("c", key)
	require.NotEqual(s.t, history.Unconfirmed, r.Error)
}

func unknownMemberIsTold(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "b")
	s.list([]string{"a", "b"}, "a")
	s.pass(2*scriptHotTTL + time.Second) // so a does not tell c of its own accord
	s.get("c", key)
	s.publish(key)
	s.ok(s.beginRemove("a", key))
	s.get("c", key)
}

func strangersLeaverIsTold(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "b")
	s.get("c", key)
	s.crash(s.alive("a"))
	s.list([]string{"a", "b"}, "b")
	s.start("a", &s.settings, []string{"a", "b"})
	s.pass(100 * time.Millisecond)
	require.True(s.t, s.alive("a").node.Stats().Joined)
	s.publish(key)
	s.ok(s.beginRemove("a", key))
	s.get("c", key)
}

func noDeadlock(s *script) {
	s.cluster("a", "b")
	s.list([]string{"b"}, "a")
	s.list([]string{"a"}, "b")
	begun := s.now()
	for range 3 {
		first, second := s.beginGet("a", "key"), s.beginGet("b", "key")
		for _, c := range []*call{first, second} {
			op := s.end(c)
			assert.Empty(s.t, op.Answers[0].Error)
		}
	}
	assert.Less(s.t, s.now()-begun, scriptPeerTimeout)
}

func setAgain(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	again := s.twice(requests(gcnode.OpSet, "a", "b"))
	s.ok(s.beginSet("a", key))
	s.net.again = nil
	second := s.beginSet("c", key)
	s.ok(second)
	again.Release()
	s.pass(time.Millisecond)
	assert.Equal(s.t, setValue(second), s.same(key, "a", "b", "c"))
}

func removeAgain(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	again := s.twice(requests(gcnode.OpRemove, "a", "b"))
	s.ok(s.beginRemove("a", key))
	s.net.again = nil
	set := s.beginSet("c", key)
	s.ok(set)
	again.Release()
	s.pass(time.Millisecond)
	assert.Equal(s.t, setValue(set), s.same(key, "a", "b", "c"))
}

func removeRetried(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	lost := s.hold(func(m *Message) bool {
		return replies(gcnode.OpRemove, "b", "a")(m) || requests(gcnode.OpRemove, "a", "b")(m)
	})
	r := s.beginRemove("a", key)
	assert.Equal(s.t, []string{"b"}, s.end(r).Unconfirmed)
	set := s.beginSet("c", key)
	s.ok(set)
	lost.Release()
	s.pass(10 * time.Second)
	assert.Equal(s.t, setValue(set), s.same(key, "a", "b", "c"))
	assert.Zero(s.t, s.alive("a").node.Stats().Retrying)
}

func revalidateAfterRestart(s *script) {
	s.origin.pad = 500
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	s.get("a", key)
	require.Equal(s.t, "hot", s.get("a", key).Source)
	s.crash(s.alive("b"))
	s.publish(key)
	s.start("b", &s.settings, []string{"a", "b", "c"})
	s.pass(100 * time.Millisecond)
	s.get("b", key)
	s.pass(scriptHotTTL + time.Second)
	s.same(key, "b", "a", "c")
}

func setsCross(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	s.get("a", key)
	s.get("c", key)
	late := s.hold(requests(gcnode.OpSet, "a", "b"))
	first := s.beginSet("a", key)
	s.pass(time.Millisecond)
	second := s.beginSet("c", key)
	s.pass(10 * time.Millisecond)
	late.Release()
	s.ok(first)
	s.ok(second)
	assert.Equal(s.t, setValue(second), s.same(key, "a", "b", "c"))
}

func lostWithItsSender(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	before := s.get("b", key)
	s.publish(key)
	s.hold(requests(gcnode.OpRemove, "a", "b"))
	s.beginRemove("a", key)
	s.pass(10 * time.Millisecond)
	s.crash(s.alive("a"))
	s.pass(5 * time.Second)
	assert.NotEqual(s.t, before.Value, s.get("b", key).Value, "c has not told b")
	assert.Zero(s.t, s.alive("b").node.Stats().Gaps)
}

func lostAndForgotten(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	before := s.get("b", key)
	s.publish(key)
	for _, id := range []string{"a", "c"} {
		s.net.block("b", id)
		s.net.block(id, "b")
	}
	s.beginRemove("a", key)
	s.pass(10 * time.Millisecond)
	s.crash(s.alive("a"))
	s.pass(2 * time.Minute)
	s.net.heal()
	s.pass(5 * time.Second)
	assert.NotEqual(s.t, before.Value, s.get("b", key).Value)
	assert.NotZero(s.t, s.alive("b").node.Stats().Gaps)
}

func comesBack(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	s.get("b", key)
	s.net.block("a", "b")
	s.net.block("b", "a")
	s.net.block("c", "b")
	s.net.block("b", "c")
	s.list([]string{"a", "c"}, "a", "c")
	s.pass(3*scriptHotTTL + 2*time.Second)
	s.publish(key)
	s.ok(s.beginRemove("a", key))
	s.net.heal()
	s.list([]string{"a", "b", "c"}, "a", "c")
	s.get("a", key)
	s.get("c", key)
	s.pass(3 * time.Second)
	s.same(key, "a", "b", "c")
}

func setAtNextLife(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	late := s.hold(requests(gcnode.OpSet, "a", "b"))
	s.ok(s.beginSet("a", key)) // the owner has confirmed the removal alone
	s.publish(key)
	s.ok(s.beginRemove("c", key))
	s.crash(s.alive("b"))
	s.start("b", &s.settings, []string{"a", "b", "c"})
	s.pass(time.Second)
	late.Release()
	s.pass(10 * time.Millisecond)
	s.same(key, "a", "b", "c")
}

func setAfterMemory(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	again := s.twice(requests(gcnode.OpSet, "a", "b"))
	set := s.begin("a", history.Op{Kind: history.Set, Keys: []string{key}, Keep: int64(2 * time.Second)})
	s.ok(set)
	s.net.again = nil
	s.pass(20 * time.Second)
	again.Release()
	s.pass(10 * time.Millisecond)
	assert.NotEqual(s.t, setValue(set), s.same(key, "a", "b", "c"))
}

func setAfterItsEnd(s *script) {
	s.cluster("a", "b", "c")
	key := s.keyOf("b", "a")
	late := s.hold(requests(gcnode.OpSet, "a", "b"))
	set := s.begin("a", history.Op{Kind: history.Set, Keys: []string{key}, Keep: int64(time.Second)})
	s.ok(set) // the owner has confirmed the removal alone
	s.pass(2 * time.Second)
	late.Release()
	s.pass(10 * time.Millisecond)
	assert.NotEqual(s.t, setValue(set), s.same(key, "a", "b", "c"))
}

func clientIsBehind(s *script) {
	s.cluster("a", "b")
	key := s.keyOf("b", "a")
	s.start("c", &s.settings, []string{"a", "b"})
	s.pass(50 * time.Millisecond)
	s.alive("a").skew.Store(int64(2 * time.Second))
	s.ok(s.beginSet("a", key))
	s.publish(key)
	s.ok(s.beginRemove("c", key))
	s.same(key, "a", "b")
	s.ok(s.beginSet("a", key))
	second := s.beginSet("c", key)
	s.ok(second)
	assert.Equal(s.t, setValue(second), s.same(key, "a", "b"))
}

func removedWhileHandedOver(s *script) {
	s.cluster("a", "b", "c")
	key := ""
	for _, k := range []string{"key0", "key1", "key2", "key3", "key4", "key5", "key6", "key7", "key8", "key9", "key10", "key11", "key12"} {
		if line := lineOf(s, k); line[0] == "a" && line[1] == "b" {
			key = k
			break
		}
	}
	require.NotEmpty(s.t, key)
	s.get("a", key)
	held := s.hold(replies(gcnode.OpKeys, "a", "b"))
	alive := s.alive("a")
	s.goodbye(alive, 20*time.Second)
	for range 25 { // signs of life keep the exchange open
		s.pass(scriptPeerTimeout / 2)
	}
	s.publish(key)
	s.end(s.beginRemove("c", key))
	held.Release()
	s.pass(10 * time.Millisecond)
	s.same(key, "b", "c")
}

func silentWithAnotherList(s *script) {
	s.cluster("a", "b")
	key := s.keyOf("a", "a")
	for _, id := range []string{"a", "b"} {
		s.net.block("c", id)
		s.net.block(id, "c")
	}
	s.start("c", &s.settings, []string{"a", "b", "c"})
	s.pass(3 * time.Second)
	require.True(s.t, s.alive("c").node.Stats().Joined)
	s.net.heal()
	s.pass(2 * time.Second)
	s.get("c", key)
	s.get("a", key)
	s.publish(key)
	s.ok(s.beginRemove("a", key))
	s.list([]string{"a", "b", "c"}, "a", "b")
	for _, id := range []string{"a", "b"} {
		s.get(id, key)
	}
	s.pass(3 * time.Second)
	s.same(key, "a", "b", "c")
}
