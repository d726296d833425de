//go:build !race

// These tests compute for long in one goroutine: with the race detector, which
// has nothing to find there, they take ten times as long.

package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// keysPerSlot counts so many keys, which are made from their numbers.
func keysPerSlot(keys int, key func(i int) string) []int {
	count := make([]int, slots)
	for i := range keys {
		count[slotOf(key(i))]++
	}
	return count
}

// busiest is the greatest ratio of what a member has of the keys to what its
// weight entitles it to.
func busiest(r *Ring, keys []int) float64 {
	count, all := make([]int, r.Len()), 0
	for s, n := range keys {
		count[r.owner[s]] += n
		all += n
	}
	worst := 0.0
	for i, m := range r.members {
		worst = max(worst, float64(count[i])/float64(all)/share(m, r.members))
	}
	return worst
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
		t.Run(name, func(t *testing.T) {
			list := keysPerSlot(keys, key)
			for _, n := range []int{3, 10, 100} {
				got := busiest(New(members(n)), list)
				t.Logf("the busiest of %d members has %.4f of its fair share", n, got)
				if got > 1.05 {
					t.Errorf("the busiest of %d members has %.4f of its fair share", n, got)
				}
			}
		})
	}
}

func TestKeysSpreadByWeight(t *testing.T) {
	list := keysPerSlot(4_000_000, strconv.Itoa) // the lightest of 100 has some 9,000 of them
	for _, n := range []int{3, 10, 100} {
		got := busiest(New(mixed(members(n))), list)
		t.Logf("the busiest of %d members has %.4f of its fair share", n, got)
		if got > 1.05 {
			t.Errorf("the busiest of %d members has %.4f of its fair share", n, got)
		}
	}
}

// Nobody has more slots than its cap, whatever the number of members.
func TestNobodyExceedsTheCap(t *testing.T) {
	for n, most := range map[int]float64{1: 1.015, 2: 1.015, 7: 1.015, 100: 1.015, 1000: 1.044, 4096: 1.089} {
		for _, ms := range [][]Member{members(n), mixed(members(n)), heavy(members(n))} {
			r := New(ms)
			count := make([]int, n)
			for _, o := range r.owner {
				count[o]++
			}
			for i, m := range r.members {
				if limit := math.Ceil(share(m, ms) * slots * most); float64(count[i]) > limit {
					t.Errorf("one of %d members, with weight %d, has %d slots, more than %.0f", n, m.Weight, count[i], limit)
				}
			}
		}
	}
}

// When one joins, the keys that move are hardly more than its fair share; when
// it leaves again, hardly more than what it had. Rings depend on the set of
// members alone, so that the moved keys are the same.
func TestFewKeysMoveWhenOneJoinsOrLeaves(t *testing.T) {
	const keys = 4_000_000
	list := keysPerSlot(keys, strconv.Itoa)
	for _, n := range []int{3, 10, 100} {
		for name, all := range map[string][]Member{"equal": members(n + 6), "mixed": mixed(members(n + 6))} {
			t.Run(fmt.Sprintf("members=%d/weights=%s", n, name), func(t *testing.T) {
				before := New(all[:n])
				for k := n; k < len(all); k++ {
					after := New(all[:k+1])
					moved, own := 0, 0
					for s, n := range list {
						was, is := before.members[before.owner[s]].ID, after.members[after.owner[s]].ID
						if is != was {
							moved += n
						}
						if is == all[k].ID {
							own += n
						}
					}
					join := float64(moved) / keys / share(all[k], all[:k+1])
					leave := float64(moved) / float64(own)
					t.Logf("%d members and one of weight %d: %.4f of the minimum move when it joins, %.4f when it leaves", k, all[k].weight(), join, leave)
					if join > 1.05 || leave > 1.05 {
						t.Errorf("%d members and one of weight %d: %.4f of the minimum move when it joins, %.4f when it leaves", k, all[k].weight(), join, leave)
					}
					before = after
				}
			})
		}
	}
}

// With a thousand members a share has some 500 slots, and more of the moved ones
// are accidents. Members that depended on each other in when they come to a
// slot would show here first.
func TestLargeListsMoveLittleMore(t *testing.T) {
	const n = 1000
	for name, all := range map[string][]Member{"equal": members(n + 4), "mixed": mixed(members(n + 4))} {
		least, moved := 0.0, 0
		before := New(all[:n])
		for k := n; k < len(all); k++ {
			after := New(all[:k+1])
			for s := range slots {
				if before.members[before.owner[s]].ID != after.members[after.owner[s]].ID {
					moved++
				}
			}
			least += slots * share(all[k], all[:k+1])
			before = after
		}
		t.Logf("%s weights: %.3f of the minimum move", name, float64(moved)/least)
		if float64(moved) > 1.2*least {
			t.Errorf("%s weights: %.3f of the minimum move", name, float64(moved)/least)
		}
	}
}
