package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// request makes a request with a body; a negative length is not announced.
func request(t *testing.T, body io.Reader, announced int64) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/", body)
	r.ContentLength = announced
	return r
}

// statusOfRefusal is the status of the answer to what was refused.
func statusOfRefusal(t *testing.T, err error) int {
	t.Helper()
	var r *refused
	require.ErrorAs(t, err, &r)
	return r.status
}

func TestBodiesAreReadWhole(t *testing.T) {
	const limit = 1 << 20
	b := newBodies(2 * limit)
	for _, length := range []int{0, 1, pieceBytes - 1, pieceBytes, pieceBytes + 1, 300_001, limit} {
		sent := bytes.Repeat([]byte("x"), length)
		for _, announced := range []int64{int64(length), -1} {
			for _, body := range []io.Reader{bytes.NewReader(sent), iotest.HalfReader(bytes.NewReader(sent)), iotest.DataErrReader(bytes.NewReader(sent))} {
				got, err := b.read(request(t, body, announced), "it", limit)
				require.NoError(t, err)
				assert.Equal(t, string(sent), got.String())
				assert.LessOrEqual(t, int64(length), got.taken)
				assert.LessOrEqual(t, got.taken, int64(max(2*length, pieceBytes)))
				assert.Equal(t, b.max-got.taken, b.free.Load())
				got.release()
				assert.Equal(t, b.max, b.free.Load())
			}
		}
	}
}

func TestBodiesThatAreRefusedHoldNothing(t *testing.T) {
	const limit = 100_000
	b := newBodies(10 * limit)
	long := bytes.Repeat([]byte("x"), limit+1)
	unread := iotest.ErrReader(errors.New("it was read"))
	_, err := b.read(request(t, unread, limit+1), "it", limit)
	assert.Equal(t, http.StatusRequestEntityTooLarge, statusOfRefusal(t, err))
	assert.EqualError(t, err, "it has 100001 bytes; at most 100000 are allowed")
	_, err = b.read(request(t, bytes.NewReader(long), -1), "it", limit)
	assert.Equal(t, http.StatusRequestEntityTooLarge, statusOfRefusal(t, err))
	_, err = b.read(request(t, io.MultiReader(bytes.NewReader(long[:70_000]), unread), limit), "it", limit)
	assert.Equal(t, http.StatusBadRequest, statusOfRefusal(t, err))
	assert.ErrorContains(t, err, "it broke off after 70000 bytes: it was read")
	assert.Equal(t, b.max, b.free.Load())
}

func TestAllBodiesTogetherAreBounded(t *testing.T) {
	const limit = 64 << 10
	b := newBodies(5 * limit)
	full := func() io.Reader { return bytes.NewReader(make([]byte, limit)) }
	var held []*body
	for range 4 { // each is copied once, out of a buffer of half its size
		got, err := b.read(request(t, full(), limit), "it", limit)
		require.NoError(t, err)
		held = append(held, got)
	}
	_, err := b.read(request(t, full(), limit), "it", limit)
	assert.Equal(t, http.StatusServiceUnavailable, statusOfRefusal(t, err))
	assert.ErrorContains(t, err, "327680 bytes")
	assert.Positive(t, err.(*refused).retryAfter) //nolint:errorlint // it was asserted above
	small, err := b.read(request(t, bytes.NewReader(make([]byte, 100)), 100), "it", limit)
	require.NoError(t, err, "there is still room for a small one")
	small.release()
	held[0].release()
	_, err = b.read(request(t, full(), limit), "it", limit)
	assert.NoError(t, err, "what was released is free again")
}
