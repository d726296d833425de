package ring

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func members(n int) []Member {
	ms := make([]Member, n)
	for i := range ms {
		ms[i] = Member{ID: fmt.Sprintf("node-%d", i)}
	}
	return ms
}

// mixed gives the members weights from 1 to 8.
func mixed(ms []Member) []Member {
	for i := range ms {
		ms[i].Weight = uint16(1 + Hash(ms[i].ID)%8)
	}
	return ms
}

// heavy gives all weight to the first.
func heavy(ms []Member) []Member {
	ms[0].Weight = math.MaxUint16
	return ms
}

func line(r *Ring, key string, atMost int) []string {
	var ids []string
	for i, id := range r.Line(key) {
		if i == atMost {
			break
		}
		if i != len(ids) {
			panic("the line is numbered wrongly")
		}
		ids = append(ids, id)
	}
	return ids
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

// The words that are hashed are what reading byte by byte gives.
func TestHashReadsEveryByteInItsPlace(t *testing.T) {
	const text = "\x80\x01\xfe\x02 The quick brown fox jumps over the lazy dog\xff"
	for n := range len(text) + 1 {
		want := uint64(n) * mul2
		for rest := text[:n]; rest != ""; rest = rest[min(8, len(rest)):] {
			w := uint64(0)
			for i := range min(8, len(rest)) {
				w |= uint64(rest[i]) << (8 * i)
			}
			want = step(want, w)
		}
		if got := Hash(text[:n]); got != mix(want) {
			t.Errorf("Hash of %d bytes is %#x, want %#x", n, got, mix(want))
		}
	}
}

func TestOwnersAreStable(t *testing.T) {
	weighted := []Member{{"a", 1}, {"b", 2}, {"c", 5}}
	var got []string
	for _, key := range []string{"", "a", "net/http", "users/1", "users/2"} {
		got = append(got, strings.Join(line(New(members(5)), key, 5), " "), strings.Join(line(New(weighted), key, 3), " "))
	}
	want := []string{
		"node-1 node-2 node-3 node-4 node-0", "c b a",
		"node-0 node-4 node-2 node-1 node-3", "c b a",
		"node-2 node-0 node-1 node-4 node-3", "b c a",
		"node-0 node-3 node-4 node-1 node-2", "c a b",
		"node-0 node-2 node-1 node-3 node-4", "c b a",
	}
	if !slices.Equal(got, want) {
		t.Errorf("lines %q, want %q", got, want)
	}
	for _, c := range []struct {
		name        string
		members     []Member
		list, table uint64
	}{
		{"five", members(5), 0x7c062f724d9505a8, 0xad424e9a12fc8efe},
		{"weighted", weighted, 0x4b6b6d843689d468, 0x1f2162cb199904c3},
		{"hundred", members(100), 0xe33fadbc5d1da216, 0xec77960411c02c24},
		{"hundred of several weights", mixed(members(100)), 0xa8ae41d064875534, 0x9f89b7ed940df12a},
	} {
		r := New(c.members)
		var table []byte
		for _, o := range r.owner {
			table = binary.LittleEndian.AppendUint16(table, o)
		}
		if r.Hash() != c.list || Hash(string(table)) != c.table {
			t.Errorf("%s: list hash %#x, hash of the table %#x; want %#x, %#x", c.name, r.Hash(), Hash(string(table)), c.list, c.table)
		}
	}
}

func TestZerosAtTheEndAreNotIgnored(t *testing.T) {
	if Hash("a") == Hash("a\x00") || Hash("") == Hash("\x00") {
		t.Error("keys that differ in trailing zeros have one hash")
	}
}

func share(m Member, of []Member) float64 {
	total := uint64(0)
	for _, o := range of {
		total += o.weight()
	}
	return float64(m.weight()) / float64(total)
}

// Every member comes to every slot once, and the position is known.
func TestWalksGoEverywhere(t *testing.T) {
	for _, m := range members(20) {
		w := newWalk(m.ID)
		for p := range uint32(slots) {
			if s := w.slot(p); s >= slots || w.position(s) != p {
				t.Fatalf("%s comes to slot %d at position %d, not %d", m.ID, s, w.position(s), p)
			}
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
	for _, r := range []*Ring{New(members(1)), New(members(7)), New([]Member{{"a", 1}, {"b", 2}, {"c", 5}})} {
		for i := range 1000 {
			key := strconv.Itoa(i)
			got := line(r, key, r.Len()+1)
			if got[0] != r.Owner(key) {
				t.Fatalf("line %q of key %q, whose owner is %q", got, key, r.Owner(key))
			}
			if len(got) != r.Len() || len(slices.Compact(slices.Sorted(slices.Values(got)))) != r.Len() {
				t.Fatalf("line %q of key %q has not all members once", got, key)
			}
		}
	}
}

// When members go, most of their keys go where the line sent them.
func TestTheNextInLineInherits(t *testing.T) {
	for name, all := range map[string][]Member{"equal": members(30), "mixed": mixed(members(30))} {
		before, one, two := New(all), New(all[1:]), New(all[2:])
		same, total := 0, 0
		for i := range 20_000 {
			key := strconv.Itoa(i)
			got := line(before, key, 3)
			if got[0] == all[0].ID {
				total++
				if one.Owner(key) == got[1] {
					same++
				}
			}
			if got[0] == all[0].ID && got[1] == all[1].ID || got[0] == all[1].ID && got[1] == all[0].ID {
				total++
				if two.Owner(key) == got[2] {
					same++
				}
			}
		}
		t.Logf("%s weights: %d of %d keys", name, same, total)
		if float64(same) < 0.97*float64(total) {
			t.Errorf("%s weights: %d of %d keys went to the next in line", name, same, total)
		}
	}
}

func TestLookingUpAllocatesNothing(t *testing.T) {
	for name, r := range map[string]*Ring{"equal": New(members(10)), "mixed": New(mixed(members(10)))} {
		if got := testing.AllocsPerRun(100, func() {
			if r.Owner("package/net/http.Client") == "" {
				t.Error("no owner")
			}
		}); got != 0 {
			t.Errorf("%s weights: %v allocations per owner", name, got)
		}
		if got := testing.AllocsPerRun(100, func() {
			for i := range r.Line("package/net/http.Client") {
				if i == 2 {
					break
				}
			}
		}); got != 0 {
			t.Errorf("%s weights: %v allocations per line", name, got)
		}
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
	if r.Owner("k") != "" || line(r, "k", 1) != nil {
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
	keys := make([]string, 1<<12) // many, so that the cost of reading the table shows
	for i := range keys {
		keys[i] = "package/net/http.Client/" + strconv.Itoa(i)
	}
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			r := New(members(n))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Owner(keys[i%len(keys)])
			}
		})
	}
}

func BenchmarkLine(b *testing.B) {
	for name, r := range map[string]*Ring{"equal": New(members(100)), "mixed": New(mixed(members(100)))} {
		for _, asked := range []int{1, 2, 3} {
			b.Run(fmt.Sprintf("members=100/weights=%s/asked=%d", name, asked), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					for i := range r.Line("package/net/http.Client") {
						if i == asked-1 {
							break
						}
					}
				}
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{2, 3, 5, 10, 100, 1000, 4096} {
		for name, ms := range map[string][]Member{"equal": members(n), "mixed": mixed(members(n))} {
			b.Run(fmt.Sprintf("members=%d/weights=%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					New(ms)
				}
			})
		}
	}
}

func BenchmarkHash(b *testing.B) {
	for _, size := range []int{3, 7, 16, 23, 64} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			s := strings.Repeat("k", size)
			for b.Loop() {
				Hash(s)
			}
		})
	}
}

func TestTheIndexOfTheOwnerIsThatOfTheOrderedList(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7} {
		list := members(n)
		r := New(list)
		ids := []string{}
		for _, m := range ordered(list) {
			ids = append(ids, m.ID)
		}
		for i := range 100 {
			key := strconv.Itoa(i)
			at := r.OwnerIndex(key)
			if n == 0 {
				if at != -1 || r.Owner(key) != "" {
					t.Fatalf("an empty ring has the owner %d, %q", at, r.Owner(key))
				}
				continue
			}
			if ids[at] != r.Owner(key) {
				t.Fatalf("%d members, key %q: owner %q, and %q at its index", n, key, r.Owner(key), ids[at])
			}
		}
	}
}
