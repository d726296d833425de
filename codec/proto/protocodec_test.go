package protocodec_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	protocodec "github.com/gcnode/gcnode/codec/proto"
	gcnode "github.com/gcnode/gcnode/core"
)

// newGroup makes a group with one message for all keys.
func newGroup(t *testing.T, m *structpb.Struct) *gcnode.Typed[*structpb.Struct] {
	t.Helper()
	node, err := gcnode.NewNode(gcnode.Config{})
	require.NoError(t, err)
	group, err := gcnode.Of(node, "g", protocodec.New[structpb.Struct](),
		gcnode.GetterFunc[*structpb.Struct](func(context.Context, string) (gcnode.Item[*structpb.Struct], error) {
			return gcnode.Item[*structpb.Struct]{Value: m}, nil
		}), gcnode.GroupOptions{MaxBytes: 1 << 20})
	require.NoError(t, err)
	return group
}

func TestMessagesComeBackEqual(t *testing.T) {
	t.Parallel()
	ann, err := structpb.NewStruct(map[string]any{"name": "Ann", "age": 41, "tags": []any{"a", nil, true}})
	require.NoError(t, err)
	for _, want := range []*structpb.Struct{ann, {}} {
		group := newGroup(t, want)
		for range 2 { // a load, a hit
			got, err := group.Get(t.Context(), "k")
			require.NoError(t, err)
			assert.True(t, proto.Equal(want, got), "%v became %v", want, got)
			got.Fields = map[string]*structpb.Value{"changed": nil} // everyone has his own
		}
	}
}

func TestEncodingAppends(t *testing.T) {
	t.Parallel()
	m := timestamppb.New(time.Unix(1_700_000_000, 5))
	want, err := proto.Marshal(m)
	require.NoError(t, err)
	got, err := protocodec.New[timestamppb.Timestamp]().AppendEncode([]byte("before"), m)
	require.NoError(t, err)
	assert.Equal(t, append([]byte("before"), want...), got)
}

func TestUnknownFieldsAreKept(t *testing.T) {
	t.Parallel()
	full, err := anypb.New(timestamppb.New(time.Unix(1, 0)))
	require.NoError(t, err)
	encoded, err := proto.Marshal(full)
	require.NoError(t, err)
	codec := protocodec.New[wrapperspb.StringValue]() // has the first of the two fields
	narrow, err := codec.Decode(gcnode.BytesValue(encoded))
	require.NoError(t, err)
	assert.Equal(t, full.GetTypeUrl(), narrow.GetValue())
	again, err := codec.AppendEncode(nil, narrow)
	require.NoError(t, err)
	assert.Equal(t, encoded, again)
}

func TestANilMessageIsAFailedLoad(t *testing.T) {
	t.Parallel()
	_, err := newGroup(t, nil).Get(t.Context(), "k")
	require.ErrorIs(t, err, gcnode.ErrPermanent)
	assert.ErrorContains(t, err, `"k" in group "g"`)
	assert.ErrorContains(t, err, "encode the getter's value: the message is nil")
}

func TestTextThatIsNotUTF8IsAFailedLoad(t *testing.T) {
	t.Parallel()
	_, err := newGroup(t, &structpb.Struct{Fields: map[string]*structpb.Value{"\xff": nil}}).Get(t.Context(), "k")
	require.ErrorIs(t, err, gcnode.ErrPermanent)
	assert.ErrorContains(t, err, "UTF-8")
}

func TestCutOffBytesDoNotDecode(t *testing.T) {
	t.Parallel()
	encoded, err := proto.Marshal(wrapperspb.String("some text"))
	require.NoError(t, err)
	node, err := gcnode.NewNode(gcnode.Config{})
	require.NoError(t, err)
	group, err := gcnode.Of(node, "g", gcnode.Bytes(), gcnode.GetterFunc[[]byte](func(context.Context, string) (gcnode.Item[[]byte], error) {
		return gcnode.Item[[]byte]{Value: encoded[:len(encoded)-1]}, nil
	}), gcnode.GroupOptions{MaxBytes: 1 << 20})
	require.NoError(t, err)
	view, err := gcnode.As(group.Group(), protocodec.New[wrapperspb.StringValue]())
	require.NoError(t, err)
	m, err := view.Get(t.Context(), "k")
	require.ErrorIs(t, err, gcnode.ErrPermanent)
	require.ErrorIs(t, err, proto.Error)
	assert.Nil(t, m)
	var e *gcnode.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, []string{"g", "k"}, []string{e.Group, e.Key})
}
