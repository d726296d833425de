package wire_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
	"github.com/gcnode/gcnode/transport/wire/peerpb"
)

func samplePackets() []wire.Packet {
	return []wire.Packet{
		{},
		{Number: 1, At: "4XK2.1z"},
		{Number: math.MaxUint64, Taken: 1 << 40, Ping: true, Data: []byte("\x00data\xff")},
		{Number: 3, Close: &gcnode.Error{Kind: gcnode.KindDraining, RetryAfter: time.Second, Err: errors.New("bye")}},
	}
}

func packetToProto(p *wire.Packet) *peerpb.Packet {
	out := &peerpb.Packet{Number: p.Number, Taken: p.Taken, Ping: p.Ping, At: []byte(p.At), Data: p.Data}
	if p.Close != nil {
		out.Close = errorToProto(p.Close)
	}
	return out
}

func sampleAnnouncements() []wire.Announcement {
	return []wire.Announcement{
		{},
		{
			Peer:    gcnode.Peer{ID: "node a/\xff", Addr: "4XK2", Weight: math.MaxUint16},
			Started: 1_790_000_000_000_000_000, Heartbeat: time.Second, Goodbye: true,
		},
	}
}

func announcementToProto(a *wire.Announcement) *peerpb.Announcement {
	out := &peerpb.Announcement{Started: uint64(a.Started), HeartbeatNanos: int64(a.Heartbeat), Goodbye: a.Goodbye}
	if a.Peer != (gcnode.Peer{}) {
		out.Peer = &peerpb.Peer{Id: []byte(a.Peer.ID), Addr: []byte(a.Peer.Addr), Weight: uint32(a.Peer.Weight)}
	}
	return out
}

func TestPacketsSameAsGenerated(t *testing.T) {
	var all []byte
	for _, p := range samplePackets() {
		b := wire.AppendPacket(nil, &p)
		require.True(t, bytes.Equal(marshal(t, packetToProto(&p)), b))
		got, err := wire.DecodePacket(b)
		require.NoError(t, err)
		require.Equal(t, p, got)
		all = append(all, b...)
	}
	golden(t, "packets", all)
	most := wire.Packet{Number: math.MaxUint64, Taken: math.MaxUint64, Ping: true}
	require.LessOrEqual(t, len(wire.AppendPacketHead(nil, &most, math.MaxInt32)), wire.MaxPacketFields)
}

func TestAnnouncementsSameAsGenerated(t *testing.T) {
	var all []byte
	for _, a := range sampleAnnouncements() {
		b := wire.AppendAnnouncement(nil, &a)
		require.True(t, bytes.Equal(marshal(t, announcementToProto(&a)), b))
		got, err := wire.DecodeAnnouncement(b)
		require.NoError(t, err)
		require.Equal(t, a, got)
		all = append(all, b...)
	}
	golden(t, "announcements", all)
	long := wire.Announcement{Peer: gcnode.Peer{ID: strings.Repeat("i", gcnode.MaxIDBytes+1)}}
	_, err := wire.DecodeAnnouncement(wire.AppendAnnouncement(nil, &long))
	require.ErrorIs(t, err, gcnode.ErrTooLarge)
}

func TestConfirmationsSameAsGenerated(t *testing.T) {
	ack := gcnode.Ack{Incarnation: 7, Members: []gcnode.Peer{{ID: "n2", Addr: "5YL3"}}}
	c := wire.Confirmation{Peer: gcnode.Peer{ID: "node a/\xff", Addr: "4XK2"}, Reply: gcnode.Reply{ListHash: 9, Ack: &ack}, Number: 1 << 40}
	b, err := wire.AppendConfirmation(nil, &c)
	require.NoError(t, err)
	golden(t, "confirmation", b)
	var theirs peerpb.Confirmation
	require.NoError(t, proto.Unmarshal(b, &theirs))
	require.Equal(t, c.Peer.ID, string(theirs.GetPeer().GetId()))
	require.Equal(t, c.Peer.Addr, string(theirs.GetPeer().GetAddr()))
	require.EqualValues(t, 7, theirs.GetReply().GetAck().GetIncarnation())
	require.Equal(t, c.Number, theirs.GetNumber())
	require.True(t, bytes.Equal(marshal(t, &theirs), b))
	var d wire.ConfirmationDecoder
	for range 2 { // the second time with names that it knows
		got, err := d.Decode(b)
		require.NoError(t, err)
		require.Equal(t, c, got)
	}

	for _, bad := range []gcnode.Reply{{Value: gcnode.StringValue("v")}, {Pending: true}, {Keys: []string{"k"}}} {
		_, err := wire.AppendConfirmation(nil, &wire.Confirmation{Reply: bad})
		require.Error(t, err)
	}
	for _, bad := range []string{"", "\x0a\x03\x0a\x01n", "\x12\x00", "\x0a\x05\x0a\x01n"} {
		_, err := new(wire.ConfirmationDecoder).Decode([]byte(bad))
		require.ErrorIs(t, err, wire.ErrMalformed, "%q", bad)
	}
}

// TestRequestInCalls sends a request whose value takes several calls.
func TestRequestInCalls(t *testing.T) {
	value := strings.Repeat("v", 2*wire.PieceBytes+1)
	req := &gcnode.Request{Op: gcnode.OpSet, Keys: []string{"k"}, Value: gcnode.StringValue(value)}
	request, rest, err := wire.AppendRequestStart(nil, req)
	require.NoError(t, err)
	calls := wire.AppendCallRequest(nil, 7, request)
	for rest != "" {
		calls, rest = wire.AppendCallPiece(calls, 7, rest)
	}
	all, _ := messages(bytes.NewReader(calls), wire.MaxReturnBytes)
	require.Len(t, all, 3)
	theirs := &peerpb.Call{}
	require.NoError(t, proto.Unmarshal(all[1], theirs))
	require.Len(t, theirs.GetPiece().GetData(), wire.PieceBytes)

	var in wire.Incoming
	for i, b := range all {
		call, err := wire.DecodeCall(b)
		require.NoError(t, err)
		require.EqualValues(t, 7, call.Exchange)
		require.Nil(t, in.Complete())
		if i == 0 {
			require.NoError(t, in.Start(call.Request))
		} else {
			require.NoError(t, in.Add(call.Piece))
		}
	}
	require.Equal(t, req, in.Complete())

	require.NoError(t, in.Start(request))
	require.ErrorIs(t, in.Add(nil), wire.ErrMalformed)
	require.ErrorIs(t, in.Add([]byte(value)), wire.ErrMalformed)
	big := &gcnode.Request{Op: gcnode.OpSet, Value: gcnode.StringValue(strings.Repeat("v", gcnode.MaxValueBytes+1))}
	_, _, err = wire.AppendRequestStart(nil, big)
	require.ErrorIs(t, err, gcnode.ErrTooLarge)
}

// FuzzDecodePacket compares with the generated code what a carrier of messages
// gets.
func FuzzDecodePacket(f *testing.F) {
	for _, p := range samplePackets() {
		f.Add(wire.AppendPacket(nil, &p))
	}
	for _, a := range sampleAnnouncements() {
		f.Add(wire.AppendAnnouncement(nil, &a))
	}
	f.Add([]byte("\x0a\x03\x0a\x01n\x12\x02\x3a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := wire.DecodePacket(data); err == nil {
			var theirs peerpb.Packet
			require.NoError(t, proto.Unmarshal(data, &theirs))
			require.Equal(t, theirs.GetNumber(), p.Number)
			require.Equal(t, theirs.GetTaken(), p.Taken)
			require.Equal(t, theirs.GetPing(), p.Ping)
			require.Equal(t, string(theirs.GetAt()), p.At)
			require.Equal(t, theirs.GetClose() != nil, p.Close != nil)
			require.Equal(t, string(theirs.GetData()), string(p.Data))
			again, err := wire.DecodePacket(wire.AppendPacket(nil, &p))
			require.NoError(t, err)
			require.Equal(t, p.Number, again.Number)
			require.True(t, bytes.Equal(p.Data, again.Data))
		}
		if a, err := wire.DecodeAnnouncement(data); err == nil {
			again, err := wire.DecodeAnnouncement(wire.AppendAnnouncement(nil, &a))
			require.NoError(t, err)
			require.Equal(t, a, again)
		}
		if c, err := new(wire.ConfirmationDecoder).Decode(data); err == nil {
			require.NoError(t, proto.Unmarshal(data, &peerpb.Confirmation{}))
			again, err := wire.AppendConfirmation(nil, &c)
			require.NoError(t, err)
			got, err := new(wire.ConfirmationDecoder).Decode(again)
			require.NoError(t, err)
			require.Equal(t, c, got)
		}
	})
}
