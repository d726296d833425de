package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	gcnode "github.com/gcnode/gcnode/core"
)

// Clusters are made of few IDs, so that there are few lists: making the ring
// of one takes longer than the rest of a run.
const (
	fewIDs   = "abcdef" // any of them, but for the last that is not there at first
	manyIDs  = "ghijklmn"
	mostIDs  = "opqrstuvwxyz"
	fewNodes = len(fewIDs) - 1
)

// cast are the members of a run.
type cast struct {
	// ids are there at the beginning.
	ids []string
	// movable are those that may leave or crash for good, and spare one that may
	// come; empty if there is none.
	movable []string
	spare   string
}

// castOf is the cast of a seed.
func castOf(seed uint64) cast {
	rng := rand.New(rand.NewPCG(seed, 0x63617374))
	switch n := rng.IntN(32); {
	case n == 0:
		ids := strings.Split(mostIDs, "")
		return cast{ids: ids, movable: ids[len(ids)-1:]}
	case n <= 2:
		ids := strings.Split(manyIDs, "")
		return cast{ids: ids, movable: ids[len(ids)-1:]}
	default:
		ids := strings.Split(fewIDs, "")
		n := []int{2, 2, 3, 3, 3, 3, 4, 4, 4, 5}[rng.IntN(10)]
		return cast{ids: ids[:n], movable: ids[:n], spare: ids[n]}
	}
}

// lists are all lists that may be used with the cast.
func (c cast) lists() [][]string {
	all := slices.Clone(c.ids)
	if c.spare != "" {
		all = append(all, c.spare)
	}
	if len(all) <= len(fewIDs) {
		return subsets(all)
	}
	var lists [][]string
	for _, list := range [][]string{all, all[:len(all)-1]} {
		lists = append(lists, list)
		for i := range list {
			lists = append(lists, slices.Delete(slices.Clone(list), i, i+1))
		}
	}
	return lists
}

func subsets(of []string) [][]string {
	var lists [][]string
	for mask := range 1 << len(of) {
		var list []string
		for i, id := range of {
			if mask>>i&1 == 1 {
				list = append(list, id)
			}
		}
		if len(list) > 1 {
			lists = append(lists, list)
		}
	}
	return lists
}

// rings keeps the rings of lists in use, so that no run has to make them.
type rings struct {
	mu    sync.Mutex
	nodes map[string]*gcnode.Node
}

// Rings are those of all runs of a process.
var Rings rings //nolint:gochecknoglobals // a cache of what depends on nothing

// Prepare makes the rings of a seed, outside of any bubble.
func (r *rings) Prepare(seed uint64) error {
	for _, list := range castOf(seed).lists() {
		if err := r.keep(list); err != nil {
			return err
		}
	}
	return nil
}

func (r *rings) keep(list []string) error {
	key := strings.Join(list, " ")
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nodes[key] != nil {
		return nil
	}
	node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "-"}, Transport: nowhere{}})
	if err != nil {
		return fmt.Errorf("the ring of %v: %w", list, err)
	}
	peers := make([]gcnode.Peer, len(list))
	for i, id := range list {
		peers[i] = gcnode.Peer{ID: id}
	}
	if err := node.SetPeers(peers); err != nil {
		return fmt.Errorf("the ring of %v: %w", list, err)
	}
	if r.nodes == nil {
		r.nodes = map[string]*gcnode.Node{}
	}
	r.nodes[key] = node
	return nil
}

// nowhere reaches nobody.
type nowhere struct{}

// RoundTrip implements [gcnode.Transport].
func (nowhere) RoundTrip(context.Context, gcnode.Peer, *gcnode.Request, gcnode.ReplyWriter) error {
	return errors.New("nobody is there")
}
