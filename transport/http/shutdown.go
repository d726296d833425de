package httptransport

import (
	"context"
	"fmt"
)

// enter notes a stream. It is false when the handler is shutting down.
func (h *Handler) enter(s *session) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing {
		return false
	}
	h.sessions[s] = struct{}{}
	return true
}

// leave notes that a stream has ended.
func (h *Handler) leave(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sessions, s)
	if h.closing && len(h.sessions) == 0 {
		close(h.empty)
	}
}

func (h *Handler) isClosing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closing
}

// stop lets no new stream in, and returns those that there are.
func (h *Handler) stop() []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closing {
		h.closing = true
		if len(h.sessions) == 0 {
			close(h.empty)
		}
	}
	sessions := make([]*session, 0, len(h.sessions))
	for s := range h.sessions {
		sessions = append(sessions, s)
	}
	return sessions
}

// Shutdown ends all streams: peers are told to begin nothing more on them, and
// what is under way is finished, unless ctx ends before; then the streams are
// closed and the error says so. Requests that are no streams are the server's
// matter, and are still answered.
func (h *Handler) Shutdown(ctx context.Context) error {
	sessions := h.stop()
	for _, s := range sessions {
		go s.goAway() // a peer that does not read holds up no other
	}
	select {
	case <-h.empty:
		return nil
	case <-ctx.Done():
	}
	running := 0
	for _, s := range sessions {
		running += s.running()
	}
	h.Close()
	if running == 0 {
		return nil
	}
	return fmt.Errorf("shut down the streams of peers: %d requests were still running: %w", running, endOf(ctx))
}

// Close closes all streams and abandons what is under way on them. It does not
// wait for the member.
func (h *Handler) Close() {
	for _, s := range h.stop() {
		s.close()
	}
	<-h.empty
}
