package httptransport_test

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	httptransport "github.com/gcnode/gcnode/transport/http"
	"github.com/gcnode/gcnode/transport/wire"
)

const bundleType = "application/vnd.gcnode.bundle.v1"

// postBundle sends the body of a bundle, and returns the answer.
func postBundle(t *testing.T, url, calls string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(calls))
	require.NoError(t, err)
	req.Header.Set("Content-Type", bundleType)
	return do(t, req)
}

// returns are what was returned for a bundle.
func returns(t *testing.T, body string) []wire.Return {
	t.Helper()
	var all []wire.Return
	for rest := []byte(body); len(rest) > 0; {
		var message []byte
		var err error
		message, rest, err = wire.CutMessage(rest)
		require.NoError(t, err)
		r, err := wire.DecodeReturn(message)
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

// errorOf is that of a refusal.
func errorOf(t *testing.T, r wire.Return) error {
	t.Helper()
	_, _, err := new(wire.Collector).Add(r.Frame)
	return err
}

func fetchOf(keys ...string) *gcnode.Request {
	return &gcnode.Request{Op: gcnode.OpFetch, Group: "g", Keys: keys}
}

// TestEachCallOfABundleHasItsReturn sends all kinds of them.
func TestEachCallOfABundleHasItsReturn(t *testing.T) {
	l := newLibrary()
	server := serve(t, l, httptransport.HandlerOptions{})
	calls := string(callFor(t, 1, fetchOf("a"))) +
		string(callFor(t, 3, fetchOf("slow"))) +
		string(callFor(t, 4, &gcnode.Request{Op: 99, Keys: []string{"k"}})) +
		string(wire.AppendCallCancel(nil, 5)) + "\x03\x9a\x3f\x00" + // which is unknown here
		string(callFor(t, 300, fetchOf("b")))
	status, body := postBundle(t, server.URL, calls)
	require.Equal(t, http.StatusOK, status)
	got := returns(t, body)
	require.Len(t, got, 4)
	for i, id := range []uint64{1, 3, 4, 300} {
		require.Equal(t, id, got[i].Exchange)
	}
	for i, want := range map[int]string{0: "a", 3: "b"} {
		reply, complete, err := new(wire.Collector).Add(got[i].Frame)
		require.NoError(t, err)
		require.True(t, complete)
		require.Equal(t, want, reply.Value.String())
	}
	require.True(t, got[1].Apart)
	require.ErrorIs(t, errorOf(t, got[2]), gcnode.ErrUnsupported)
	require.Empty(t, l.begun)
	status, body = postBundle(t, server.URL, "")
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, body)
}

func TestHandlerRefusesWhatIsNoBundle(t *testing.T) {
	l := newLibrary()
	server := serve(t, l, httptransport.HandlerOptions{})
	good := string(callFor(t, 2, fetchOf("k")))
	for name, test := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"garbage":       {"\x05hello", http.StatusBadRequest, "malformed"},
		"half a call":   {good[:len(good)-1], http.StatusBadRequest, "of which"},
		"half a length": {good + "\x80", http.StatusBadRequest, "the length of a message"},
		"again":         {good + good, http.StatusBadRequest, "call 2 after 2"},
		"no number":     {string(callFor(t, 0, fetchOf("k"))), http.StatusBadRequest, "call 0 after 0"},
		"no request":    {"\x05\x08\x01\x12\x01\xff", http.StatusBadRequest, "malformed"},
		"too large":     {strings.Repeat(good, 64<<10/len(good)+1), http.StatusRequestEntityTooLarge, "at most 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := postBundle(t, server.URL, test.body)
			require.Equal(t, test.status, status)
			require.Contains(t, text, test.says)
		})
	}
}

// TestABundleHasABoundedAnswer asks for more than that.
func TestABundleHasABoundedAnswer(t *testing.T) {
	l := newLibrary()
	l.value = func(string) gcnode.Value { return gcnode.StringValue(strings.Repeat("v", 10<<10)) }
	server := serve(t, l, httptransport.HandlerOptions{})
	var calls strings.Builder
	const n = 1000
	for id := range uint64(n) {
		calls.Write(callFor(t, id+1, fetchOf(strconv.FormatUint(id, 10))))
	}
	_, body := postBundle(t, server.URL, calls.String())
	require.Less(t, len(body), wire.MaxBundledBytes+n*16)
	answered, apart := 0, 0
	for _, r := range returns(t, body) {
		if r.Apart {
			apart++
		} else {
			answered++
		}
	}
	require.Equal(t, 25, answered)
	require.Equal(t, n-25, apart)
}

// TestABundleTakesAPlace has a member that is busy.
func TestABundleTakesAPlace(t *testing.T) {
	l := newLibrary()
	server := serve(t, l, httptransport.HandlerOptions{MaxConcurrent: 1})
	client := newClient(t, httptransport.ClientOptions{Plain: true})
	slow := make(chan error, 1)
	go func() {
		_, err := fetch(t.Context(), client, server.URL, "slow")
		slow <- err
	}()
	<-l.begun
	status, body := postBundle(t, server.URL, string(callFor(t, 1, fetchOf("a")))+string(callFor(t, 2, fetchOf("b"))))
	require.Equal(t, http.StatusOK, status)
	got := returns(t, body)
	require.Len(t, got, 1)
	require.Zero(t, got[0].Exchange, "it is for all of them")
	require.ErrorIs(t, errorOf(t, got[0]), gcnode.ErrOverloaded)
	close(l.release)
	require.NoError(t, <-slow)
}

// TestEachCallOfABundleNeedsItsRight has a client that may read one group.
func TestEachCallOfABundleNeedsItsRight(t *testing.T) {
	l := newLibrary()
	access := httptransport.NewAccess(map[string]httptransport.Grant{"shop": {Read: []string{"catalog"}}})
	server := serve(t, l, httptransport.HandlerOptions{Self: "a", Secrets: secrets(t, "shop"), Access: access})
	c := newClaim(t, http.MethodPost)
	c.key, c.secret, c.body = "shop", secretOf("shop"), ""
	for id, group := range []string{"catalog", "secret"} {
		req := fetchOf("k")
		req.Group, req.From.ID = group, "shop/1"
		c.body += string(callFor(t, uint64(id+1), req))
	}
	authorization, _ := c.sign()
	req := c.request(t, server, authorization)
	req.Header.Set("Content-Type", bundleType)
	status, records := do(t, req)
	require.Equal(t, http.StatusOK, status)
	size := int(binary.BigEndian.Uint16([]byte(records)))
	require.Len(t, records, 2+size+sha256.Size, "the answer is one record")
	got := returns(t, records[2:2+size])
	require.Len(t, got, 2)
	require.NoError(t, errorOf(t, got[0]))
	require.ErrorIs(t, errorOf(t, got[1]), gcnode.ErrDenied)
	require.EqualValues(t, 1, l.asked.Load())
}
