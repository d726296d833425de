package gcnode

import (
	"cmp"
	"context"
	"time"
)

// Peer is a member of the cluster. The ring hashes the ID, so a member that
// changes its address keeps its keys.
type Peer struct {
	ID string
	// Addr is where the transport reaches the member; its form is the
	// transport's. The node never looks at it.
	Addr string
	// Weight is the member's share of the keys relative to the others; 0 is 1.
	Weight uint16
}

// Transport carries requests to peers.
//
// RoundTrip sends req to the peer and hands every reply to w, in the order of
// arrival, from one goroutine at a time. It returns nil once the peer has
// finished the request. An error means that the peer did not answer (not
// reachable, connection lost, garbage received, ctx done); replies that came
// before it are valid. An error that WriteReply returns ends the exchange
// and is returned. Cancellation of ctx reaches the peer. RoundTrip keeps no
// reference to req, but w may keep replies: their memory is not reused.
//
// RoundTrip is called from many goroutines at once.
type Transport interface {
	RoundTrip(ctx context.Context, to Peer, req *Request, w ReplyWriter) error
}

// Beginner is a [Transport] that can begin a request without a goroutine that
// waits for the answer: whoever reads the connection brings it. The node begins
// fetches of one key in this way. Whoever wraps a transport and embeds it wraps
// this, too, or hides it.
type Beginner interface {
	Transport
	// Begin sends req, of which it keeps nothing, and returns without waiting
	// for the answer. If it is not ok nothing has happened, and RoundTrip is to
	// be called. ctx has the values of that of RoundTrip; its end does not matter,
	// Ticket.Cancel tells of that.
	Begin(ctx context.Context, to Peer, req *Request, x Exchange) (t Ticket, ok bool)
}

// Exchange is who has begun a request. Its methods are called by one goroutine
// at a time, perhaps before Begin has returned. They do not block.
type Exchange interface {
	// WriteReply takes a reply. An error ends the exchange.
	ReplyWriter
	// End is the last call; err is what RoundTrip would have returned, or a
	// [*RepeatError]. From then on the transport does not refer to the exchange,
	// which may become that of another request.
	End(err error)
}

// RepeatError says that the connection of a request was lost before anything of
// the answer came, as may be with one that was not in use for some time:
// RoundTrip may do better.
type RepeatError struct{ Err error }

// Error implements the error interface.
func (e *RepeatError) Error() string { return e.Err.Error() }

// Unwrap returns what RoundTrip would have returned.
func (e *RepeatError) Unwrap() error { return e.Err }

// Ticket is for a request that was begun.
type Ticket struct {
	Of     Canceler
	Number uint64
}

// Cancel abandons the request. Exchange.End follows if it has not come before.
func (t Ticket) Cancel() { t.Of.CancelRequest(t.Number) }

// Canceler abandons requests that were begun; one that has ended it leaves
// alone.
type Canceler interface {
	CancelRequest(number uint64)
}

// ReplyWriter takes the replies to one request. A WriteReply that blocks is
// back-pressure. It is not called concurrently for one request unless the
// implementation says so.
type ReplyWriter interface {
	WriteReply(r Reply) error
}

// Handler serves the requests of peers; a [*Node] is one. An error means that
// no usable answer could be given; errors about keys are in the replies. ctx
// ends when the peer is gone. w is called by one goroutine at a time and not
// after ServePeer has returned, and nothing is kept of req but for its strings and
// its value: the memory may be used again.
type Handler interface {
	ServePeer(ctx context.Context, req *Request, w ReplyWriter) error
}

// PromptHandler is a [Handler] that can answer some requests without waiting
// for anything: a transport may try that in the goroutine that reads requests,
// and spare itself another one. A [*Node] is one, for what it has in memory.
//
// AnswerNow answers a request of one key, or leaves it to ServePeer: then the
// reply is not ok, and nothing has happened. It keeps nothing of req, not even its
// strings, whose memory may be used again.
type PromptHandler interface {
	Handler
	AnswerNow(req *Request) (r Reply, ok bool)
}

// Op is what a request asks for. The numbers are part of the protocol.
type Op uint8

const (
	// OpGet is a look-up by a caller of this node. It does not travel.
	OpGet Op = 0
	// OpFetch asks for the values of Request.Keys, one reply per key.
	OpFetch Op = 1
	// OpRemove asks to apply Request.Removals; the one reply has an Ack.
	OpRemove Op = 2
	// OpFinish announces that every member has acknowledged the removals in
	// Request.Finished; the one reply is empty.
	OpFinish Op = 3
	// OpSet asks the owner to store Request.Value under the one key of
	// Request.Keys, unless it knows of a later write; the removal of what was
	// there before is the last of Request.Removals. The one reply has an Ack.
	OpSet Op = 4
	// OpPeek is OpFetch for what the receiver has in memory. It never loads
	// and never waits: what it does not have is [KindUnsupported], which says
	// nothing about the key.
	OpPeek Op = 5
	// OpKeys asks for the keys of Request.Group that the receiver has and
	// whose owner is the sender, in any number of replies. A receiver with
	// another list refuses with [KindUnsupported].
	OpKeys Op = 6
	// OpHello introduces a new life of a member, which asks for what it must
	// know before it may keep anything; the one reply has an Ack.
	OpHello Op = 7
	// OpGoodbye says that the sender leaves. The receiver goes on without it,
	// and replies with an Ack when it has fetched what it inherits.
	OpGoodbye Op = 8
	// OpSync compares what the two know of removals (Request.Known); the one
	// reply has an Ack with the removals that the sender lacks.
	OpSync Op = 9
	// OpGone says that the sender, which has said goodbye, serves nothing any
	// more, so that it need not be told of removals; the one reply is empty.
	OpGone Op = 10
	// OpReport says what the sender knows of removals (Request.Known), to all
	// members at once: whoever lacks some of it compares with the sender. The
	// one reply is empty.
	OpReport Op = 11
)

// String names the operation.
func (o Op) String() string {
	switch o {
	case OpGet:
		return "get"
	case OpFetch:
		return "fetch"
	case OpRemove:
		return "remove"
	case OpFinish:
		return "finish"
	case OpSet:
		return "set"
	case OpPeek:
		return "peek"
	case OpKeys:
		return "keys"
	case OpHello:
		return "hello"
	case OpGoodbye:
		return "goodbye"
	case OpSync:
		return "sync"
	case OpGone:
		return "gone"
	case OpReport:
		return "report"
	default:
		return "unknown operation"
	}
}

// Request is what one member asks of another. Receivers treat it as immutable.
type Request struct {
	Op Op
	// From is the sender.
	From Sender
	// To is the ID of the member that is meant. One that gets what is meant
	// for another, because an address is wrong, refuses it: it must not
	// confirm a removal in the name of another. Empty: whoever gets it.
	To string
	// ListHash is the hash of the sender's member list. Nobody keeps an
	// answer that was found under another list than his own.
	ListHash uint64
	Group    string
	Keys     []string
	// Removals are to be applied before the request is answered. With OpFetch
	// they are those that may not have reached the receiver yet and concern
	// its keys. They are at most MaxBatchKeys, with as many keys in all, and
	// MaxBatchBytes of keys, groups and senders' IDs; but one removal with as
	// many keys as Group.Remove takes always goes.
	Removals []Removal
	// Finished are at most MaxBatchKeys, and MaxBatchBytes of senders' IDs.
	Finished []RemovalID
	// Value, Keep and Stamp are what OpSet stores: Keep is the remaining life.
	Value Value
	Keep  Lifetime
	Stamp Stamp
	// Digests, with OpFetch, has one for each key, or none at all: that of the
	// copy which the sender has, or zero. If it is that of the value, the reply
	// is NotModified instead.
	Digests []Digest
	// Known is what the sender knows of the removals of all members, MaxPeers
	// lives at most.
	Known []Known
	// Timeout is how much longer the sender waits, counted from sending; 0:
	// no limit is known. A duration and not a time, so that clocks need not
	// agree.
	Timeout time.Duration
	// Heartbeat asks for a Pending reply at least this often while a key is
	// being loaded, so that a slow getter is not taken for a dead member; 0:
	// none.
	Heartbeat time.Duration
	// Trace is the trace that the request belongs to, for whoever wraps a
	// transport and a handler; the node does not look at it.
	Trace Trace
}

// The longest trace context that travels. Longer ones are left out by whoever
// fills them in.
const (
	MaxTraceParentBytes = 64
	MaxTraceStateBytes  = 512
)

// Trace is a trace context of the W3C, the values of the two header fields of
// that name (https://www.w3.org/TR/trace-context/). The zero value is none.
type Trace struct {
	Parent, State string
}

// Sender identifies a member and one life of its process.
type Sender struct {
	ID string
	// Incarnation is random for each start of a node.
	Incarnation uint64
}

// Reply answers one key of a request, or the request itself.
type Reply struct {
	// Key is the index in Request.Keys that is answered.
	Key int
	// Pending says that the member is alive and working on the request; the
	// other fields are empty.
	Pending bool
	Value   Value
	// NotModified stands for the value whose digest was in the request.
	NotModified bool
	// Keys are a part of the answer to OpKeys: at most MaxBatchKeys, and
	// MaxBatchBytes of them.
	Keys []string
	// Keep is the remaining life of the value, or with a not-found error of
	// the negative entry.
	Keep Lifetime
	// Source is how the member came by the answer: SourceHit or SourceLoaded.
	Source Source
	// ListHash is that of the member when it answered.
	ListHash uint64
	Err      *Error
	Ack      *Ack
}

// Source is where an answer came from.
type Source uint8

const (
	// SourceHit is this node's own share.
	SourceHit Source = 1
	// SourceHot is a copy here of another member's value.
	SourceHot Source = 2
	// SourceOwner is another member, which had the value.
	SourceOwner Source = 3
	// SourceLoaded is the getter, which was called for this answer, here or
	// at the owner.
	SourceLoaded Source = 4
)

// String names the source.
func (s Source) String() string {
	switch s {
	case SourceHit:
		return "hit"
	case SourceHot:
		return "hot"
	case SourceOwner:
		return "owner"
	case SourceLoaded:
		return "loaded"
	default:
		return "none"
	}
}

// RemovalID identifies a removal. A retry has the same one.
type RemovalID struct {
	Sender string
	// Incarnation and Seq count the sender's removals: Seq from 1 in each
	// incarnation.
	Incarnation uint64
	Seq         uint64
}

// Stamp orders writes: a hybrid logical clock (Kulkarni et al., "Logical
// Physical Clocks", 2014) taken by the caller of the write, with the
// incarnation of the caller's node to break ties.
type Stamp struct {
	// Time is in nanoseconds since 1970, and ahead of the wall clock where
	// causality demands it.
	Time        int64
	Incarnation uint64
}

// Compare is negative if s is before o, and 0 if they are the same.
func (s Stamp) Compare(o Stamp) int {
	return cmp.Or(cmp.Compare(s.Time, o.Time), cmp.Compare(s.Incarnation, o.Incarnation))
}

// Removal takes keys out of a group: what a Remove, a Clear or a Set does
// everywhere. It leaves what was written with a later stamp.
type Removal struct {
	ID    RemovalID
	Stamp Stamp
	Group string
	Keys  []string
	// All stands for every key of the group; Keys is empty then.
	All bool
}

// Known says that its sender has applied all removals of one life of a member
// up to a number.
type Known struct {
	Sender
	Seq uint64
}

// Digest identifies the bytes of a value: the first half of their SHA-256. It
// is zero for no value.
type Digest [16]byte

// Ack confirms removals.
//
// What a member has to tell may be more than a transport takes at once. With
// OpHello and OpSync it is cut to several replies with an Ack each: Removals
// are bounded as those of a request, and Members, Left, Lives and Known are in
// the first Ack only: at most MaxPeers of Known and twice that of the others.
// Beside the Removals there is room for 2·MaxPeers members, and MaxPeers each
// of the rest, if an ID has up to 48 bytes and an address up to 80; for fewer
// members they may be longer.
type Ack struct {
	// Incarnation of the member that confirms.
	Incarnation uint64
	// Members are those it knows, and those it knew until recently: copies
	// may live there, so they must be reached too. With OpRemove and OpSet there
	// need be none if they are those of the list that the sender has named.
	Members []Peer
	// Left are the lives of members that said goodbye, and Lives those that the
	// member has heard of since, with OpHello and OpSync.
	Left, Lives []Sender
	// Time is the member's hybrid logical clock, with OpHello and OpSync. With
	// OpRemove and OpSet it is not 0 if the sender could not know of something
	// that was left because it was written later: then it is the time of that,
	// and the sender repeats the removal with another ID and a later stamp.
	Time int64
	// Known, with OpHello and OpSync, is what the member knows of the removals
	// of all members. Removals are those that the sender of the request lacks,
	// and with OpHello those under way.
	Known    []Known
	Removals []Removal
}
