package gcnode_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// endless is a transport to members that answer what may have any number of replies
// with far more of them than there can be.
type endless struct {
	reply func(i int) gcnode.Reply
	over  atomic.Bool // all of them were taken
}

// RoundTrip implements [gcnode.Transport].
func (e *endless) RoundTrip(_ context.Context, _ gcnode.Peer, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if req.Op != gcnode.OpHello && req.Op != gcnode.OpSync {
		return errors.New("nobody is there")
	}
	for i := range 5000 {
		if err := w.WriteReply(e.reply(i)); err != nil {
			return err
		}
	}
	e.over.Store(true)
	return nil
}

func TestAMemberThatAnswersWithoutEndIsGivenUp(t *testing.T) {
	for name, reply := range map[string]func(int) gcnode.Reply{
		"what it knows": func(i int) gcnode.Reply {
			return gcnode.Reply{Ack: &gcnode.Ack{Incarnation: 1, Known: []gcnode.Known{{Sender: gcnode.Sender{ID: strconv.Itoa(i)}, Seq: 1}}}}
		},
		"signs of life": func(int) gcnode.Reply { return gcnode.Reply{Pending: true} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &endless{reply: reply}
				node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "a"}, Transport: e, JoinTimeout: time.Second})
				if err != nil {
					t.Fatal(err)
				}
				if err := node.SetPeers([]gcnode.Peer{{ID: "a"}, {ID: "b"}}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := node.Joined(ctx); err != nil {
					t.Errorf("it joins without the other one: %v", err)
				}
				if e.over.Load() {
					t.Error("it has taken all that the other one has said")
				}
				if err := node.Close(ctx); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
