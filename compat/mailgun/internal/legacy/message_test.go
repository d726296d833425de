package legacy

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pb "github.com/gcnode/gcnode/compat/mailgun/groupcachepb"
	gcnode "github.com/gcnode/gcnode/core"
)

// at is when the messages of the tests are sent.
var at = time.Unix(1_700_000_000, 123_456_789)

func item(value string, keep gcnode.Lifetime) gcnode.Item[gcnode.Value] {
	return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(value), Keep: keep}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

func answerOf(it gcnode.Item[gcnode.Value], now time.Time) []byte {
	before, after := aroundValue(it, now)
	return append(it.Value.AppendTo(before), after...)
}

// TestGoldenMessages has the bytes of each message as the description of the
// protocol gives them.
func TestGoldenMessages(t *testing.T) {
	for name, test := range map[string]struct {
		it   gcnode.Item[gcnode.Value]
		want string
	}{
		"for ever":       {item("abc", gcnode.Forever), "0a 03 616263 18 00"},
		"empty":          {item("", gcnode.Forever), "0a 00 18 00"},
		"for a minute":   {item("abc", gcnode.For(time.Minute)), "0a 03 616263 18 95 ca b4 ae c3 a1 e7 cb 17"},
		"has ended":      {item("abc", gcnode.NoStore), "0a 03 616263 18 95 9a 97 ec e3 9f e7 cb 17"},
		"too long":       {item("abc", gcnode.Forever-1), "0a 03 616263 18 00"},
		"not UTF-8":      {item("\xff\x00", gcnode.Forever), "0a 02 ff00 18 00"},
		"200 bytes":      {item(strings.Repeat("x", 200), gcnode.Forever), "0a c8 01" + strings.Repeat("78", 200) + "18 00"},
		"leaves it open": {item("abc", 0), "0a 03 616263 18 00"},
	} {
		t.Run("answer "+name, func(t *testing.T) {
			require.Equal(t, unhex(t, test.want), answerOf(test.it, at))
			set, err := setOf("g", "k/ä", test.it, at)
			require.NoError(t, err)
			stored := "0a 01 67 12 04 6b2fc3a4 " + strings.Replace(strings.Replace(test.want, "0a", "1a", 1), "18 ", "20 ", 1)
			require.Equal(t, unhex(t, stored), set)
		})
	}
}

func TestAnswersAreRead(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want gcnode.Item[gcnode.Value]
	}{
		"everything":            {"0a 03 616263 11 0000000000000440 18 95 ca b4 ae c3 a1 e7 cb 17", item("abc", gcnode.For(time.Minute))},
		"no life":               {"0a 03 616263", item("abc", gcnode.Forever)},
		"life 0":                {"0a 03 616263 18 00", item("abc", gcnode.Forever)},
		"another order":         {"18 00 0a 03 616263", item("abc", gcnode.Forever)},
		"the last one counts":   {"0a 01 78 0a 03 616263", item("abc", gcnode.Forever)},
		"ended long ago":        {"0a 03 616263 18 01", item("abc", gcnode.NoStore)},
		"ended before 1970":     {"0a 03 616263 18 ff ff ff ff ff ff ff ff ff 01", item("abc", gcnode.NoStore)},
		"nothing":               {"", item("", gcnode.Forever)},
		"a field of the future": {"0a 03 616263 72 01 78", item("abc", gcnode.Forever)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := itemOf(unhex(t, test.body), at)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
	for name, body := range map[string]string{
		"cut off":          "0a 03 6162",
		"a huge length":    "0a ff ff ff ff 0f",
		"half a number":    "18 ff",
		"an endless one":   "18 ff ff ff ff ff ff ff ff ff ff 01",
		"a field number 0": "02 00",
		"an HTML page":     hex.EncodeToString([]byte("<html>")),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := itemOf(unhex(t, body), at)
			require.ErrorContains(t, err, "the answer is no value")
		})
	}
}

func TestStoredValuesAreRead(t *testing.T) {
	body, err := setOf("g", "k", item("abc", gcnode.For(time.Minute)), at)
	require.NoError(t, err)
	got, err := storedOf(body, "g", "k", at)
	require.NoError(t, err)
	require.Equal(t, item("abc", gcnode.For(time.Minute)), got)

	_, err = storedOf(body, "g", "other", at)
	require.ErrorContains(t, err, `the path names "other" in group "g", and the body "k" in group "g"`)
	_, err = storedOf(body, "other", "k", at)
	require.Error(t, err)
	_, err = storedOf(unhex(t, "0a 01 67 1a 01 78"), "g", "", at)
	require.ErrorContains(t, err, "the body is no value to store", "a body without a key")
	_, err = storedOf(body[:len(body)-1], "g", "k", at)
	require.Error(t, err)
}

func TestPathsHoldAnyBytes(t *testing.T) {
	for _, key := range []string{"", "k", "a b", "a+b", "a/b", "//", ".", "..", "%2F", "\x00\xff", "ä", "a?b#c", "a;b=c&d:@$"} {
		group, got, err := splitPath(pathOf("g "+key, key))
		require.NoError(t, err)
		require.Equal(t, "g "+key, group)
		require.Equal(t, key, got)
	}
	require.Equal(t, "a%2Fb/c%20d%2Be%252F", strings.ReplaceAll(pathOf("a/b", "c d+e%2F"), "+", "%2B"))
	for _, path := range []string{"", "g", "g%/k", "g/%zz"} {
		_, _, err := splitPath(path)
		require.Error(t, err, path)
	}
}

// FuzzAnswer holds what is read to what the generated code reads, and what is
// read again to what was read.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("\x0a\x03abc\x18\x00"))
	f.Add([]byte("\x0a\x03abc\x11\x00\x00\x00\x00\x00\x00\x04\x40\x18\xff\x01"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var m pb.GetResponse
		want := proto.Unmarshal(body, &m)
		it, err := itemOf(body, at)
		require.Equal(t, want == nil, err == nil)
		if err != nil {
			return
		}
		require.Equal(t, string(m.GetValue()), it.Value.String())
		again, err := itemOf(answerOf(it, at), at)
		require.NoError(t, err)
		require.Equal(t, it, again)
	})
}

// FuzzStored gives anything as the body of a request to store a value.
func FuzzStored(f *testing.F) {
	body, err := setOf("g", "k", item("abc", gcnode.For(time.Minute)), at)
	require.NoError(f, err)
	f.Add(body, "g", "k")
	f.Fuzz(func(t *testing.T, body []byte, group, key string) {
		it, err := storedOf(body, group, key, at)
		if err != nil {
			return
		}
		again, err := setOf(group, key, it, at)
		require.NoError(t, err)
		got, err := storedOf(again, group, key, at)
		require.NoError(t, err)
		require.Equal(t, it, got)
	})
}

// FuzzPath finds no path that is read and cannot be written again.
func FuzzPath(f *testing.F) {
	f.Add("g/k")
	f.Add("a%2Fb/c%20d/e")
	f.Fuzz(func(t *testing.T, path string) {
		group, key, err := splitPath(path)
		if err != nil {
			return
		}
		group2, key2, err := splitPath(pathOf(group, key))
		require.NoError(t, err)
		assert.Equal(t, group, group2)
		assert.Equal(t, key, key2)
	})
}

func TestLives(t *testing.T) {
	require.Equal(t, gcnode.Lifetime(1), keepOf(at.UnixNano()+1, at))
	require.Equal(t, gcnode.NoStore, keepOf(at.UnixNano(), at))
	require.Equal(t, gcnode.NoStore, keepOf(math.MinInt64, at))
	require.Equal(t, gcnode.Lifetime(math.MaxInt64-at.UnixNano()), keepOf(math.MaxInt64, at))
	for _, keep := range []gcnode.Lifetime{1, gcnode.For(time.Hour), gcnode.Forever} {
		require.Equal(t, keep, keepOf(expireOf(keep, at), at))
	}
}
