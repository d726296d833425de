package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/transport/wire"
	"github.com/gcnode/gcnode/transport/wire/peerpb"
)

// FuzzReadRequest checks that what can be read can be written and read again,
// and means the same to the generated code.
func FuzzReadRequest(f *testing.F) {
	for _, req := range sampleRequests() {
		msg, err := wire.AppendRequest(nil, req)
		require.NoError(f, err)
		f.Add(protowire.AppendBytes(nil, msg))
	}
	f.Add([]byte("\x05hello"))
	f.Add([]byte("\x09\x08\x04\x78\x05\x82\x01\x02ab\x07\x12\x05\x0a\x03cde")) // in pieces
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := wire.NewReader(bytes.NewReader(data)).ReadRequest()
		if err != nil {
			require.Nil(t, req)
			return
		}
		again, err := wire.NewReader(bytes.NewReader(encodeRequest(t, req))).ReadRequest()
		require.NoError(t, err)
		require.Equal(t, req, again)

		msg, n := protowire.ConsumeBytes(data)
		require.Positive(t, n)
		var theirs peerpb.Request
		require.NoError(t, proto.Unmarshal(msg, &theirs))
		if theirs.GetValueBytes() != 0 { // the rest of the value is in pieces
			require.True(t, strings.HasPrefix(req.Value.String(), string(theirs.GetValue())))
			theirs.Value = req.Value.Bytes()
		}
		require.Equal(t, requestFromProto(&theirs), req)
	})
}

// FuzzReadReply does the same with answers.
func FuzzReadReply(f *testing.F) {
	add := func(write func(*wire.Writer) error) {
		var b bytes.Buffer
		require.NoError(f, write(wire.NewWriter(&b)))
		f.Add(b.Bytes())
	}
	for _, replies := range sampleReplies() {
		add(func(w *wire.Writer) error {
			for _, r := range replies {
				if err := w.WriteReply(r); err != nil {
					return err
				}
			}
			return w.WriteEnd(nil)
		})
	}
	failure := &gcnode.Error{Kind: gcnode.KindTimeout, Err: errors.New("late")}
	add(func(w *wire.Writer) error { return w.WriteEnd(failure) })
	add(func(w *wire.Writer) error { return w.WriteRefusal(failure) })
	f.Add([]byte("\x09\x0a\x07\x40\x05\x7a\x03abc\x06\x12\x04\x0a\x02de\x02\x22\x00")) // in pieces
	f.Fuzz(func(t *testing.T, data []byte) {
		replies, err := readReplies(wire.NewReader(bytes.NewReader(data)))
		require.Error(t, err)
		again, err := readReplies(wire.NewReader(bytes.NewReader(encodeReplies(t, replies, nil))))
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, replies, again)

		msg, n := protowire.ConsumeBytes(data)
		var theirs peerpb.Frame
		if len(replies) == 0 || n < 0 || proto.Unmarshal(msg, &theirs) != nil {
			return
		}
		if r := theirs.GetReply(); r != nil && r.GetValueBytes() == 0 && len(r.GetError().GetMessage()) <= wire.MaxMessageBytes {
			require.Equal(t, replyFromProto(r), replies[0])
		}
	})
}
