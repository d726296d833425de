package legacy

import (
	"context"
	"sync"

	gcnode "github.com/gcnode/gcnode/core"
)

// Awaken is a member that calls wake before it serves its first request. A
// process that has old peers gives its member their list only then: before, none
// of them would answer it.
func Awaken(member gcnode.PromptHandler, wake func()) gcnode.PromptHandler {
	return &sleeper{member: member, wake: sync.OnceFunc(wake)}
}

type sleeper struct {
	member gcnode.PromptHandler
	wake   func()
}

// ServePeer implements [gcnode.Handler].
func (s *sleeper) ServePeer(ctx context.Context, req *gcnode.Request, w gcnode.ReplyWriter) error {
	s.wake()
	return s.member.ServePeer(ctx, req, w)
}

// AnswerNow implements [gcnode.PromptHandler].
func (s *sleeper) AnswerNow(req *gcnode.Request) (gcnode.Reply, bool) {
	s.wake()
	return s.member.AnswerNow(req)
}
