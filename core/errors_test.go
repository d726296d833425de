package gcnode_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	gcnode "github.com/gcnode/gcnode/core"
)

func TestKindsAndSentinelsBelongTogether(t *testing.T) {
	for kind, sentinel := range map[gcnode.Kind]error{
		gcnode.KindInternal: gcnode.ErrInternal, gcnode.KindNotFound: gcnode.ErrNotFound,
		gcnode.KindTransient: gcnode.ErrTransient, gcnode.KindPermanent: gcnode.ErrPermanent,
		gcnode.KindDenied: gcnode.ErrDenied, gcnode.KindOverloaded: gcnode.ErrOverloaded,
		gcnode.KindTooLarge: gcnode.ErrTooLarge, gcnode.KindNoSuchGroup: gcnode.ErrNoSuchGroup,
		gcnode.KindUnsupported: gcnode.ErrUnsupported, gcnode.KindTimeout: gcnode.ErrTimeout,
		gcnode.KindUnreachable: gcnode.ErrUnreachable, gcnode.KindDraining: gcnode.ErrDraining,
	} {
		e := fmt.Errorf("wrapped: %w", &gcnode.Error{Kind: kind})
		if !errors.Is(e, sentinel) || gcnode.KindOf(e) != kind || gcnode.KindOf(fmt.Errorf("x: %w", sentinel)) != kind {
			t.Errorf("kind %d (%v) and %v", kind, kind, sentinel)
		}
		if kind != gcnode.KindInternal && errors.Is(e, gcnode.ErrInternal) {
			t.Errorf("%v is internal too", kind)
		}
	}
	if k := gcnode.KindOf(errors.New("anything")); k != gcnode.KindTransient {
		t.Errorf("an unknown error is %v", k)
	}
	if k := gcnode.KindOf(fmt.Errorf("x: %w", context.DeadlineExceeded)); k != gcnode.KindTimeout {
		t.Errorf("a passed deadline is %v", k)
	}
	if !errors.Is(&gcnode.Error{Kind: 200}, gcnode.ErrInternal) {
		t.Error("a kind from the future is not internal")
	}
}

func TestMessagesNameWhatWasAttempted(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{
			&gcnode.Error{Kind: gcnode.KindNotFound, Op: gcnode.OpGet, Group: "users", Key: "ann\n"},
			`get "ann\n" in group "users": not found`,
		},
		{
			&gcnode.Error{Kind: gcnode.KindTransient, Op: gcnode.OpFetch, Group: "g", Key: "k", Peer: "n2", Err: errors.New("disk on fire")},
			`fetch "k" in group "g" at peer "n2": transient failure: disk on fire`,
		},
		{
			&gcnode.Error{Kind: gcnode.KindNotFound, Group: "g", Key: "k", Err: fmt.Errorf("no row: %w", gcnode.ErrNotFound)},
			`get "k" in group "g": no row: not found`,
		},
		{ // as it arrives from a peer, without its chain
			&gcnode.Error{Kind: gcnode.KindNotFound, Op: gcnode.OpFetch, Key: "k", Err: errors.New("no row: not found")},
			`fetch "k": no row: not found`,
		},
		{
			&gcnode.Error{
				Kind: gcnode.KindUnreachable, Op: gcnode.OpFetch, Group: "g", Key: "k", Peer: "n2",
				Err: &gcnode.Error{Kind: gcnode.KindUnreachable, Op: gcnode.OpFetch, Group: "g", Peer: "n2", Err: errors.New("refused")},
			},
			`fetch "k" in group "g" at peer "n2": unreachable: refused`,
		},
		{
			&gcnode.PeerErrors{Peers: []*gcnode.Error{{Kind: gcnode.KindUnreachable, Peer: "n1", Err: errors.New("refused")}}},
			`not confirmed by all peers (they are told again in the background): "n1" unreachable: refused`,
		},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestLifetimesSayWhatTheyAre(t *testing.T) {
	for l, want := range map[gcnode.Lifetime]string{
		0: "default", gcnode.NoStore: "no-store", gcnode.Forever: "forever", gcnode.For(1500e6): "1.5s", gcnode.For(0): "no-store", gcnode.For(-1): "no-store",
	} {
		if l.String() != want {
			t.Errorf("%d is %q, want %q", l, l, want)
		}
		_, ok := l.Duration()
		if ok != (want == "1.5s") {
			t.Errorf("%v has a duration: %v", l, ok)
		}
	}
}
