package natstransport

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	gcnode "github.com/gcnode/gcnode/core"
)

// forget takes out a conversation that has ended. A peer that cannot be told
// now is told when the connection is back.
func (s *Server) forget(v *conversation, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conversations, v.number)
	if errors.Is(why, errDisconnected) && !s.closed {
		s.interrupted = append(s.interrupted, v.to)
	}
	s.checkEmpty()
}

// checkEmpty lets a shutdown go on when nothing is left. The server is locked.
func (s *Server) checkEmpty() {
	if !s.closing || len(s.conversations) > 0 {
		return
	}
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// leave lets nobody find the member any more, nor tell it with all others. The
// connection may be closed.
func (s *Server) leave() {
	if s.service != nil {
		_ = s.service.Stop()
	}
	for _, sub := range []*nats.Subscription{s.byID, s.events} {
		if sub != nil {
			_ = sub.Unsubscribe()
		}
	}
}

// goAway lets no stream be opened, and the others end with their last request.
func (s *Server) goAway() {
	s.mu.Lock()
	s.closing = true
	s.checkEmpty()
	s.mu.Unlock()
	s.leave()
	for _, v := range s.all() {
		v.goAway()
	}
}

// Shutdown ends all streams: peers are told to begin nothing more on them, and
// what is under way is finished, unless ctx ends before; then the error says
// so. Nothing is left of the server afterwards.
func (s *Server) Shutdown(ctx context.Context) error {
	s.goAway()
	select {
	case <-s.empty:
		s.Close()
		return nil
	case <-ctx.Done():
	}
	running := 0
	for _, v := range s.all() {
		running += v.running()
	}
	s.Close()
	if running == 0 {
		return nil
	}
	return fmt.Errorf("shut down the streams of peers: %d requests were still running: %w", running, endOf(ctx))
}

// Close ends all streams and abandons what is under way on them. It does not
// wait for the member.
func (s *Server) Close() {
	s.mu.Lock()
	closed := s.closed
	s.closed, s.closing = true, true
	s.checkEmpty()
	s.mu.Unlock()
	if closed {
		return
	}
	s.watch.close()
	s.leave()
	for _, v := range s.all() {
		v.end(errServerClosed, &gcnode.Error{Kind: gcnode.KindDraining})
	}
	s.cancel()
	s.pub.close()
	if s.packets != nil {
		_ = s.packets.Unsubscribe() // the connection may be closed
	}
	s.farewell.said()
}
