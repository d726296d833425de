package wasm

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStoreIsSharedByTheInstancesOfAPlugin(t *testing.T) {
	t.Parallel()
	origin := newGate(t)
	opts := Options{AllowFetch: []string{origin.url}, Instances: 2, Pending: 1, StoreBytes: 1 << 10}
	p, other := loadAsync(t, opts), loadAsync(t, opts)
	first := getLater(t.Context(), p, "fetch:"+origin.url+"/wait") // occupies an instance
	waitPending(t, p, 1)
	assert.Equal(t, "0", get(t, p, "set:-1:k=long value"))
	close(origin.open)
	require.NoError(t, (<-first).err)
	for range 2 {
		assert.Equal(t, "10 long val", get(t, p, "stored:k"), "the size is that of the whole value")
	}
	assert.Equal(t, "-1 ", get(t, other, "stored:k"), "and nobody else's")

	assert.Equal(t, "0", get(t, p, "set:0:k="))
	assert.Equal(t, "-1 ", get(t, p, "stored:k"), "removed")
	assert.Equal(t, "-3", get(t, p, "set:-2:k=v"))
	assert.Equal(t, "-2", get(t, p, "set:-1:k="+strings.Repeat("v", 1<<10)))
	assert.Equal(t, "0", get(t, p, "set:9223372036854775807:k=v"))
	assert.Equal(t, "1 v", get(t, p, "stored:k"))
}

func TestStoreNeedsAGrant(t *testing.T) {
	t.Parallel()
	module, err := asyncGuest()
	require.NoError(t, err)
	_, err = Load(t.Context(), module, Options{AllowFetch: somewhere})
	require.ErrorContains(t, err, "import gcnode1.kv_get was not granted")
	require.ErrorContains(t, err, "import gcnode1.kv_set was not granted")
	require.ErrorContains(t, err, "(StoreBytes, store in a node's configuration)")
}

func TestStoreForgets(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	s := newStore(3 * (storeEntryBytes + 2))
	for i := range 3 {
		require.True(t, s.set([]byte(strconv.Itoa(i)), []byte("v"), -1, now))
	}
	_, ok := s.get([]byte("0"), now)
	require.True(t, ok)
	require.True(t, s.set([]byte("3"), []byte("v"), 50, now))
	_, ok = s.get([]byte("1"), now)
	assert.False(t, ok, "used least recently")
	for _, key := range []string{"0", "2", "3"} {
		_, ok = s.get([]byte(key), now.Add(49*time.Millisecond))
		assert.True(t, ok, key)
	}
	_, ok = s.get([]byte("3"), now.Add(50*time.Millisecond))
	assert.False(t, ok, "its life is over")

	require.False(t, s.set([]byte("0"), make([]byte, 4*storeEntryBytes), -1, now))
	_, ok = s.get([]byte("0"), now)
	assert.False(t, ok, "the old value is not served in place of one that did not fit")
	assert.EqualValues(t, 1, len(s.entries))
	assert.EqualValues(t, storeEntryBytes+2, s.bytes)
}
