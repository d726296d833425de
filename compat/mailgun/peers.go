package groupcache

import (
	"context"

	pb "github.com/gcnode/gcnode/compat/mailgun/groupcachepb"
)

// ProtoGetter is another process that has the same groups. Its methods may be
// called from any goroutine.
//
// Get's error is an [ErrNotFound] or an [ErrRemoteCall] if the peer has answered;
// any other says that it has not, and the getter in this process is called.
type ProtoGetter interface {
	Get(context context.Context, in *pb.GetRequest, out *pb.GetResponse) error
	Remove(context context.Context, in *pb.GetRequest) error
	Set(context context.Context, in *pb.SetRequest) error
	// GetURL tells the peer from others, and names it in errors.
	GetURL() string
}

// PeerPicker knows the peers and who of them owns which key. [HTTPPool] is one.
//
// With one of your own, this package can promise no more than it does: members
// are told of a removal once, one that cannot be reached keeps what it has until
// that expires, and copies of others' values live for [gcnode.DefaultHotTTL] at
// most. What the members of a pool know of each other is not there. The native
// way to another carrier is a [gcnode.Transport].
type PeerPicker interface {
	// PickPeer is the peer that owns the key. It is not ok if this process owns
	// it.
	PickPeer(key string) (peer ProtoGetter, ok bool)
	// GetAll are all peers.
	GetAll() []ProtoGetter
}

// NoPeers is a [PeerPicker] without peers.
type NoPeers struct{}

// PickPeer implements [PeerPicker].
func (NoPeers) PickPeer(string) (peer ProtoGetter, ok bool) { return nil, false }

// GetAll implements [PeerPicker].
func (NoPeers) GetAll() []ProtoGetter { return []ProtoGetter{} }
