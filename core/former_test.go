package gcnode

import (
	"context"
	"testing"
	"time"
)

// nobody is a transport without members.
type nobody struct{}

func (nobody) RoundTrip(_ context.Context, to Peer, _ *Request, _ ReplyWriter) error {
	return &Error{Kind: KindUnreachable, Peer: to.ID}
}

// Removals go by the old list while the ring of the new one is made, so that the
// time for which they go to those who have left begins after that; what they have
// kept is good for less long.
func TestTheTimeOfThoseWhoLeftBeginsWhenTheRingIsMade(t *testing.T) {
	const hot = time.Second
	n, err := NewNode(Config{Self: Peer{ID: "ring-a"}, Transport: nobody{}, HotTTL: hot})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, list := range [][]Peer{{{ID: "ring-a"}, {ID: "ring-b"}, {ID: "ring-c"}}, {{ID: "ring-a"}, {ID: "ring-c"}}} {
		if err := n.SetPeers(list); err != nil {
			t.Fatal(err)
		}
	}
	f, made := n.view.Load().former["ring-b"], n.demoted.Load()-int64(hot)
	if told := time.Duration(f.until - made); told < 2*hot {
		t.Errorf("it is told of removals for %v after the ring was made, not %v", told, 2*hot)
	}
	if asked := time.Duration(f.asked - made); asked >= hot {
		t.Errorf("it is asked for %v after the ring was made: some others need not tell it of removals for as long", asked)
	}
}
