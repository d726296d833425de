package bench_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/golang/groupcache/consistenthash"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
)

// ownerFunc says who owns a key.
type ownerFunc func(key string) string

// rings are the ways to find an owner among the members.
func rings() []struct {
	name string
	make func(*testing.B, []string) ownerFunc
} {
	return []struct {
		name string
		make func(*testing.B, []string) ownerFunc
	}{
		{"gcnode-group", gcnodeOwner},
		{"golang-groupcache", groupcacheOwner},
	}
}

func groupcacheOwner(_ *testing.B, ids []string) ownerFunc {
	ring := consistenthash.New(50, nil) // as the library's own pool of peers
	ring.Add(ids...)
	return ring.Get
}

func gcnodeOwner(b *testing.B, ids []string) ownerFunc {
	node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: ids[0]}, Transport: nowhere{}})
	require.NoError(b, err)
	b.Cleanup(func() { _ = node.Close(context.Background()) })
	group, err := node.Group("bench", gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
		return gcnode.Item[gcnode.Value]{}, gcnode.ErrNotFound
	}), gcnode.GroupOptions{MaxBytes: gcnode.MinBytes})
	require.NoError(b, err)
	peers := make([]gcnode.Peer, len(ids))
	for i, id := range ids {
		peers[i] = gcnode.Peer{ID: id, Addr: id}
	}
	require.NoError(b, node.SetPeers(peers))
	return func(key string) string { return group.Owner(key).ID }
}

// nowhere is a transport that reaches nobody.
type nowhere struct{}

func (nowhere) RoundTrip(context.Context, gcnode.Peer, *gcnode.Request, gcnode.ReplyWriter) error {
	return errors.New("there is no network")
}

func members(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = "http://10.0.0." + strconv.Itoa(i+1) + ":8080"
	}
	return ids
}

// BenchmarkOwner finds the owner of a key.
func BenchmarkOwner(b *testing.B) {
	keys := zipfKeys(100_000)
	for _, n := range []int{10, 100} {
		for _, r := range rings() {
			b.Run(fmt.Sprintf("nodes=%d/impl=%s", n, r.name), func(b *testing.B) {
				owner := r.make(b, members(n))
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					owner(keys[i&(draws-1)])
					i++
				}
			})
		}
	}
}

// BenchmarkBalance counts how a million keys are spread, and how many of them
// move when a member joins and leaves, against what has to move: a fair share.
func BenchmarkBalance(b *testing.B) {
	const n = 1_000_000
	r := rand.New(rand.NewPCG(5, 6))
	random := make([]string, n)
	for i := range random {
		random[i] = fmt.Sprintf("%016x", r.Uint64())
	}
	for _, keys := range []struct {
		name string
		keys []string
	}{{"random", random}, {"sequential", newKeys(0, n)}} {
		for _, nodes := range []int{10, 100} {
			for _, ring := range rings() {
				b.Run(fmt.Sprintf("keys=%s/nodes=%d/impl=%s", keys.name, nodes, ring.name), func(b *testing.B) {
					ids := members(nodes + 1)
					before, after := ring.make(b, ids[:nodes]), ring.make(b, ids)
					left := ring.make(b, slices.Delete(slices.Clone(ids[:nodes]), nodes/2, nodes/2+1))
					for b.Loop() {
						load := map[string]int{}
						joined, gone := 0, 0
						for _, key := range keys.keys {
							owner := before(key)
							load[owner]++
							if after(key) != owner {
								joined++
							}
							if left(key) != owner {
								gone++
							}
						}
						busiest := 0
						for _, k := range load {
							busiest = max(busiest, k)
						}
						b.ReportMetric(float64(busiest*nodes)/n, "busiest/mean")
						b.ReportMetric(float64(joined*(nodes+1))/n, "join/min")
						b.ReportMetric(float64(gone*nodes)/n, "leave/min")
						b.ReportMetric(0, "ns/op")
					}
				})
			}
		}
	}
}
