package wire

import gcnode "github.com/gcnode/gcnode/core"

// Limits of what is sent and accepted, beside those of package gcnode for
// keys, values, batches, peers and IDs.
const (
	// MaxFrameBytes bounds a frame without its length.
	MaxFrameBytes = 4 << 20
	// PieceBytes is the size above which a value travels in pieces, each of
	// which has at most that size.
	PieceBytes = 256 << 10
	// MaxAddrBytes bounds the address of a peer.
	MaxAddrBytes = 2 << 10
	// MaxMessageBytes bounds the text of an error; more is cut off.
	MaxMessageBytes = 4 << 10
	// MaxRemovals bounds the removals in one request, all their keys
	// together, and the finished ids.
	MaxRemovals = gcnode.MaxBatchKeys
	// MaxMembers bounds the members in an acknowledgement: those of a list,
	// and as many that were on it until recently.
	MaxMembers = 2 * gcnode.MaxPeers
	// MaxKnown bounds the lives of members of which something is known.
	MaxKnown = gcnode.MaxPeers
	// MaxCallBytes bounds what the asking member sends in one message on a
	// stream, and MaxReturnBytes what the answering one does.
	MaxCallBytes   = MaxCallRequestBytes + maxHeader
	MaxReturnBytes = MaxFrameBytes + maxHeader
	// MaxCallRequestBytes bounds a request on a stream of a carrier on which
	// larger ones travel apart.
	MaxCallRequestBytes = 256 << 10
	// MaxBundleBytes bounds the calls of a bundle, MaxBundleReturnBytes what is
	// returned for one of them, and MaxBundledBytes that for all of them, but for
	// those that are to be asked apart.
	MaxBundleBytes       = 64 << 10
	MaxBundleReturnBytes = 32 << 10
	MaxBundledBytes      = 256 << 10
	// Window is how much of an answer is on its way on a stream before the
	// asking member gives credit.
	Window = 1 << 20
	// GrowthFactor is how much memory is taken at most for a value of which a
	// part has arrived, in multiples of that part.
	GrowthFactor = 8
	// StreamWindow is how much of one direction of a stream that is cut into
	// packets is on its way before the other side has taken some.
	StreamWindow = 1 << 20
	// MaxRequestBytes bounds a request with all pieces of its value.
	MaxRequestBytes = MaxFrameBytes + gcnode.MaxValueBytes + (gcnode.MaxValueBytes/PieceBytes+2)*maxHeader
)
