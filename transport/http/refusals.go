package httptransport

import (
	"errors"
	"sync/atomic"
)

// HandlerStats are figures of a [Handler]. They count from when it was made.
type HandlerStats struct {
	// Signatures are the requests and streams that were refused for theirs.
	Signatures SignatureStats
	// Denied is how many requests were not served since their senders may not
	// make them; see [Access].
	Denied uint64
	// Unsigned is how many requests without a signature were let in; see
	// [Secrets.AcceptUnsigned].
	Unsigned uint64
}

// SignatureStats count what is refused for its signature, by reason.
type SignatureStats struct {
	// Missing: there is none, or it cannot be read.
	Missing uint64
	// Unknown: there is no secret with its ID.
	Unknown uint64
	// Wrong: the secret is another one, or something was changed, be it the
	// request, its body or what came over a stream.
	Wrong uint64
	// Misdirected: it is for another member.
	Misdirected uint64
	// Clock: its time is too far from that of the clock here, or from before
	// this was set back.
	Clock uint64
	// Early: it was made before this member started.
	Early uint64
	// Replayed: it was here before.
	Replayed uint64
	// TooMany: no more can be remembered; see [HandlerOptions.MaxNonces].
	TooMany uint64
	// Outdated: a stream has ended since it could not be begun any more, with
	// its secret or without one.
	Outdated uint64
}

// refusals are what SignatureStats are made of.
type refusals struct {
	missing, unknown, wrong, misdirected, clock, early, replayed, tooMany, outdated atomic.Uint64
}

// note counts the end of a stream if it has to do with signatures.
func (g *gate) note(err error) {
	switch {
	case g == nil:
	case errors.Is(err, errForged):
		g.refused.wrong.Add(1)
	case errors.Is(err, errSecretGone), errors.Is(err, errNotSigned):
		g.refused.outdated.Add(1)
	}
}

// Stats returns the figures of the handler.
func (h *Handler) Stats() HandlerStats {
	stats := HandlerStats{Denied: h.denied.Load(), Unsigned: h.unsigned.Load()}
	if h.gate != nil {
		r := &h.gate.refused
		stats.Signatures = SignatureStats{
			Missing: r.missing.Load(), Unknown: r.unknown.Load(), Wrong: r.wrong.Load(), Misdirected: r.misdirected.Load(),
			Clock: r.clock.Load(), Early: r.early.Load(), Replayed: r.replayed.Load(), TooMany: r.tooMany.Load(), Outdated: r.outdated.Load(),
		}
	}
	return stats
}
