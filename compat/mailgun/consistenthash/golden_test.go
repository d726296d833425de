package consistenthash_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/compat/mailgun/consistenthash"
)

// goldenKeys are a hundred keys.
func goldenKeys() []string {
	var keys []string
	for i := range 60 {
		keys = append(keys, fmt.Sprintf("key-%d", i))
	}
	keys = append(keys, "12345", "", "a/b", "a b", "..", "%2F", "\xff\x00", "ä")
	for i := range 32 {
		keys = append(keys, fmt.Sprintf("user:%d:profile", i*i))
	}
	return keys
}

func urls(n int, format string) []string {
	peers := make([]string, n)
	for i := range peers {
		peers[i] = fmt.Sprintf(format, i)
	}
	return peers
}

// TestGoldenOwners holds the ring to owners that were found by another program,
// in another language, from the description of the ring alone.
func TestGoldenOwners(t *testing.T) {
	keys := goldenKeys()
	require.Len(t, keys, 100)
	for name, test := range map[string]struct {
		peers    []string
		replicas int
		owners   string // a digit for each key: the index of its owner
	}{
		"two": {
			[]string{"http://10.0.0.1:8080", "http://10.0.0.2:8080"},
			50,
			"1111111111111111111111111111111111111111111111111111111111110111010000110011011000010101001010111111",
		},
		"three": {
			urls(3, "http://127.0.0.1:808%d"), 50,
			"2222222222222222222222222222222222222222222222222222222222220000101120101101200102102210211120010010",
		},
		"seven": {
			urls(7, "https://cache-%d.example.net"), 50,
			"5555555555222222222222222222222222222222222222222222222222221333444410233404101211056450643600233323",
		},
		"three with few points": {
			urls(3, "http://127.0.0.1:808%d"), 3,
			"0000000000222222222222222222222222222222222222222222222222221200202222102120220122200002211210220212",
		},
	} {
		t.Run(name, func(t *testing.T) {
			ring := consistenthash.New(test.replicas, nil)
			ring.Add(test.peers...)
			var got strings.Builder
			for _, key := range keys {
				for i, peer := range test.peers {
					if ring.Get(key) == peer {
						got.WriteString(strconv.Itoa(i))
					}
				}
			}
			require.Equal(t, test.owners, got.String())
		})
	}
}

func TestAnEmptyRingHasNoOwners(t *testing.T) {
	ring := consistenthash.New(50, nil)
	require.True(t, ring.IsEmpty())
	require.Empty(t, ring.Get("key"))
	ring.Add("a")
	require.False(t, ring.IsEmpty())
	require.Equal(t, "a", ring.Get("key"))
}

// TestTheHashCanBeReplaced has one that puts everything at the same place.
func TestTheHashCanBeReplaced(t *testing.T) {
	ring := consistenthash.New(2, func([]byte) uint64 { return 7 })
	ring.Add("a", "b")
	require.Equal(t, "b", ring.Get("key"), "the later one has the place")
	ring.Add("c")
	require.Equal(t, "c", ring.Get("key"))
}
