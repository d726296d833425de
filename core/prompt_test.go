package gcnode_test

import (
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// What a node has in memory it answers at once, and leaves what needs thought.
func TestAnswersAtOnceAreThoseThatNeedNoThought(t *testing.T) {
	const key = "k"
	good := gcnode.Request{Op: gcnode.OpFetch, Group: groupName, Keys: []string{key}, From: gcnode.Sender{ID: "n1"}}
	for name, test := range map[string]struct {
		opts    gcnode.GroupOptions
		change  func(r *gcnode.Request)
		happens func(c *cluster)
		ok      bool
	}{
		"a hit":            {ok: true},
		"to this node":     {change: func(r *gcnode.Request) { r.To = "n0" }, ok: true},
		"with a digest":    {change: func(r *gcnode.Request) { r.Digests = make([]gcnode.Digest, 1) }, ok: true},
		"to another node":  {change: func(r *gcnode.Request) { r.To = "n1" }},
		"a miss":           {change: func(r *gcnode.Request) { r.Keys = []string{"other"} }},
		"another group":    {change: func(r *gcnode.Request) { r.Group = "other" }},
		"no key":           {change: func(r *gcnode.Request) { r.Keys = nil }},
		"two keys":         {change: func(r *gcnode.Request) { r.Keys = []string{key, key} }},
		"two digests":      {change: func(r *gcnode.Request) { r.Digests = make([]gcnode.Digest, 2) }},
		"a peek":           {change: func(r *gcnode.Request) { r.Op = gcnode.OpPeek }},
		"with a removal":   {change: func(r *gcnode.Request) { r.Removals = make([]gcnode.Removal, 1) }},
		"due for a reload": {opts: gcnode.GroupOptions{MaxBytes: 1 << 20, TTL: gcnode.For(time.Hour), RefreshAhead: time.Minute}},
		"a closed node": {happens: func(c *cluster) {
			if err := c.nodes[0].Close(c.t.Context()); err != nil {
				c.t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if test.opts.MaxBytes == 0 {
					test.opts = defaultOptions
				}
				c := newCluster(t, 1, test.opts)
				<-c.get(0, key)
				if test.happens != nil {
					test.happens(c)
				}
				req := good
				if test.change != nil {
					test.change(&req)
				}
				r, ok := c.nodes[0].AnswerNow(&req)
				if ok != test.ok || ok && r.Value.String() != "0" {
					t.Errorf("got %v, %v; want %v", r, ok, test.ok)
				}
			})
		})
	}
}

// A member that may have missed removals gets nothing that others get.
func TestAStrangerIsNotAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, key := strange(t, nil)
		c.wantRemoved(0, key)
		had := 0
		for i, peer := range []string{"n1", "n0"} {
			for from, served := range map[string]bool{peer: true, "n2": false} {
				req := &gcnode.Request{Op: gcnode.OpFetch, Group: groupName, Keys: []string{key}, From: gcnode.Sender{ID: from}}
				if _, ok := c.nodes[i].AnswerNow(req); ok && !served {
					t.Errorf("n%d has answered a stranger", i)
				} else if ok {
					had++
				}
			}
		}
		if had == 0 {
			t.Error("nobody had the key in memory")
		}
	})
}

func TestAHitOfAPeerAllocatesNothing(t *testing.T) {
	c := newCluster(t, 1, defaultOptions)
	if _, err := c.groups[0].Get(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	req := &gcnode.Request{Op: gcnode.OpFetch, Group: groupName, Keys: []string{"k"}}
	wantAllocs(t, "AnswerNow", 0, func() { c.nodes[0].AnswerNow(req) })
}
