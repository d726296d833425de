package gcnode

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"
)

// A Clear goes along with every request for its group. A member that has applied
// it answers without waiting for all keys again, also while it lacks an earlier
// removal of the same sender.
func TestAClearThatIsKnownHoldsUpNobody(t *testing.T) {
	n, err := NewNode(Config{Self: Peer{ID: "a"}, Transport: nobody{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	loads := 0
	g, err := n.Group("g", GetterFunc[Value](func(context.Context, string) (Item[Value], error) {
		loads++
		return Item[Value]{Value: StringValue(strconv.Itoa(loads))}, nil
	}), GroupOptions{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	all := Removal{ID: RemovalID{Sender: "b", Incarnation: 7, Seq: 2}, Stamp: Stamp{Time: 1}, Group: "g", All: true}
	fetch := func() (got string, err error) {
		req := &Request{Op: OpFetch, Group: "g", Keys: []string{"k"}, Removals: []Removal{all}}
		err = n.ServePeer(context.Background(), req, replyFunc(func(r Reply) error {
			got = r.Value.String()
			return nil
		}))
		return got, err
	}
	if _, err := g.Get(context.Background(), "k"); err != nil {
		t.Fatal(err)
	}
	if v, err := fetch(); v != "2" || err != nil {
		t.Fatalf("the clear was not applied: %q, %v", v, err)
	}
	held, end, answered := make(chan struct{}), make(chan struct{}), make(chan string, 1)
	go g.flights.Apply("another", func() bool {
		close(held)
		<-end
		return false
	})
	<-held
	defer close(end)
	go func() {
		v, err := fetch()
		answered <- fmt.Sprint(v, err)
	}()
	select {
	case got := <-answered:
		if got != fmt.Sprint("2", nil) {
			t.Error(got)
		}
	case <-time.After(5 * time.Second):
		t.Error("the answer about one key waits for another one")
	}
}
