package wire_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
	"github.com/gcnode/gcnode/transport/wire/peerpb"
)

// The rules of docs/protocol.md for members of other versions.

// newer adds to a message, and to all in it, what another version might send:
// fields that are not known here, and known numbers with another wire type.
func newer(m proto.Message) {
	var visit func(protoreflect.Message)
	visit = func(m protoreflect.Message) {
		m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch {
			case fd.Message() == nil:
			case fd.IsList():
				for i := range v.List().Len() {
					visit(v.List().Get(i).Message())
				}
			default:
				visit(v.Message())
			}
			return true
		})
		fields := m.Descriptor().Fields()
		extra := unknownFields()
		for i := range fields.Len() {
			extra = append(extra, otherType(fields.Get(i))...)
		}
		m.SetUnknown(extra)
	}
	visit(m.ProtoReflect())
}

// unknownFields are one of each wire type, groups included.
func unknownFields() []byte {
	b := protowire.AppendString(protowire.AppendTag(nil, 1000, protowire.BytesType), "from the future")
	b = protowire.AppendVarint(protowire.AppendTag(b, 1001, protowire.VarintType), 1<<63)
	b = protowire.AppendFixed32(protowire.AppendTag(b, 1002, protowire.Fixed32Type), 1)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 1003, protowire.Fixed64Type), 1)
	group := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1)
	return protowire.AppendGroup(protowire.AppendTag(b, 1004, protowire.StartGroupType), 1004, group)
}

// otherType is a field with a wire type that it does not have.
func otherType(fd protoreflect.FieldDescriptor) []byte {
	switch fd.Kind() {
	case protoreflect.BytesKind, protoreflect.StringKind, protoreflect.MessageKind:
		return protowire.AppendVarint(protowire.AppendTag(nil, fd.Number(), protowire.VarintType), 7)
	default:
		return protowire.AppendBytes(protowire.AppendTag(nil, fd.Number(), protowire.BytesType), []byte("\xff"))
	}
}

// marshal is the generated code's encoding, with its fields in order.
func marshal(tb testing.TB, m proto.Message) []byte {
	tb.Helper()
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	require.NoError(tb, err)
	return data
}

// sampleFrames are frames of each kind.
func sampleFrames() []*peerpb.Frame {
	cause := errorToProto(&gcnode.Error{Kind: gcnode.KindOverloaded, RetryAfter: 1, Err: errors.New("full")})
	frames := []*peerpb.Frame{
		{Kind: &peerpb.Frame_Refusal{Refusal: cause}},
		{Kind: &peerpb.Frame_End{End: &peerpb.End{Error: cause}}},
		{Kind: &peerpb.Frame_End{End: &peerpb.End{}}},
	}
	for _, replies := range sampleReplies() {
		for _, r := range replies {
			frames = append(frames, replyToProto(r))
		}
	}
	return frames
}

// meaning is what comes of one frame.
type meaning struct {
	reply    gcnode.Reply
	complete bool
	err      error
}

func meaningOf(t *testing.T, frame []byte) meaning {
	t.Helper()
	var c wire.Collector
	r, complete, err := c.Add(frame)
	require.NotErrorIs(t, err, wire.ErrMalformed)
	return meaning{r, complete, err}
}

func TestNewerFieldsAreSkipped(t *testing.T) {
	for name, req := range sampleRequests() {
		m := requestToProto(req)
		newer(m)
		got, err := wire.DecodeRequest(marshal(t, m))
		require.NoError(t, err, name)
		require.Equal(t, req, got, name)
	}
	for _, frame := range sampleFrames() {
		want := meaningOf(t, marshal(t, frame))
		newer(frame)
		require.Equal(t, want, meaningOf(t, marshal(t, frame)))
	}
	piece := &peerpb.Frame{Kind: &peerpb.Frame_Piece{Piece: &peerpb.Piece{Data: []byte("cde")}}}
	newer(piece)
	data := append(delimited(t, &peerpb.Request{Op: peerpb.Op_OP_SET, ValueBytes: 5, Value: []byte("ab")}), delimited(t, piece)...)
	req, err := wire.NewReader(bytes.NewReader(data)).ReadRequest()
	require.NoError(t, err)
	require.Equal(t, "abcde", req.Value.String())

	_, calls := sampleCalls(t)
	for _, call := range calls {
		want, err := wire.DecodeCall(marshal(t, call))
		require.NoError(t, err)
		newer(call)
		got, err := wire.DecodeCall(marshal(t, call))
		require.NoError(t, err)
		require.Equal(t, want.Request == nil, got.Request == nil)
		want.Request, got.Request = nil, nil // which has become longer
		require.Equal(t, want, got)
	}
	_, returns := sampleReturns(t)
	for _, r := range returns {
		want, err := wire.DecodeReturn(marshal(t, r))
		require.NoError(t, err)
		newer(r)
		got, err := wire.DecodeReturn(marshal(t, r))
		require.NoError(t, err)
		require.Equal(t, want.Frame == nil, got.Frame == nil)
		want.Frame, got.Frame = nil, nil
		require.Equal(t, want, got)
	}
}

// TestNothingKnownIsSkipped has frames and messages of kinds of another version.
func TestNothingKnownIsSkipped(t *testing.T) {
	for _, data := range [][]byte{nil, unknownFields()} {
		call, err := wire.DecodeCall(data)
		require.NoError(t, err)
		require.Zero(t, call)
		r, err := wire.DecodeReturn(data)
		require.NoError(t, err)
		require.Zero(t, r)
		var replies wire.Collector
		_, complete, err := replies.Add(data)
		require.NoError(t, err)
		require.False(t, complete)
	}
}

// reversed is the message with its fields from the highest number to the
// lowest, and so for those in it. Fields with the same number keep their order.
func reversed(t *testing.T, md protoreflect.MessageDescriptor, b []byte) []byte {
	t.Helper()
	type field struct {
		num protowire.Number
		raw []byte
	}
	var fields []field
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeField(b)
		require.Positive(t, n)
		raw := b[:n]
		if fd := md.Fields().ByNumber(num); fd.Message() != nil {
			require.Equal(t, protowire.BytesType, typ)
			_, _, tag := protowire.ConsumeTag(raw)
			inner, _ := protowire.ConsumeBytes(raw[tag:])
			raw = protowire.AppendBytes(slices.Clone(raw[:tag]), reversed(t, fd.Message(), inner))
		}
		fields = append(fields, field{num, raw})
		b = b[n:]
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(b.num, a.num) })
	var out []byte
	for _, f := range fields {
		out = append(out, f.raw...)
	}
	return out
}

func TestFieldsComeInAnyOrder(t *testing.T) {
	for name, req := range sampleRequests() {
		m := requestToProto(req)
		got, err := wire.DecodeRequest(reversed(t, m.ProtoReflect().Descriptor(), marshal(t, m)))
		require.NoError(t, err, name)
		require.Equal(t, req, got, name)
	}
	for _, frame := range sampleFrames() {
		data := marshal(t, frame)
		require.Equal(t, meaningOf(t, data), meaningOf(t, reversed(t, frame.ProtoReflect().Descriptor(), data)))
	}
	_, calls := sampleCalls(t)
	for _, call := range calls {
		data := marshal(t, call)
		want, err := wire.DecodeCall(data)
		require.NoError(t, err)
		got, err := wire.DecodeCall(reversed(t, call.ProtoReflect().Descriptor(), data))
		require.NoError(t, err)
		want.Request, got.Request = nil, nil
		require.Equal(t, want, got)
	}
}

// TestFieldsThatOccurTwice compares with the generated code: the last one
// counts, lists go on, and messages are merged.
func TestFieldsThatOccurTwice(t *testing.T) {
	for first, a := range sampleRequests() {
		for second, b := range sampleRequests() {
			if len(a.Digests)+len(b.Digests) > 0 && len(a.Keys)+len(b.Keys) != len(a.Digests)+len(b.Digests) {
				continue // together they are a violation of another rule
			}
			data := append(marshal(t, requestToProto(a)), marshal(t, requestToProto(b))...)
			var merged peerpb.Request
			require.NoError(t, proto.Unmarshal(data, &merged))
			got, err := wire.DecodeRequest(data)
			require.NoError(t, err, "%s and %s", first, second)
			require.Equal(t, requestFromProto(&merged), got, "%s and %s", first, second)
		}
	}
	var replies []gcnode.Reply
	for _, list := range sampleReplies() {
		replies = append(replies, list...)
	}
	for _, a := range replies {
		for _, b := range replies {
			data := append(marshal(t, replyToProto(a).GetReply()), marshal(t, replyToProto(b).GetReply())...)
			var merged peerpb.Reply
			require.NoError(t, proto.Unmarshal(data, &merged))
			var c wire.Collector
			got, complete, err := c.Add(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), data))
			require.NoError(t, err)
			require.True(t, complete)
			require.Equal(t, replyFromProto(&merged), got)
		}
	}
	// What a frame, a call and a return are for is said once.
	for _, frame := range sampleFrames() {
		data := marshal(t, frame)
		var c wire.Collector
		_, _, err := c.Add(append(slices.Clone(data), data...))
		require.ErrorIs(t, err, wire.ErrMalformed)
		require.ErrorContains(t, err, "two kinds of content")
	}
}

// TestGroupsAreNoneOfOurs has groups, which are skipped where they are whole,
// and cannot be nested for long.
func TestGroupsAreNoneOfOurs(t *testing.T) {
	decoders := map[string]func([]byte) error{
		"request": func(b []byte) error { _, err := wire.DecodeRequest(append([]byte{1 << 3, 1}, b...)); return err },
		"call":    func(b []byte) error { _, err := wire.DecodeCall(b); return err },
		"return":  func(b []byte) error { _, err := wire.DecodeReturn(b); return err },
		"frame":   func(b []byte) error { _, _, err := new(wire.Collector).Add(b); return err },
	}
	const start, end = 5<<3 | 3, 5<<3 | 4
	for name, decode := range decoders {
		require.NoError(t, decode([]byte{start, start, end, end}), name)
		for _, bad := range [][]byte{{start}, {end}, {start, 6<<3 | 4}, bytes.Repeat([]byte{start}, 2<<20)} {
			require.ErrorIs(t, decode(bad), wire.ErrMalformed, "%s: %.8x", name, bad)
		}
	}
}

// TestUnknownKindsAreInternal also has them where they are no answer to a key.
func TestUnknownKindsAreInternal(t *testing.T) {
	for _, kind := range []peerpb.Kind{12, 300, -1} {
		cause := &peerpb.Error{Kind: kind, Message: "m"}
		for _, frame := range []*peerpb.Frame{
			{Kind: &peerpb.Frame_Refusal{Refusal: cause}}, {Kind: &peerpb.Frame_End{End: &peerpb.End{Error: cause}}},
		} {
			_, err := wire.NewReader(bytes.NewReader(delimited(t, frame))).ReadReply()
			said, ok := errors.AsType[*wire.EndError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, &gcnode.Error{Kind: gcnode.KindInternal, Err: errors.New("m")}, said.Cause)
		}
	}
}

// TestLargerPiecesAreAccepted has more in one frame than we send.
func TestLargerPiecesAreAccepted(t *testing.T) {
	large := bytes.Repeat([]byte("v"), 3<<20)
	reply := &peerpb.Frame{Kind: &peerpb.Frame_Reply{Reply: &peerpb.Reply{Value: large}}}
	first := &peerpb.Frame{Kind: &peerpb.Frame_Reply{Reply: &peerpb.Reply{ValueBytes: uint64(2 * len(large)), Value: large}}}
	piece := &peerpb.Frame{Kind: &peerpb.Frame_Piece{Piece: &peerpb.Piece{Data: large}}}
	end := &peerpb.Frame{Kind: &peerpb.Frame_End{End: &peerpb.End{}}}
	got, err := readReplies(wire.NewReader(bytes.NewReader(delimited(t, reply, first, piece, end))))
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, got, 2)
	require.True(t, got[0].Value == gcnode.BytesValue(large))
	require.Equal(t, 2*len(large), got[1].Value.Len())
	req, err := wire.DecodeRequest(marshal(t, &peerpb.Request{Op: peerpb.Op_OP_SET, Value: large}))
	require.NoError(t, err)
	require.True(t, req.Value == gcnode.BytesValue(large))
}

// TestNumbersKeepTheirMeaning compares with what the schema is for members of
// v1: what is in the file stays, and what is new comes into it.
func TestNumbersKeepTheirMeaning(t *testing.T) {
	var lines []string
	file := peerpb.File_peer_proto
	for i := range file.Enums().Len() {
		values := file.Enums().Get(i).Values()
		for j := range values.Len() {
			lines = append(lines, fmt.Sprintf("%s = %d", values.Get(j).Name(), values.Get(j).Number()))
		}
	}
	for i := range file.Messages().Len() {
		fields := file.Messages().Get(i).Fields()
		for j := range fields.Len() {
			fd := fields.Get(j)
			kind := fd.Kind().String()
			if fd.Message() != nil {
				kind = string(fd.Message().Name())
			}
			lines = append(lines, fmt.Sprintf("%s.%s = %d: %s %s", fd.Parent().Name(), fd.Name(), fd.Number(), fd.Cardinality(), kind))
		}
	}
	slices.Sort(lines)
	path := filepath.Join("testdata", "schema.txt")
	text := strings.Join(lines, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}
