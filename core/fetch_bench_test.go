package gcnode_test

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/core/transporttest"
)

// BenchmarkFetch is what a node does for the fetch of a key from another one,
// without the transport: whoever reads has the answer at once.
func BenchmarkFetch(b *testing.B) {
	network := transporttest.NewNetwork()
	peers := []gcnode.Peer{{ID: "asking"}, {ID: "owner"}}
	answering := &answering{network.Transport("asking").(gcnode.Beginner), make(chan asked, 128)}
	go answering.run(strings.Repeat("v", 128))
	defer close(answering.asked)
	var nodes []*gcnode.Node
	var asking *gcnode.Group
	for _, p := range peers {
		cfg := gcnode.Config{Self: p, Transport: network.Transport(p.ID)}
		if asking == nil {
			cfg.Transport = answering
		}
		node, err := gcnode.NewNode(cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = node.Close(context.Background()) }()
		group, err := node.Group(groupName, newOrigin(), gcnode.GroupOptions{MaxBytes: 64 << 20})
		if err != nil {
			b.Fatal(err)
		}
		network.Attach(p.ID, node)
		nodes, asking = append(nodes, node), cmp.Or(asking, group)
	}
	for _, node := range nodes {
		if err := node.SetPeers(peers); err != nil {
			b.Fatal(err)
		}
	}
	for _, node := range nodes {
		if err := node.Joined(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	keys := make([]string, 0, 1<<16)
	for i := 0; len(keys) < cap(keys); i++ {
		if key := "key-of-a-value-" + strconv.Itoa(i); asking.Owner(key).ID == "owner" {
			keys = append(keys, key)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := time.Now().Nanosecond(); pb.Next(); i += 7919 {
			if v, err := asking.Get(ctx, keys[i%len(keys)]); err != nil || v.Len() != 128 {
				b.Error(v.Len(), err)
				return
			}
		}
	})
}

type asked struct {
	listHash uint64
	x        gcnode.Exchange
}

// answering is a transport whose fetches are answered at once.
type answering struct {
	gcnode.Beginner

	asked chan asked
}

func (t *answering) Begin(_ context.Context, _ gcnode.Peer, req *gcnode.Request, x gcnode.Exchange) (gcnode.Ticket, bool) {
	t.asked <- asked{req.ListHash, x}
	return gcnode.Ticket{Of: t}, true
}

func (t *answering) CancelRequest(uint64) {}

func (t *answering) run(value string) {
	for a := range t.asked {
		_ = a.x.WriteReply(gcnode.Reply{Value: gcnode.StringValue(strings.Clone(value)), Keep: gcnode.NoStore, Source: gcnode.SourceHit, ListHash: a.listHash})
		a.x.End(nil)
	}
}
