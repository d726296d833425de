package legacy

import (
	"context"
	"errors"

	gcnode "github.com/gcnode/gcnode/core"
)

// Sleep says whether a member has a list of its peers yet. A process that has old
// peers gives its member their list when there is a native one: before, nobody
// would answer it.
type Sleep interface {
	Asleep() bool
	// Wake gives the member its list, unless it has it.
	Wake()
}

// Awaken is a member that wakes before it serves a request. A peek does not wake
// it, since it has nothing: others who sleep look with one for native peers, see
// [IsNative].
func Awaken(member gcnode.PromptHandler, sleep Sleep) gcnode.PromptHandler {
	return &sleeper{member, sleep}
}

// IsNative asks a peer whether it is a member that is awake. An old one does not
// understand it.
func IsNative(ctx context.Context, t gcnode.Transport, from gcnode.Sender, to gcnode.Peer) (native bool) {
	_ = t.RoundTrip(ctx, to, &gcnode.Request{Op: gcnode.OpPeek, From: from, To: to.ID, Keys: []string{""}}, // no group has an empty name
		replyFunc(func(r gcnode.Reply) error {
			native = r.Err != nil && r.Err.Kind == gcnode.KindNoSuchGroup
			return nil
		}))
	return native
}

// replyFunc is a function that is a [gcnode.ReplyWriter].
type replyFunc func(gcnode.Reply) error

// WriteReply calls f.
func (f replyFunc) WriteReply(r gcnode.Reply) error { return f(r) }

type sleeper struct {
	member gcnode.PromptHandler
	sleep  Sleep
}

var errAsleep = errors.New("there was no native peer yet")

// ServePeer implements [gcnode.Handler].
func (s *sleeper) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	if req.Op == gcnode.OpPeek && s.sleep.Asleep() {
		return w.WriteReply(gcnode.Reply{Err: &gcnode.Error{Kind: gcnode.KindUnsupported, Op: req.Op, Err: errAsleep}})
	}
	s.sleep.Wake()
	return s.member.ServePeer(ctx, req, w)
}

// AnswerNow implements [gcnode.PromptHandler].
func (s *sleeper) AnswerNow(req *gcnode.Request) (gcnode.Reply, bool) {
	if req.Op == gcnode.OpPeek {
		return gcnode.Reply{}, false
	}
	s.sleep.Wake()
	return s.member.AnswerNow(req)
}
