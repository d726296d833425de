package remote

import (
	"testing"

	"github.com/golang/groupcache"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
)

func TestCheck(t *testing.T) {
	want := Keys{Count: 8, Bytes: 1000}.Wants(7, 1)[0]
	require.Len(t, want.Key, keyBytes)
	right := want.value()
	require.Len(t, right, want.Bytes)
	of := func(n int) string { return Keys{Count: 8, Bytes: 1000}.Wants(n, 1)[0].value() }
	for name, test := range map[string]struct {
		value string
		wrong string // what the error says; "" is no error
		whole bool   // it is noticed only when all is compared
	}{
		"right":              {value: right},
		"empty":              {value: "", wrong: "0 bytes"},
		"short":              {value: right[:999], wrong: "999 bytes"},
		"long":               {value: right + "0", wrong: "1001 bytes"},
		"of another key":     {value: of(6), wrong: "00000006"},
		"wrong at its end":   {value: right[:999] + "x", wrong: "only the beginning", whole: true},
		"of two keys":        {value: right[:512] + of(6)[512:], wrong: "only the beginning", whole: true},
		"wrong in the midst": {value: right[:500] + "x" + right[501:], wrong: "only the beginning", whole: true},
	} {
		for _, whole := range []bool{false, true} {
			w := want
			w.Whole = whole
			var view groupcache.ByteView
			require.NoError(t, groupcache.ByteViewSink(&view).SetString(test.value))
			for _, err := range []error{check(w, test.value), check(w, []byte(test.value)), checkView(w, view)} {
				if test.wrong == "" || test.whole && !whole {
					assert.NoError(t, err, name)
				} else {
					assert.ErrorContains(t, err, test.wrong, name)
				}
			}
		}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	want := Keys{Count: 1, Bytes: 4096}.Wants(0, 1)[0]
	want.Whole = true
	text := want.value()
	value := []byte(text)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		if check(want, value) != nil || check(want, text) != nil {
			t.Error("the value is right")
		}
	}))
}

// TestOursFetch wants it to be noticed when ours do not fetch, or in another
// way than they should.
func TestOursFetch(t *testing.T) {
	streamed := httptransport.ClientStats{Peers: []httptransport.PeerStats{{Stream: true, Streams: 1}}}
	posted := httptransport.ClientStats{Peers: []httptransport.PeerStats{{Posts: 3, Problem: "refused"}}}
	stream, plain := httptransport.ClientOptions{}, httptransport.ClientOptions{Plain: true}
	require.NoError(t, checkCarrier(streamed, stream))
	require.NoError(t, checkCarrier(posted, plain))
	require.ErrorContains(t, checkCarrier(posted, stream), "3 plain requests (refused)")
	require.ErrorContains(t, checkCarrier(streamed, plain), "1 streams")

	of := func(g gcnode.GroupStats) gcnode.NodeStats { return gcnode.NodeStats{Groups: []gcnode.GroupStats{g}} }
	require.NoError(t, checkFetched(of(gcnode.GroupStats{Gets: 5, Fetches: 5})))
	require.ErrorContains(t, checkFetched(of(gcnode.GroupStats{Gets: 5, HotHits: 1})), "1 of 5")
	require.ErrorContains(t, checkFetched(of(gcnode.GroupStats{Gets: 5, Hits: 2})), "2 of 5")
}
