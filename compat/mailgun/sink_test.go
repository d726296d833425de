package groupcache

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/gcnode/gcnode/compat/mailgun/internal/userpb"
)

// wrapped is a sink of the program's own around one of this package.
type wrapped struct{ Sink }

func TestSinksGetWhatTheGetterGives(t *testing.T) {
	t.Parallel()
	user := &userpb.User{Id: "7", Name: "Ann"}
	encoded, err := proto.Marshal(user)
	require.NoError(t, err)
	expire := time.Now().Add(time.Hour)
	for what, give := range map[string]func(Sink) error{
		"string": func(s Sink) error { return s.SetString(string(encoded), expire) },
		"bytes":  func(s Sink) error { return s.SetBytes(encoded, expire) },
		"proto":  func(s Sink) error { return s.SetProto(user, expire) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var s string
			require.NoError(t, give(StringSink(&s)))
			assert.Equal(t, string(encoded), s)

			var v ByteView
			require.NoError(t, give(ByteViewSink(&v)))
			assert.True(t, v.EqualBytes(encoded))
			assert.True(t, v.Expire().Equal(expire))

			var u userpb.User
			require.NoError(t, give(ProtoSink(&u)))
			assert.True(t, proto.Equal(user, &u))

			var b []byte
			require.NoError(t, give(AllocatingByteSliceSink(&b)))
			assert.Equal(t, encoded, b)
			require.NoError(t, give(wrapped{AllocatingByteSliceSink(&b)}))

			b = make([]byte, 2)
			require.NoError(t, give(TruncatingByteSliceSink(&b)))
			assert.Equal(t, encoded[:2], b)
			b = make([]byte, 100)
			require.NoError(t, give(TruncatingByteSliceSink(&b)))
			assert.Equal(t, encoded, b)
		})
	}
}

func TestSinksFromMemory(t *testing.T) {
	t.Parallel()
	g := alone(t, 1<<20, newOrigin())
	user := &userpb.User{Id: "7", Name: "Ann"}
	encoded, err := proto.Marshal(user)
	require.NoError(t, err)
	expire := time.Now().Add(time.Hour)
	require.NoError(t, g.Set(t.Context(), "k", encoded, expire, false))
	var u userpb.User
	require.NoError(t, g.Get(t.Context(), "k", ProtoSink(&u)))
	assert.True(t, proto.Equal(user, &u))
	var v ByteView
	require.NoError(t, g.Get(t.Context(), "k", ByteViewSink(&v)))
	assert.WithinDuration(t, expire, v.Expire(), time.Second)
	var other ByteView
	require.NoError(t, g.Get(t.Context(), "k", wrapped{ByteViewSink(&other)}), "a sink of another make")
	assert.True(t, v.Equal(other))
	assert.WithinDuration(t, expire, other.Expire(), time.Second)
	require.NoError(t, g.Set(t.Context(), "k", []byte("no message: \xff"), expire, false))
	require.Error(t, g.Get(t.Context(), "k", ProtoSink(&u)))
}

func TestASinkWithoutADestinationIsAnError(t *testing.T) {
	t.Parallel()
	for what, s := range map[string]Sink{
		"string": StringSink(nil), "view": ByteViewSink(nil), "slice": AllocatingByteSliceSink(nil),
		"truncated": TruncatingByteSliceSink(nil), "proto": ProtoSink(nil),
	} {
		require.ErrorIs(t, s.SetString("x", time.Time{}), errNoDestination, what)
	}
}

func TestByteView(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", "hello"} {
		var v ByteView
		require.NoError(t, ByteViewSink(&v).SetBytes([]byte(text), time.Time{}))
		assert.Equal(t, len(text), v.Len())
		assert.Equal(t, text, v.String())
		assert.Equal(t, []byte(text), v.ByteSlice())
		assert.True(t, v.EqualString(text))
		assert.True(t, v.EqualBytes([]byte(text)))
		assert.False(t, v.EqualString(text+"!"))
		assert.False(t, v.EqualBytes([]byte(text+"!")))
		assert.True(t, v.Equal(v.Slice(0, len(text))))
		assert.True(t, v.SliceFrom(0).Equal(v))
		assert.True(t, v.Expire().IsZero())
		for i := range text {
			assert.Equal(t, text[i], v.At(i))
			assert.Equal(t, text[i:], v.SliceFrom(i).String())
			assert.Equal(t, text[:i], v.Slice(0, i).String())
		}
		dest := make([]byte, 3)
		assert.Equal(t, min(3, len(text)), v.Copy(dest))
		require.NoError(t, iotest.TestReader(v.Reader(), []byte(text)))
		require.NoError(t, iotest.TestReader(io.NewSectionReader(v, 0, int64(len(text))), []byte(text)))
		_, err := v.ReadAt(dest, -1)
		require.Error(t, err)
		_, err = v.ReadAt(dest, int64(len(text)))
		require.ErrorIs(t, err, io.EOF)
		var out bytes.Buffer
		n, err := v.WriteTo(&out)
		require.NoError(t, err)
		assert.EqualValues(t, len(text), n)
		assert.Equal(t, text, out.String())
	}
	var v ByteView
	require.NoError(t, ByteViewSink(&v).SetString("hello", time.Time{}))
	_, err := v.WriteTo(iotest.TruncateWriter(io.Discard, 2))
	require.NoError(t, err)
	_, err = v.WriteTo(shortWriter{})
	require.ErrorIs(t, err, io.ErrShortWrite)
}

// shortWriter takes nothing, and does not say so.
type shortWriter struct{}

func (shortWriter) Write([]byte) (int, error) { return 0, nil }
