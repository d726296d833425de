package wire_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
	"github.com/gcnode/gcnode/transport/wire/peerpb"
)

// sampleCalls are what an asking member sends: our encoding and the generated
// one.
func sampleCalls(tb testing.TB) (ours []byte, theirs []*peerpb.Call) {
	tb.Helper()
	for name, exchange := range map[string]uint64{"request-set": 1, "request-long-key": 1 << 40} {
		req := sampleRequests()[name]
		request, err := wire.AppendRequest(nil, req)
		require.NoError(tb, err)
		ours = wire.AppendCallRequest(ours, exchange, request)
		theirs = append(theirs, &peerpb.Call{Exchange: exchange, Kind: &peerpb.Call_Request{Request: requestToProto(req)}})
	}
	ours = wire.AppendCallKey(wire.AppendCallKey(ours, 1<<40+1, "another"), 1<<40+2, "")
	ours = wire.AppendCallCredit(wire.AppendCallCancel(ours, 300), 1, 1<<20)
	return ours, append(theirs,
		&peerpb.Call{Exchange: 1<<40 + 1, Kind: &peerpb.Call_Key{Key: []byte("another")}},
		&peerpb.Call{Exchange: 1<<40 + 2, Kind: &peerpb.Call_Key{Key: []byte{}}},
		&peerpb.Call{Exchange: 300, Kind: &peerpb.Call_Cancel{Cancel: &peerpb.Cancel{}}},
		&peerpb.Call{Exchange: 1, Kind: &peerpb.Call_Credit{Credit: 1 << 20}})
}

// appendWhole appends a reply with all pieces of its value.
func appendWhole(tb testing.TB, b []byte, exchange uint64, r gcnode.Reply) []byte {
	tb.Helper()
	out, err := wire.AppendReply(b, exchange, &r)
	require.NoError(tb, err)
	b = append(out.Head, out.Data...)
	for out.Rest != "" {
		out = wire.AppendPiece(b, exchange, out.Rest)
		b = append(out.Head, out.Data...)
	}
	return b
}

// sampleReturns are what an answering member sends.
func sampleReturns(tb testing.TB) (ours []byte, theirs []*peerpb.Return) {
	tb.Helper()
	frame := func(exchange uint64, f *peerpb.Frame) {
		theirs = append(theirs, &peerpb.Return{Exchange: exchange, Kind: &peerpb.Return_Frame{Frame: f}})
	}
	cause := &gcnode.Error{Kind: gcnode.KindOverloaded, RetryAfter: time.Second, Err: errors.New("full")}
	for i, name := range []string{"answer-values", "answer-errors", "answer-acks", "answer-keys"} {
		for _, r := range sampleReplies()[name] {
			ours = appendWhole(tb, ours, uint64(i), r)
			frame(uint64(i), replyToProto(r))
		}
	}
	ours = wire.AppendEnd(wire.AppendEnd(wire.AppendRefusal(ours, 300, cause), 1, nil), 2, cause)
	frame(300, &peerpb.Frame{Kind: &peerpb.Frame_Refusal{Refusal: errorToProto(cause)}})
	frame(1, &peerpb.Frame{Kind: &peerpb.Frame_End{End: &peerpb.End{}}})
	frame(2, &peerpb.Frame{Kind: &peerpb.Frame_End{End: &peerpb.End{Error: errorToProto(cause)}}})
	ours = wire.AppendApart(wire.AppendGoAway(ours), 300)
	return ours, append(theirs,
		&peerpb.Return{Kind: &peerpb.Return_Goaway{Goaway: &peerpb.GoAway{}}},
		&peerpb.Return{Exchange: 300, Kind: &peerpb.Return_Apart{Apart: &peerpb.Apart{}}})
}

func TestStreamSameAsGenerated(t *testing.T) {
	calls, theirCalls := sampleCalls(t)
	require.Equal(t, delimited(t, theirCalls...), calls)
	returns, theirReturns := sampleReturns(t)
	require.Equal(t, delimited(t, theirReturns...), returns)
}

func TestGoldenStream(t *testing.T) {
	calls := wire.AppendCallRequest(nil, 1, encodeRequest(t, sampleRequests()["request-fetch"])[2:])
	calls = wire.AppendCallCancel(wire.AppendCallCredit(calls, 1, 1<<20), 1)
	golden(t, "stream-calls", calls)
	returns, _ := sampleReturns(t)
	golden(t, "stream-returns", returns)
}

// messages are those that can be read from b, with the error after them.
func messages(r io.Reader, limit int) ([][]byte, error) {
	var all [][]byte
	m := wire.NewMessageReader(r, limit)
	for {
		b, err := m.Next()
		if err != nil {
			return all, err
		}
		all = append(all, bytes.Clone(b))
	}
}

// TestMessageReader reads small and large messages in parts of every kind.
func TestMessageReader(t *testing.T) {
	sizes := []int{0, 1, 127, 128, 300, 5000, 16 << 10, 20_000, 400_000, 3, 70_000}
	for range 600 { // after which the memory for large ones is given back
		sizes = append(sizes, 40)
	}
	sizes = append(sizes, 100_000, 1)
	var data []byte
	for i, size := range sizes {
		data = protowire.AppendBytes(data, bytes.Repeat([]byte{byte(i)}, size))
	}
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(data), "halves": iotest.HalfReader(bytes.NewReader(data)),
		"bytes": iotest.OneByteReader(bytes.NewReader(data)), "end with data": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		got, err := messages(r, 1<<20)
		require.ErrorIs(t, err, io.EOF, name)
		require.Len(t, got, len(sizes), name)
		for i, size := range sizes {
			require.True(t, bytes.Equal(got[i], bytes.Repeat([]byte{byte(i)}, size)), "%s: message %d", name, i)
		}
	}
}

// stuttering fails before each read that gives something.
type stuttering struct {
	r    io.Reader
	most int // that are returned at once
	fail bool
}

var errStutter = errors.New("not yet")

func (s *stuttering) Read(b []byte) (int, error) {
	if s.fail = !s.fail; s.fail {
		return 0, errStutter
	}
	return s.r.Read(b[:min(len(b), s.most)])
}

// TestMessageReaderGoesOn calls Next again after errors, as after deadlines.
func TestMessageReaderGoesOn(t *testing.T) {
	want := []string{"", "x", strings.Repeat("long", 10_000), "end"}
	var data []byte
	for _, message := range want {
		data = protowire.AppendString(data, message)
	}
	m := wire.NewMessageReader(&stuttering{r: bytes.NewReader(data), most: 3}, 1<<20)
	var got []string
	for len(got) < len(want) {
		ready := m.Ready()
		b, err := m.Next()
		if err != nil {
			require.ErrorIs(t, err, errStutter)
			require.False(t, ready)
			continue
		}
		got = append(got, string(b))
	}
	require.Equal(t, want, got)
	require.False(t, m.Begun())
}

func TestMessageReaderRefuses(t *testing.T) {
	for data, want := range map[string]error{
		"\x05abc":                  io.ErrUnexpectedEOF,
		"\x80":                     io.ErrUnexpectedEOF,
		"\x80\x80\x80\x80":         wire.ErrMalformed,
		"\xe9\x07" + "x":           gcnode.ErrTooLarge,
		"\xff\xff\xff\xff\xff\xff": gcnode.ErrTooLarge,
	} {
		_, err := messages(strings.NewReader(data), 1000)
		require.ErrorIs(t, err, want, "%q", data)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := messages(bytes.NewReader(protowire.AppendVarint(nil, wire.MaxReturnBytes)), wire.MaxReturnBytes)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<10), "an announcement costs nothing")
}

func TestStreamMalformed(t *testing.T) {
	for data, says := range map[string]string{
		"\x12\x00\x1a\x00": "two kinds", "\x1a\x00\x20\x01": "two kinds", "\x12\x05a": "field 2", "\x1a\x01\xff": "tag", "\xff": "tag",
	} {
		_, err := wire.DecodeCall([]byte(data))
		require.ErrorIs(t, err, wire.ErrMalformed)
		require.ErrorContains(t, err, says)
	}
	for data, says := range map[string]string{"\x12\x00\x1a\x00": "two kinds", "\x12\x05a": "field 2", "\x1a\x01\xff": "tag"} {
		_, err := wire.DecodeReturn([]byte(data))
		require.ErrorIs(t, err, wire.ErrMalformed)
		require.ErrorContains(t, err, says)
	}
}

func TestStreamLimits(t *testing.T) {
	_, err := wire.AppendReply(nil, 1, &gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("x", gcnode.MaxValueBytes+1))})
	require.ErrorIs(t, err, gcnode.ErrTooLarge)
	large := gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("0123456789", 100_000))}
	data := appendWhole(t, nil, 7, large)
	all, err := messages(bytes.NewReader(data), wire.MaxReturnBytes)
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, all, 4)
	var replies wire.Collector
	for i, b := range all {
		r, err := wire.DecodeReturn(b)
		require.NoError(t, err)
		require.EqualValues(t, 7, r.Exchange)
		got, complete, err := replies.Add(r.Frame)
		require.NoError(t, err)
		require.Equal(t, i == len(all)-1, complete)
		require.True(t, !complete || got.Value == large.Value)
	}
}

// TestWholeMessage cuts off what is there as a whole, and leaves the rest to who
// waits for more or says what is wrong.
func TestWholeMessage(t *testing.T) {
	long := strings.Repeat("m", 300)
	for _, test := range []struct {
		data, message, rest string
		ok                  bool
	}{
		{data: ""},
		{data: "\x03ab"},
		{data: "\x80"},
		{data: "\x80\x80\x80\x80\x00"},
		{data: strings.Repeat("\xff", 10)},
		{data: "\x00", ok: true},
		{data: "\x02abc", message: "ab", rest: "c", ok: true},
		{data: "\xac\x02" + long + "\x01", message: long, rest: "\x01", ok: true},
	} {
		message, rest, ok := wire.WholeMessage([]byte(test.data))
		require.Equal(t, test.ok, ok, "%q", test.data)
		require.Equal(t, test.message, string(message), "%q", test.data)
		require.Equal(t, test.rest, string(rest), "%q", test.data)
	}
}

func TestCutMessageRefuses(t *testing.T) {
	for data, says := range map[string]string{
		"": "unexpected EOF", "\x80": "unexpected EOF", "\x02a": "a message of 2 bytes, of which 1 are there",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02": "overflow", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01": "of which 0",
	} {
		_, _, err := wire.CutMessage([]byte(data))
		require.ErrorIs(t, err, wire.ErrMalformed)
		require.ErrorContains(t, err, says, "%q", data)
	}
}

// FuzzCall checks that what can be read means the same to the generated code.
func FuzzCall(f *testing.F) {
	_, calls := sampleCalls(f)
	for _, call := range calls {
		data, err := proto.Marshal(call)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte("\x12\x00\x1a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		call, err := wire.DecodeCall(data)
		var theirs peerpb.Call
		if err != nil || proto.Unmarshal(data, &theirs) != nil {
			return
		}
		require.Equal(t, theirs.GetExchange(), call.Exchange)
		require.Equal(t, theirs.GetCredit(), call.Credit)
		require.Equal(t, theirs.GetCancel() != nil, call.Cancel)
		require.Equal(t, theirs.GetRequest() != nil, call.Request != nil)
		_, key := theirs.GetKind().(*peerpb.Call_Key)
		require.Equal(t, key, call.Key != nil)
		require.Equal(t, string(theirs.GetKey()), string(call.Key))
		if req, err := wire.DecodeRequest(call.Request); call.Request != nil && err == nil {
			require.Equal(t, requestFromProto(theirs.GetRequest()), req)
		}
	})
}

// FuzzReturn does the same with answers.
func FuzzReturn(f *testing.F) {
	_, returns := sampleReturns(f)
	for _, r := range returns {
		data, err := proto.Marshal(r)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := wire.DecodeReturn(data)
		var theirs peerpb.Return
		if err != nil || proto.Unmarshal(data, &theirs) != nil {
			return
		}
		require.Equal(t, theirs.GetExchange(), r.Exchange)
		require.Equal(t, theirs.GetGoaway() != nil, r.GoAway)
		require.Equal(t, theirs.GetApart() != nil, r.Apart)
		require.Equal(t, theirs.GetFrame() != nil, r.Frame != nil)
		var replies wire.Collector
		got, complete, err := replies.Add(r.Frame)
		if !complete {
			return
		}
		require.NoError(t, err)
		require.Equal(t, replyFromProto(theirs.GetFrame().GetReply()), got)
	})
}

// FuzzMessages checks that messages come out as they go in, however they are
// cut.
func FuzzMessages(f *testing.F) {
	calls, _ := sampleCalls(f)
	f.Add(calls, uint8(5))
	f.Add([]byte("\x80\x80\x80\x80"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		whole, first := messages(bytes.NewReader(data), 1<<10)
		rest := data
		for _, want := range whole {
			b, after, err := wire.CutMessage(rest)
			require.NoError(t, err)
			require.Equal(t, want, bytes.Clone(b))
			rest = after
		}
		cut, second := messages(stepping{bytes.NewReader(data), int(step)%7 + 1}, 1<<10)
		require.Equal(t, whole, cut)
		require.Equal(t, first.Error(), second.Error())
		var again []byte
		for _, b := range whole {
			again = protowire.AppendBytes(again, b)
		}
		if errors.Is(first, io.EOF) && len(again) == len(data) {
			require.Equal(t, data, append([]byte{}, again...))
		}
	})
}

// stepping returns a few bytes at once.
type stepping struct {
	r    io.Reader
	step int
}

func (s stepping) Read(b []byte) (int, error) { return s.r.Read(b[:min(len(b), s.step)]) }

// TestMessageReaderPlaces has the ends of large messages read into places, also
// after errors and however they are cut.
func TestMessageReaderPlaces(t *testing.T) {
	large := gcnode.Reply{Value: gcnode.StringValue(strings.Repeat("0123456789", 200_000))}
	data := appendWhole(t, nil, 7, gcnode.Reply{Value: gcnode.StringValue("small")})
	data = wire.AppendEnd(appendWhole(t, appendWhole(t, data, 300, large), 1, large), 1, nil)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(data), "halves": iotest.HalfReader(bytes.NewReader(data)),
		"errors": &stuttering{r: bytes.NewReader(data), most: 20_000}, "end with data": iotest.DataErrReader(bytes.NewReader(data)),
	} {
		var replies wire.Collector
		placed, pieces, got := 0, 0, []gcnode.Reply(nil)
		m := wire.NewMessageReader(r, wire.MaxReturnBytes)
		m.Place = func(beginning []byte, message int) []byte {
			exchange, data, ok := wire.PieceAhead(beginning, message)
			if !ok || exchange != 300 {
				return nil
			}
			place := replies.Room(data)
			placed = len(place)
			return place
		}
		for {
			b, err := m.Next()
			if errors.Is(err, errStutter) {
				require.False(t, m.Ready() && placed > 0, name)
				require.True(t, m.Begun() || placed == 0, name)
				continue
			}
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, name)
			var reply gcnode.Reply
			var complete bool
			if placed > 0 {
				require.Less(t, len(b), 32, name)
				reply, complete = replies.Filled(placed)
				placed = 0
				pieces++
			} else {
				ret, err := wire.DecodeReturn(b)
				require.NoError(t, err, name)
				reply, complete, err = replies.Add(ret.Frame)
				if errors.Is(err, io.EOF) {
					continue
				}
				require.NoError(t, err, name)
			}
			if complete {
				got = append(got, reply)
			}
		}
		require.Len(t, got, 3, name)
		require.True(t, got[1].Value == large.Value && got[2].Value == large.Value, name)
		if name == "errors" { // a part at a time, so that all pieces but the first have a place
			require.Equal(t, 7, pieces)
		}
		require.False(t, m.Begun(), name)
	}
}

// TestMessageReaderSkips takes a message that is known beforehand, and no other.
func TestMessageReaderSkips(t *testing.T) {
	reply := appendWhole(t, nil, 300, gcnode.Reply{})
	end, other := wire.AppendEnd(nil, 300, nil), wire.AppendEnd(nil, 301, nil)
	m := wire.NewMessageReader(bytes.NewReader(slices.Concat(reply, end, other, end[:3])), wire.MaxReturnBytes)
	require.False(t, m.Skip(reply), "it has not come")
	b, err := m.Next()
	require.NoError(t, err)
	require.False(t, m.Skip(other), "it is not the next one")
	require.True(t, m.Skip(end))
	require.Equal(t, reply[1:], b)
	require.False(t, m.Skip(end), "it was taken")
	b, err = m.Next()
	require.NoError(t, err)
	require.Equal(t, other[1:], b)
	require.False(t, m.Skip(end), "not all of it has come")
	_, err = m.Next()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}
