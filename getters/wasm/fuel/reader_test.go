package fuel

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestU32(t *testing.T) {
	for _, v := range []uint32{0, 1, 127, 128, 16383, 16384, 1 << 28, math.MaxUint32} {
		r := &reader{data: appendU32(nil, v)}
		require.Equal(t, v, r.u32())
		require.NoError(t, r.done())
	}
	for what, data := range map[string][]byte{
		"empty":     {},
		"cut off":   {0x80},
		"33 bits":   {0xff, 0xff, 0xff, 0xff, 0x1f},
		"six bytes": {0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
	} {
		r := &reader{data: data}
		r.u32()
		require.ErrorIs(t, r.err, ErrMalformed, what)
	}
	r := &reader{data: []byte{0x85, 0x80, 0x00}}
	require.EqualValues(t, 5, r.u32(), "longer forms are numbers too")
	require.NoError(t, r.done())
}

func TestSigned(t *testing.T) {
	for bits, values := range map[int][]int64{
		32: {0, 1, -1, 63, 64, -64, -65, math.MaxInt32, math.MinInt32},
		33: {-64, math.MaxUint32, -1 << 32},
		64: {0, -1, math.MaxInt64, math.MinInt64},
	} {
		for _, v := range values {
			r := &reader{data: appendSigned(nil, v)}
			require.Equal(t, v, r.signed(bits))
			require.NoError(t, r.done())
		}
	}
	for bits, values := range map[int][]int64{
		32: {math.MaxInt32 + 1, math.MinInt32 - 1},
		33: {1 << 32, -1<<32 - 1},
	} {
		for _, v := range values {
			r := &reader{data: appendSigned(nil, v)}
			r.signed(bits)
			require.ErrorIs(t, r.err, ErrMalformed)
		}
	}
	for what, data := range map[string][]byte{
		"cut off":      {0xff},
		"eleven bytes": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"wrong sign":   {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
	} {
		r := &reader{data: data}
		r.signed(64)
		require.ErrorIs(t, r.err, ErrMalformed, what)
	}
	r := &reader{data: []byte{0xff, 0xff, 0x7f}}
	require.EqualValues(t, -1, r.signed(32), "longer forms are numbers too")
	require.NoError(t, r.done())
}

func TestFirstErrorSticks(t *testing.T) {
	r := &reader{data: []byte{1, 2, 3}, base: 100}
	require.Nil(t, r.bytes(4))
	first := r.err
	require.ErrorContains(t, first, "4 bytes announced, 3 left (offset 0x64)")
	require.Zero(t, r.byte())
	require.Zero(t, r.u32())
	require.Zero(t, r.signed(64))
	require.Nil(t, r.name())
	require.False(t, r.more())
	require.Equal(t, first, r.done())
	require.Equal(t, first, r.sub(0).err)
}
