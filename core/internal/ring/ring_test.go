package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

func members(n int) []Member {
	ms := make([]Member, n)
	for i := range ms {
		ms[i] = Member{ID: fmt.Sprintf("node-%d", i)}
	}
	return ms
}

// Members must agree on owners across architectures and releases, so these
// figures never change.
func TestHashIsStable(t *testing.T) {
	for s, want := range map[string]uint64{
		"":                   0x0,
		"a":                  0x470231a923b2883d,
		"net/http":           0x59113921a8141b26,
		"\x00\xff and more!": 0xf9d02b384c12b09,
	} {
		if got := Hash(s); got != want {
			t.Errorf("Hash(%q) = %#x, want %#x", s, got, want)
		}
	}
}

func TestOwnersAreStable(t *testing.T) {
	even := New(members(5))
	weighted := New([]Member{{"a", 1}, {"b", 2}, {"c", 5}})
	var got []string
	for _, key := range []string{"", "a", "net/http", "users/1", "users/2"} {
		got = append(got, even.Owner(key), weighted.Owner(key))
	}
	want := []string{"node-2", "b", "node-2", "c", "node-3", "c", "node-4", "a", "node-3", "b"}
	if !slices.Equal(got, want) {
		t.Errorf("owners %q, want %q", got, want)
	}
	if h := even.Hash(); h != 0x7c062f724d9505a8 {
		t.Errorf("list hash %#x", h)
	}
}

func TestZerosAtTheEndAreNotIgnored(t *testing.T) {
	if Hash("a") == Hash("a\x00") || Hash("") == Hash("\x00") {
		t.Error("keys that differ in trailing zeros have one hash")
	}
}

// Sequential, prefixed, suffixed and random keys all spread: the busiest
// member has at most 1.05 of its fair share.
func TestKeysSpread(t *testing.T) {
	const keys = 1_000_000
	random := rand.New(rand.NewPCG(1, 2))
	for name, key := range map[string]func(i int) string{
		"sequential": strconv.Itoa,
		"prefixed":   func(i int) string { return "user:" + strconv.Itoa(keys+i) },
		"suffixed":   func(i int) string { return strconv.Itoa(i) + "/profile.json" },
		"random":     func(int) string { return strconv.FormatUint(random.Uint64(), 16) },
	} {
		for _, n := range []int{10, 100} {
			t.Run(fmt.Sprintf("%s/members=%d", name, n), func(t *testing.T) {
				r := New(members(n))
				count := make([]int, n)
				for i := range keys {
					count[r.owner[slotOf(key(i))]]++
				}
				busiest := slices.Max(count)
				if got := float64(busiest) * float64(n) / keys; got > 1.05 {
					t.Errorf("the busiest of %d members has %.3f of its fair share", n, got)
				}
			})
		}
	}
}

func TestFewKeysMoveWhenTheListChanges(t *testing.T) {
	for _, n := range []int{10, 100} {
		before, after := New(members(n)), New(members(n+1))
		moved := 0
		for s := range slots {
			if before.members[before.owner[s]].ID != after.members[after.owner[s]].ID {
				moved++
			}
		}
		least := float64(slots) / float64(n+1)
		if got := float64(moved) / least; got > 1.15 {
			t.Errorf("joining %d members moved %.3f of the minimum", n, got)
		}
	}
}

// Heavy weights are the same on machines whose int has 32 bits.
func TestHeavyWeightsAreStable(t *testing.T) {
	for _, w := range []uint16{200, 1000, math.MaxUint16} {
		r := New([]Member{{"a", w}, {"b", w}, {"c", w / 2}})
		count := map[string]int{}
		for s := range slots {
			count[r.members[r.owner[s]].ID]++
		}
		if got, want := count["c"], slots/5; math.Abs(float64(got-want)) > float64(want)/50 {
			t.Errorf("weight %d: the light one of three has %d slots, want about %d", w, got, want)
		}
	}
}

func TestWeightsShiftShares(t *testing.T) {
	r := New([]Member{{"light", 1}, {"default", 0}, {"heavy", 6}})
	count := map[string]int{}
	for s := range slots {
		count[r.members[r.owner[s]].ID]++
	}
	for id, share := range map[string]float64{"light": 1. / 8, "default": 1. / 8, "heavy": 6. / 8} {
		if got := float64(count[id]) / slots; math.Abs(got-share) > share*0.06 {
			t.Errorf("%s has %.3f of the slots, want about %.3f", id, got, share)
		}
	}
}

func TestLineBeginsWithTheOwnerAndHasEveryoneOnce(t *testing.T) {
	for _, r := range []*Ring{New(members(7)), New([]Member{{"a", 1}, {"b", 2}, {"c", 5}})} {
		for i := range 1000 {
			key := strconv.Itoa(i)
			line := r.Line(key, r.Len()+3)
			if line[0] != r.Owner(key) {
				t.Fatalf("line %q of key %q, whose owner is %q", line, key, r.Owner(key))
			}
			seen := slices.Compact(slices.Sorted(slices.Values(line)))
			if len(seen) != r.Len() {
				t.Fatalf("line %q of key %q has not all members once", line, key)
			}
			if short := r.Line(key, 2); !slices.Equal(short, line[:2]) {
				t.Fatalf("short line %q of key %q, whole line %q", short, key, line)
			}
		}
	}
}

// When the owner goes, most of its keys go where the line sent them.
func TestTheNextInLineInherits(t *testing.T) {
	all := members(10)
	before, after := New(all), New(all[1:])
	same, total := 0, 0
	for i := range 100_000 {
		key := strconv.Itoa(i)
		if line := before.Line(key, 2); line[0] == all[0].ID {
			total++
			if after.Owner(key) == line[1] {
				same++
			}
		}
	}
	if float64(same) < 0.9*float64(total) {
		t.Errorf("%d of %d keys went to the next in line", same, total)
	}
}

func TestTheListHashDependsOnTheSetAlone(t *testing.T) {
	ab := New([]Member{{"a", 0}, {"b", 2}}).Hash()
	if got := New([]Member{{"b", 2}, {"a", 1}}).Hash(); got != ab {
		t.Error("order, or 0 instead of 1, changes the hash")
	}
	for _, other := range [][]Member{nil, {{"a", 1}}, {{"a", 1}, {"b", 3}}, {{"a", 1}, {"c", 2}}, {{"ab", 2}}} {
		if New(other).Hash() == ab {
			t.Errorf("%v has the hash of another list", other)
		}
	}
}

func TestAnEmptyRingOwnsNothing(t *testing.T) {
	r := New(nil)
	if r.Owner("k") != "" || r.Line("k", 3) != nil {
		t.Error("an empty ring named an owner")
	}
}

func TestNegLog2(t *testing.T) {
	for _, u := range []uint64{1, 3, 1 << 20, 1<<63 - 1, 1 << 63, math.MaxUint64, 0xdeadbeefcafe1235} {
		want := 64 - math.Log2(float64(u))
		if got := float64(negLog2(u)) / (1 << logBits); math.Abs(got-want) > 2e-6 {
			t.Errorf("negLog2(%#x) = %f, want %f", u, got, want)
		}
	}
}

func BenchmarkOwner(b *testing.B) {
	r := New(members(100))
	b.ReportAllocs()
	for b.Loop() {
		r.Owner("package/net/http.Client")
	}
}
