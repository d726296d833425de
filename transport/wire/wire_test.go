package wire_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
	"github.com/gcnode/gcnode/transport/wire/peerpb"
)

// delimited is what the generated code makes of messages.
func delimited[M proto.Message](t *testing.T, messages ...M) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, m := range messages {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		require.NoError(t, err)
		b.Write(protowire.AppendBytes(nil, data))
	}
	return b.Bytes()
}

// TestSameAsGenerated compares with the generated code, byte for byte.
func TestSameAsGenerated(t *testing.T) {
	for name, req := range sampleRequests() {
		require.Equal(t, delimited(t, requestToProto(req)), encodeRequest(t, req), name)
	}
	end := &peerpb.Frame{Kind: &peerpb.Frame_End{End: &peerpb.End{}}}
	for name, replies := range sampleReplies() {
		var frames []*peerpb.Frame
		for _, r := range replies {
			frames = append(frames, replyToProto(r))
		}
		require.Equal(t, delimited(t, append(frames, end)...), encodeReplies(t, replies, nil), name)
	}
	failure := &gcnode.Error{Kind: gcnode.KindTimeout, Err: errors.New("late")}
	end = &peerpb.Frame{Kind: &peerpb.Frame_End{End: &peerpb.End{Error: errorToProto(failure)}}}
	require.Equal(t, delimited(t, end), encodeReplies(t, nil, failure))
}

func TestValuesInPieces(t *testing.T) {
	random := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	for _, size := range []int{0, 1, 4 << 10, 4<<10 + 1, wire.PieceBytes, wire.PieceBytes + 1, 2 * wire.PieceBytes, 1<<20 - 1} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			want := gcnode.BytesValue(random[:size])
			data := encodeReplies(t, []gcnode.Reply{{Value: want}, {Key: 1}}, nil)
			for _, r := range []io.Reader{bytes.NewReader(data), iotest.OneByteReader(bytes.NewReader(data)), iotest.DataErrReader(bytes.NewReader(data))} {
				got, err := readReplies(wire.NewReader(r))
				require.ErrorIs(t, err, io.EOF)
				require.Len(t, got, 2)
				require.True(t, got[0].Value == want)
			}
			frames := 0
			for in := bytes.NewReader(data); ; frames++ {
				var f peerpb.Frame
				err := protodelim.UnmarshalFrom(in, &f)
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				require.LessOrEqual(t, len(f.GetReply().GetValue())+len(f.GetPiece().GetData()), wire.PieceBytes)
			}
			require.Equal(t, max(1, (size+wire.PieceBytes-1)/wire.PieceBytes)+2, frames)
		})
	}
}

func TestASetsValueTravelsInPieces(t *testing.T) {
	for _, size := range []int{0, wire.PieceBytes, wire.PieceBytes + 1, 3*wire.PieceBytes + 7} {
		want := &gcnode.Request{Op: gcnode.OpSet, Keys: []string{"k"}, Value: gcnode.StringValue(strings.Repeat("v", size))}
		var b bytes.Buffer
		require.NoError(t, wire.NewWriter(&b).WriteRequest(want))
		r := wire.NewReader(iotest.HalfReader(bytes.NewReader(b.Bytes())))
		got, err := r.ReadRequest()
		require.NoError(t, err)
		require.True(t, got.Value == want.Value)
		require.NoError(t, r.ReadEOF())
		if size > wire.PieceBytes {
			_, err := wire.NewReader(bytes.NewReader(b.Bytes()[:b.Len()-1])).ReadRequest()
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			_, err = wire.AppendRequest(nil, want)
			require.ErrorIs(t, err, gcnode.ErrTooLarge)
		}
	}
}

// TestASetsValueIsMalformed has pieces after a request that do not make up what
// it has announced.
func TestASetsValueIsMalformed(t *testing.T) {
	request := func(op peerpb.Op, total uint64, first string) []byte {
		return delimited(t, &peerpb.Request{Op: op, ValueBytes: total, Value: []byte(first)})
	}
	piece := func(data string) []byte {
		return delimited(t, &peerpb.Frame{Kind: &peerpb.Frame_Piece{Piece: &peerpb.Piece{Data: []byte(data)}}})
	}
	end := delimited(t, &peerpb.Frame{Kind: &peerpb.Frame_End{End: &peerpb.End{}}})
	for _, op := range []peerpb.Op{peerpb.Op_OP_SET, 99} {
		first := request(op, 5, "ab")
		tests := map[string][][]byte{
			"1 of the 5 bytes of a value are missing": {first, piece("cd"), piece("")},
			"3 of the 5 bytes":                        {first, end},
			"has more than that":                      {first, piece("cdef")},
			"the first piece of a value of 2 bytes":   {request(op, 2, "ab")},
			"unexpected EOF":                          {first, piece("cd")},
		}
		for says, frames := range tests {
			req, err := wire.NewReader(bytes.NewReader(bytes.Join(frames, nil))).ReadRequest()
			require.ErrorContains(t, err, says, "operation %d", op)
			require.Nil(t, req)
		}
	}
	_, err := wire.DecodeRequest(request(peerpb.Op_OP_SET, 5, "ab")[1:])
	require.ErrorContains(t, err, "3 of the 5 bytes of a value are missing")
}

// TestTruncated cuts streams at every place.
func TestTruncated(t *testing.T) {
	for name, req := range sampleRequests() {
		data := encodeRequest(t, req)
		for n := range data {
			_, err := wire.NewReader(bytes.NewReader(data[:n])).ReadRequest()
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s after %d bytes", name, n)
		}
	}
	for name, replies := range sampleReplies() {
		data := encodeReplies(t, replies, nil)
		for n := range data {
			_, err := readReplies(wire.NewReader(bytes.NewReader(data[:n])))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%s after %d bytes", name, n)
		}
	}
}

func TestUnknownFieldsAreTolerated(t *testing.T) {
	unknown := protowire.AppendTag(nil, 1000, protowire.BytesType)
	unknown = protowire.AppendString(unknown, "from the future")
	unknown = protowire.AppendVarint(protowire.AppendTag(unknown, 1001, protowire.VarintType), 1)
	for name, req := range sampleRequests() {
		msg, err := wire.AppendRequest(nil, req)
		require.NoError(t, err)
		got, err := wire.DecodeRequest(append(msg, unknown...))
		require.NoError(t, err)
		require.Equal(t, req, got, name)
	}
	newer := protowire.AppendBytes(nil, unknown)
	data := append(newer, encodeReplies(t, []gcnode.Reply{{Key: 1}}, nil)...)
	got, err := readReplies(wire.NewReader(bytes.NewReader(data)))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, []gcnode.Reply{{Key: 1}}, got, "a frame of an unknown kind is skipped")
}

func TestUnknownNumbers(t *testing.T) {
	for _, op := range []peerpb.Op{0, 12, 99, 256 + 1, -1} {
		_, err := wire.NewReader(bytes.NewReader(delimited(t, &peerpb.Request{Op: op}))).ReadRequest()
		require.ErrorIs(t, err, gcnode.ErrUnsupported, "operation %d", op)
	}
	large := delimited(t, &peerpb.Request{Op: 99, ValueBytes: 5, Value: []byte("ab")})
	for _, data := range []string{"c", "de"} {
		large = append(large, delimited(t, &peerpb.Frame{Kind: &peerpb.Frame_Piece{Piece: &peerpb.Piece{Data: []byte(data)}}})...)
	}
	r := wire.NewReader(bytes.NewReader(large))
	_, err := r.ReadRequest()
	require.ErrorIs(t, err, gcnode.ErrUnsupported)
	require.NoError(t, r.ReadEOF(), "the pieces of its value belong to a request that is unknown")
	frame := &peerpb.Frame{Kind: &peerpb.Frame_Reply{Reply: &peerpb.Reply{Source: 99, Error: &peerpb.Error{Kind: 12, Message: "m"}}}}
	got, err := wire.NewReader(bytes.NewReader(delimited(t, frame))).ReadReply()
	require.NoError(t, err)
	require.Equal(t, gcnode.Reply{Err: &gcnode.Error{Kind: gcnode.KindInternal, Err: errors.New("m")}}, got)
}

// many are n keys.
func many(n int) []string { return make([]string, n) }

func TestRequestLimits(t *testing.T) {
	long := strings.Repeat("x", gcnode.MaxIDBytes+1)
	longKey := []string{strings.Repeat("k", gcnode.MaxKeyBytes+1)}
	heavy := strings.Split(strings.Repeat(strings.Repeat("k", gcnode.MaxKeyBytes)+" ", 17), " ")
	tests := map[string]gcnode.Request{
		"the sender's ID":                 {From: gcnode.Sender{ID: long}},
		"the group's name":                {Group: long},
		"one of the keys has 65537 bytes": {Keys: longKey},
		"more than 10000 keys":            {Keys: many(gcnode.MaxBatchKeys + 1)},
		"more than 1048576 bytes":         {Keys: heavy},
		"a removal's sender":              {Removals: []gcnode.Removal{{ID: gcnode.RemovalID{Sender: long}}}},
		"the ID of a known life":          {Known: []gcnode.Known{{Sender: gcnode.Sender{ID: long}}}},
		"more than 4096 known lives":      {Known: make([]gcnode.Known, wire.MaxKnown+1)},
		"more than 10000 digests":         {Digests: make([]gcnode.Digest, gcnode.MaxBatchKeys+1)},
		"the name of a removal's group":   {Removals: []gcnode.Removal{{Group: long}}},
		"one of the keys to remove":       {Removals: []gcnode.Removal{{Keys: longKey}}},
		"more than 10000 keys to remove":  {Removals: []gcnode.Removal{{Keys: many(gcnode.MaxBatchKeys)}, {Keys: many(1)}}},
		"more than 10000 removals":        {Removals: make([]gcnode.Removal, wire.MaxRemovals+1)},
		"a finished removal's sender":     {Finished: []gcnode.RemovalID{{Sender: long}}},
		"more than 10000 finished":        {Finished: make([]gcnode.RemovalID, wire.MaxRemovals+1)},
	}
	for says, req := range tests {
		t.Run(says, func(t *testing.T) {
			req.Op = gcnode.OpFetch
			var b bytes.Buffer
			err := wire.NewWriter(&b).WriteRequest(&req)
			require.ErrorIs(t, err, gcnode.ErrTooLarge)
			require.ErrorContains(t, err, says)
			require.Zero(t, b.Len(), "something was written")
			_, err = wire.NewReader(bytes.NewReader(delimited(t, requestToProto(&req)))).ReadRequest()
			require.ErrorIs(t, err, gcnode.ErrTooLarge)
			if !strings.Contains(says, "'s sender") && !strings.Contains(says, "known life") {
				require.ErrorContains(t, err, says)
			}
		})
	}
	huge := &gcnode.Request{Op: gcnode.OpSet, Value: gcnode.StringValue(strings.Repeat("v", gcnode.MaxValueBytes+1))}
	var b bytes.Buffer
	require.ErrorContains(t, wire.NewWriter(&b).WriteRequest(huge), "the value has 67108865 bytes")
	require.Zero(t, b.Len(), "something was written")
	announced := delimited(t, &peerpb.Request{Op: peerpb.Op_OP_SET, ValueBytes: gcnode.MaxValueBytes + 1, Value: []byte("v")})
	_, err := wire.NewReader(bytes.NewReader(announced)).ReadRequest()
	require.ErrorContains(t, err, "67108865 bytes was announced")
	for _, size := range []int{0, 16, 1, 15, 17, 32} {
		data := delimited(t, &peerpb.Request{Op: peerpb.Op_OP_FETCH, Keys: [][]byte{{}}, Digests: [][]byte{make([]byte, size)}})
		_, err := wire.NewReader(bytes.NewReader(data)).ReadRequest()
		if size == 0 || size == 16 {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, wire.ErrMalformed)
			require.ErrorContains(t, err, "a digest of")
		}
	}
	for _, keys := range []int{0, 1, 3} {
		data := delimited(t, &peerpb.Request{Op: peerpb.Op_OP_FETCH, Keys: make([][]byte, keys), Digests: make([][]byte, 2)})
		_, err := wire.NewReader(bytes.NewReader(data)).ReadRequest()
		require.ErrorIs(t, err, wire.ErrMalformed, "2 digests for %d keys", keys)
	}
	fits := &gcnode.Request{
		Op: gcnode.OpFetch, Group: long[1:], Keys: heavy[:16],
		Removals: []gcnode.Removal{{Keys: many(gcnode.MaxBatchKeys)}},
	}
	got, err := wire.NewReader(bytes.NewReader(encodeRequest(t, fits))).ReadRequest()
	require.NoError(t, err)
	require.Equal(t, fits, got)
}

func TestRequestOverFrame(t *testing.T) {
	id := gcnode.RemovalID{Sender: strings.Repeat("s", gcnode.MaxIDBytes), Seq: 1}
	req := &gcnode.Request{Op: gcnode.OpFetch, Removals: make([]gcnode.Removal, wire.MaxRemovals)}
	for i := range req.Removals {
		req.Removals[i] = gcnode.Removal{ID: id, Group: id.Sender}
	}
	_, err := wire.AppendRequest(nil, req)
	require.ErrorIs(t, err, gcnode.ErrTooLarge)
	require.ErrorContains(t, err, "send fewer keys at once")
}

func TestReplyLimits(t *testing.T) {
	long := strings.Repeat("i", gcnode.MaxIDBytes+1)
	longKey := []string{strings.Repeat("k", gcnode.MaxKeyBytes+1)}
	tests := map[string]gcnode.Reply{
		"a reply to key -1":           {Key: -1},
		"a reply to key 10000":        {Key: gcnode.MaxBatchKeys},
		"the value has 67108865":      {Value: gcnode.StringValue(strings.Repeat("v", gcnode.MaxValueBytes+1))},
		"more than 8192 members":      {Ack: &gcnode.Ack{Members: make([]gcnode.Peer, wire.MaxMembers+1)}},
		"a member's ID has":           {Ack: &gcnode.Ack{Members: []gcnode.Peer{{ID: strings.Repeat("i", 257)}}}},
		"one of the keys has":         {Keys: longKey},
		"more than 10000 keys":        {Keys: many(gcnode.MaxBatchKeys + 1)},
		"more than 4096 known":        {Ack: &gcnode.Ack{Known: make([]gcnode.Known, wire.MaxKnown+1)}},
		"more than 8192 members that": {Ack: &gcnode.Ack{Left: make([]gcnode.Sender, wire.MaxMembers+1)}},
		"more than 8192 lives":        {Ack: &gcnode.Ack{Lives: make([]gcnode.Sender, wire.MaxMembers+1)}},
		"the ID of a member's life":   {Ack: &gcnode.Ack{Lives: []gcnode.Sender{{ID: long}}}},
		"the ID of a member that":     {Ack: &gcnode.Ack{Left: []gcnode.Sender{{ID: long}}}},
		"the ID of a known life":      {Ack: &gcnode.Ack{Known: []gcnode.Known{{Sender: gcnode.Sender{ID: long}}}}},
		"more than 10000 removals":    {Ack: &gcnode.Ack{Removals: make([]gcnode.Removal, wire.MaxRemovals+1)}},
		"one of the keys to remove":   {Ack: &gcnode.Ack{Removals: []gcnode.Removal{{Keys: longKey}}}},
		"10000 keys to remove":        {Ack: &gcnode.Ack{Removals: []gcnode.Removal{{Keys: many(gcnode.MaxBatchKeys)}, {Keys: many(1)}}}},
		"a removal's sender":          {Ack: &gcnode.Ack{Removals: []gcnode.Removal{{ID: gcnode.RemovalID{Sender: long}}}}},
		"the name of a removal's":     {Ack: &gcnode.Ack{Removals: []gcnode.Removal{{Group: long}}}},
		"the address of member \"\"":  {Ack: &gcnode.Ack{Members: []gcnode.Peer{{Addr: strings.Repeat("a", wire.MaxAddrBytes+1)}}}},
	}
	for says, r := range tests {
		var b bytes.Buffer
		w := wire.NewWriter(&b)
		err := w.WriteReply(r)
		require.ErrorIs(t, err, gcnode.ErrTooLarge)
		require.ErrorContains(t, err, says)
		require.Zero(t, b.Len(), "something was written")
		require.NoError(t, w.WriteEnd(nil), "the stream can be used further")
		if r.Value.Len() == 0 {
			_, err = wire.NewReader(bytes.NewReader(delimited(t, replyToProto(r)))).ReadReply()
			require.Error(t, err, says)
		}
	}
	members := make([]gcnode.Peer, wire.MaxMembers)
	for i := range members {
		members[i].Addr = strings.Repeat("a", wire.MaxAddrBytes)
	}
	err := wire.NewWriter(io.Discard).WriteReply(gcnode.Reply{Ack: &gcnode.Ack{Members: members}})
	require.ErrorContains(t, err, "beside its value")
}

// TestAtTheLimitsOfTheContract has requests and replies with as much as package
// gcnode lets members send at once. Each has to fit into a frame.
func TestAtTheLimitsOfTheContract(t *testing.T) {
	// n names have MaxBatchBytes.
	name := func(n int) string { return strings.Repeat("n", min(gcnode.MaxIDBytes, gcnode.MaxBatchBytes/n)) }
	const n = gcnode.MaxBatchKeys
	last := gcnode.RemovalID{Sender: name(3 * n), Incarnation: math.MaxUint64, Seq: math.MaxUint64}
	stamp := gcnode.Stamp{Time: math.MaxInt64, Incarnation: math.MaxUint64}
	many := make([]gcnode.Removal, n) // small ones
	for i := range many {
		many[i] = gcnode.Removal{ID: last, Stamp: stamp, Group: last.Sender, Keys: []string{last.Sender}}
	}
	one := []gcnode.Removal{{
		ID: gcnode.RemovalID{Sender: name(1)}, Stamp: stamp, Group: name(1),
		Keys: slices.Repeat([]string{strings.Repeat("k", gcnode.MaxKeyBytes)}, gcnode.MaxBatchBytes/gcnode.MaxKeyBytes),
	}}
	keys := slices.Repeat([]string{strings.Repeat("k", gcnode.MaxBatchBytes/n)}, n)
	known := slices.Repeat([]gcnode.Known{{Sender: gcnode.Sender{ID: name(1), Incarnation: 1}, Seq: math.MaxUint64}}, wire.MaxKnown)
	finished := slices.Repeat([]gcnode.RemovalID{{Sender: name(n), Incarnation: 1, Seq: math.MaxUint64}}, n)
	digests := slices.Repeat([]gcnode.Digest{{1}}, n)
	value := gcnode.StringValue(strings.Repeat("v", wire.PieceBytes))
	for _, removals := range [][]gcnode.Removal{many, one} {
		for _, req := range []*gcnode.Request{
			{Op: gcnode.OpFetch, Group: name(1), Keys: keys, Digests: digests, Removals: removals},
			{Op: gcnode.OpRemove, Removals: removals, Finished: finished},
			{Op: gcnode.OpSet, Group: name(1), Keys: one[0].Keys[:1], Removals: removals, Value: value},
			{Op: gcnode.OpSync, Known: known},
		} {
			data := encodeRequest(t, req)
			got, err := wire.NewReader(bytes.NewReader(data)).ReadRequest()
			require.NoError(t, err)
			require.True(t, reflect.DeepEqual(req, got), "%v has changed", req.Op)
		}
	}
	members := slices.Repeat([]gcnode.Peer{{ID: strings.Repeat("i", 48), Addr: strings.Repeat("a", 80), Weight: math.MaxUint16}}, wire.MaxMembers)
	left := slices.Repeat([]gcnode.Sender{{ID: members[0].ID, Incarnation: 1}}, gcnode.MaxPeers)
	for i := range known {
		known[i].ID = members[0].ID
	}
	for _, r := range []gcnode.Reply{
		{Keys: keys},
		{Ack: &gcnode.Ack{Incarnation: 1, Members: members, Left: left, Lives: left, Time: 1, Known: known, Removals: many}},
		{Ack: &gcnode.Ack{Incarnation: 1, Members: members, Left: left, Lives: left, Time: 1, Known: known, Removals: one}},
	} {
		data := encodeReplies(t, []gcnode.Reply{r}, nil)
		got, err := wire.NewReader(bytes.NewReader(data)).ReadReply()
		require.NoError(t, err)
		require.True(t, reflect.DeepEqual(r, got)) //nolint:govet // there is no error in it
	}
}

func TestErrorTextIsCut(t *testing.T) {
	text := strings.Repeat("é\xff", wire.MaxMessageBytes)
	data := encodeReplies(t, []gcnode.Reply{{Err: &gcnode.Error{Kind: gcnode.KindTransient, Err: errors.New(text)}}}, nil)
	got, err := wire.NewReader(bytes.NewReader(data)).ReadReply()
	require.NoError(t, err)
	sent := strings.Repeat("é\uFFFD", wire.MaxMessageBytes)
	require.Equal(t, sent[:wire.MaxMessageBytes-1], got.Err.Err.Error())

	longer := delimited(t, &peerpb.Frame{Kind: &peerpb.Frame_Reply{Reply: &peerpb.Reply{Error: &peerpb.Error{Message: sent}}}})
	got, err = wire.NewReader(bytes.NewReader(longer)).ReadReply()
	require.NoError(t, err)
	require.Equal(t, sent[:wire.MaxMessageBytes-1], got.Err.Err.Error())
}

func TestMalformedAnswers(t *testing.T) {
	reply := func(r *peerpb.Reply) *peerpb.Frame { return &peerpb.Frame{Kind: &peerpb.Frame_Reply{Reply: r}} }
	piece := func(data string) *peerpb.Frame {
		return &peerpb.Frame{Kind: &peerpb.Frame_Piece{Piece: &peerpb.Piece{Data: []byte(data)}}}
	}
	first := reply(&peerpb.Reply{ValueBytes: 5, Value: []byte("ab")})
	tests := map[string][]*peerpb.Frame{
		"without its beginning":        {piece("x")},
		"3 of the 5 bytes of a value":  {first, reply(&peerpb.Reply{})},
		"1 of the 5 bytes":             {first, piece("cd"), piece("")},
		"has more than that":           {first, piece("cdef")},
		"the first piece of a value":   {reply(&peerpb.Reply{ValueBytes: 2, Value: []byte("ab")})},
		"67108865 bytes was announced": {reply(&peerpb.Reply{ValueBytes: gcnode.MaxValueBytes + 1, Value: []byte("ab")})},
		"the weight 65536 of a member": {reply(&peerpb.Reply{Ack: &peerpb.Ack{Members: []*peerpb.Peer{{Weight: 65536}}}})},
		"a reply to key":               {reply(&peerpb.Reply{Key: 1<<32 - 1})},
		"unexpected EOF":               {first, piece("cd")},
	}
	for says, frames := range tests {
		_, err := wire.NewReader(bytes.NewReader(delimited(t, frames...))).ReadReply()
		require.ErrorContains(t, err, says)
	}
	// Who cannot go on with a value may say why.
	failed := &peerpb.Frame{Kind: &peerpb.Frame_End{End: &peerpb.End{Error: &peerpb.Error{Kind: peerpb.Kind(gcnode.KindTimeout)}}}}
	_, err := wire.NewReader(bytes.NewReader(delimited(t, first, piece("cd"), failed))).ReadReply()
	var end *wire.EndError
	require.ErrorAs(t, err, &end)
	require.ErrorIs(t, err, gcnode.ErrTimeout)
	_, err = wire.NewReader(bytes.NewReader(delimited(t, first, piece("cd"), &peerpb.Frame{Kind: &peerpb.Frame_End{End: &peerpb.End{}}}))).ReadReply()
	require.ErrorIs(t, err, wire.ErrMalformed)

	both := delimited(t, first)[1:]
	both = append(both, delimited(t, piece("x"))[1:]...)
	_, err = wire.NewReader(bytes.NewReader(protowire.AppendBytes(nil, both))).ReadReply()
	require.ErrorContains(t, err, "two kinds of content")
	require.ErrorIs(t, err, wire.ErrMalformed)
}

// TestHighestFieldNumber has fields with the highest number, which are unknown
// and tolerated, and with the one after it, which the generated code refuses
// too.
func TestHighestFieldNumber(t *testing.T) {
	const highest = uint64(protowire.MaxValidNumber)
	varint := func(num uint64) []byte {
		return protowire.AppendVarint(protowire.AppendVarint(nil, num<<3|uint64(protowire.VarintType)), 1)
	}
	in := func(num protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
	}
	for _, wrap := range []func([]byte) []byte{
		func(b []byte) []byte { return b },
		func(b []byte) []byte { return in(2, b) },        // the sender
		func(b []byte) []byte { return in(6, in(1, b)) }, // the id of a removal
		func(b []byte) []byte { return in(6, in(2, b)) }, // the stamp of a removal
	} {
		for num, valid := range map[uint64]bool{highest: true, highest + 1: false, math.MaxInt32: false, 1 << 40: false} {
			msg := append(wrap(varint(num)), 1<<3, 1) // and op: fetch
			_, err := wire.DecodeRequest(msg)
			theirs := proto.Unmarshal(msg, &peerpb.Request{})
			if valid {
				require.NoError(t, err)
				require.NoError(t, theirs)
			} else {
				require.ErrorIs(t, err, wire.ErrMalformed, "field %d", num)
				require.Error(t, theirs, "field %d", num)
			}
		}
	}
	_, err := wire.NewReader(bytes.NewReader(protowire.AppendBytes(nil, varint(highest+1)))).ReadReply()
	require.ErrorIs(t, err, wire.ErrMalformed)
}

// TestAnnouncementsCostNothing announces much and sends little.
func TestAnnouncementsCostNothing(t *testing.T) {
	frame := protowire.AppendVarint(nil, wire.MaxFrameBytes)
	reply := func(first []byte) []byte {
		return delimited(t, &peerpb.Frame{Kind: &peerpb.Frame_Reply{Reply: &peerpb.Reply{ValueBytes: gcnode.MaxValueBytes, Value: first}}})
	}
	request := func(first []byte) []byte {
		return delimited(t, &peerpb.Request{Op: peerpb.Op_OP_SET, ValueBytes: gcnode.MaxValueBytes, Value: first})
	}
	piece := make([]byte, wire.PieceBytes)
	tests := map[string]struct {
		data []byte
		most uint64
	}{
		"frame":                          {frame, 256 << 10},
		"value of a reply":               {reply([]byte("a")), 256 << 10},
		"value of a request":             {request([]byte("a")), 256 << 10},
		"value with a piece":             {reply(piece), 4 << 20},
		"value of a request and a piece": {request(piece), 4 << 20},
	}
	for name, test := range tests {
		read := func(r *wire.Reader) error {
			_, err := r.ReadReply()
			return err
		}
		if strings.Contains(name, "request") {
			read = func(r *wire.Reader) error {
				_, err := r.ReadRequest()
				return err
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := read(wire.NewReader(bytes.NewReader(test.data)))
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, test.most, name)
	}
}

// TestManySmallThings has frames within the size limit with more in them than
// is allowed.
func TestManySmallThings(t *testing.T) {
	ack := protowire.AppendTag(nil, 7, protowire.BytesType)
	ack = protowire.AppendBytes(ack, bytes.Repeat([]byte{2<<3 | 2, 0}, 1<<20))
	reply := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), ack)
	_, err := wire.NewReader(bytes.NewReader(protowire.AppendBytes(nil, reply))).ReadReply()
	require.ErrorContains(t, err, "more than 8192 members")

	// Messages are merged, and their limits with them.
	part, err := proto.Marshal(&peerpb.Reply{Ack: &peerpb.Ack{Removals: []*peerpb.Removal{{Keys: make([][]byte, gcnode.MaxBatchKeys/2+1)}}}})
	require.NoError(t, err)
	twice := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), append(part, part...))
	_, err = wire.NewReader(bytes.NewReader(protowire.AppendBytes(nil, twice))).ReadReply()
	require.ErrorContains(t, err, "more than 10000 keys to remove")

	var before, after runtime.MemStats
	for _, field := range []byte{5<<3 | 2, 6<<3 | 2, 7<<3 | 2} {
		msg := bytes.Repeat([]byte{field, 0}, 2<<20)
		runtime.ReadMemStats(&before)
		_, err := wire.DecodeRequest(msg)
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, gcnode.ErrTooLarge)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "field %d", field>>3)
	}
}

// brokenWriter fails after n writes.
type brokenWriter struct{ n, calls int }

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.calls++; w.calls > w.n {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

func TestWriterStopsAfterAnError(t *testing.T) {
	large := gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("x", wire.PieceBytes+1))}
	for n := range 3 {
		out := &brokenWriter{n: n}
		w := wire.NewWriter(out)
		require.ErrorIs(t, w.WriteReply(large), io.ErrClosedPipe)
		require.ErrorIs(t, w.WriteEnd(nil), io.ErrClosedPipe)
		require.Equal(t, n+1, out.calls, "something was written after the error")
	}
}

func TestAnswers(t *testing.T) {
	a := wire.NewAnswers(&gcnode.Request{Op: gcnode.OpFetch, Keys: many(3)})
	require.NoError(t, a.Add(gcnode.Reply{Key: 1}))
	require.NoError(t, a.Add(gcnode.Reply{Key: 1, Pending: true}))
	require.ErrorContains(t, a.Add(gcnode.Reply{Key: 1}), "a second reply to key 1")
	require.ErrorIs(t, a.Add(gcnode.Reply{Key: 3}), wire.ErrMalformed)
	require.ErrorIs(t, a.Add(gcnode.Reply{Key: -1}), wire.ErrMalformed)
	require.ErrorIs(t, a.Add(gcnode.Reply{Key: 3, Pending: true}), wire.ErrMalformed)
	require.Equal(t, []int{0, 2}, a.Missing())
	require.False(t, a.Complete())
	require.NoError(t, a.Add(gcnode.Reply{Key: 0}))
	require.NoError(t, a.Add(gcnode.Reply{Key: 2}))
	require.True(t, a.Complete())
	several := wire.NewAnswers(&gcnode.Request{Op: gcnode.OpSync})
	require.NoError(t, several.Add(gcnode.Reply{}))
	require.NoError(t, several.Add(gcnode.Reply{}))
	require.False(t, several.Complete(), "more may come")

	whole := wire.NewAnswers(&gcnode.Request{Op: gcnode.OpRemove})
	require.Equal(t, []int{0}, whole.Missing())
	require.NoError(t, whole.Add(gcnode.Reply{Ack: &gcnode.Ack{}}))
	require.Empty(t, whole.Missing())
}

// What members tell of their removals names the same sender and group again and
// again; each removal is remembered with them.
func TestNamesThatComeAgainAreKeptOnce(t *testing.T) {
	req := &gcnode.Request{
		Op: gcnode.OpRemove, From: gcnode.Sender{ID: "member", Incarnation: 1},
		Removals: []gcnode.Removal{{ID: gcnode.RemovalID{Sender: "member", Incarnation: 1, Seq: 1}, Group: "group", Keys: []string{"key"}}},
		Finished: []gcnode.RemovalID{{Sender: "member", Incarnation: 1, Seq: 2}},
	}
	encoded, err := wire.AppendRequest(nil, req)
	require.NoError(t, err)
	var d wire.RequestDecoder
	var first, second gcnode.Request
	require.NoError(t, d.Decode(encoded, &first))
	require.NoError(t, d.Decode(encoded, &second))
	require.Equal(t, first, second)
	for _, name := range []string{first.Removals[0].ID.Sender, second.From.ID, second.Removals[0].ID.Sender, second.Finished[0].Sender} {
		require.Same(t, unsafe.StringData(first.From.ID), unsafe.StringData(name))
	}
	require.Same(t, unsafe.StringData(first.Removals[0].Group), unsafe.StringData(second.Removals[0].Group))
}
