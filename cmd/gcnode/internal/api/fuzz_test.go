package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/access"
	gcnode "github.com/gcnode/gcnode/core"
)

// FuzzKeyOf looks that every query that is accepted means the same to the
// standard library, and that every key can be asked for.
func FuzzKeyOf(f *testing.F) {
	for _, seed := range []string{"", "key=a", "key=", "key", "key=a&key=b", "key=a;b", "k%65y=%2F+%20", "key=%", "&key=a", "key=a=b", "\xff=\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := keyOf(text); err == nil {
			values, err := url.ParseQuery(text)
			require.NoError(t, err)
			assert.Equal(t, url.Values{"key": {key}}, values)
		}
		key, err := keyOf("key=" + url.QueryEscape(text))
		require.NoError(t, err)
		assert.Equal(t, text, key)
	})
}

// FuzzParseKeys looks that every list that is accepted means the same to the
// standard library, and that every list of keys can be sent.
func FuzzParseKeys(f *testing.F) {
	for _, seed := range []string{
		"", "[]", `["a","b"]`, "\"a\"\n\"b\"\n", `[{"base64":"/w=="},"\u00e9\ud83d\ude00"]`, `{"base64":"YQ=="} "\ufffd"`, `["a",]`, `["a",`, `["\ud800"]`,
		"[\"\xff\"]", `[{"base64":"YQ==","base64":"Yg=="}]`, `[{"base64":"Y\nQ=="}]`, `["a"] "b"`, `[[]]`, `["\\ud800\"]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if keys, err := parseKeys(text); err == nil {
			decoder := json.NewDecoder(strings.NewReader(text))
			var items []any
			if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") {
				require.NoError(t, decoder.Decode(&items))
				require.False(t, decoder.More())
			} else {
				for decoder.More() {
					var item any
					require.NoError(t, decoder.Decode(&item))
					items = append(items, item)
				}
			}
			require.Len(t, keys, len(items))
			for i, item := range items {
				if object, ok := item.(map[string]any); ok {
					require.Len(t, object, 1)
					decoded, err := base64.StdEncoding.DecodeString(object["base64"].(string))
					require.NoError(t, err)
					item = string(decoded)
				}
				require.Equal(t, item, keys[i])
			}
		} else {
			var r *refused
			require.ErrorAs(t, err, &r)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, r.status)
		}
		keys := strings.Split(text, "\n")
		if len(text) > gcnode.MaxKeyBytes || len(keys) > gcnode.MaxBatchKeys {
			return
		}
		list := make([]Text, len(keys))
		for i, key := range keys {
			list[i] = Text(key)
		}
		array, err := json.Marshal(list)
		require.NoError(t, err)
		var lines bytes.Buffer
		for _, key := range list {
			line, err := key.MarshalJSON()
			require.NoError(t, err)
			require.NotContains(t, string(line), "\n")
			lines.Write(append(line, '\n'))
		}
		for _, body := range []string{string(array), lines.String()} {
			parsed, err := parseKeys(body)
			require.NoError(t, err)
			require.Equal(t, keys, parsed)
		}
	})
}

// FuzzLifeOf looks that a life is what its digits say, and is told as it was.
func FuzzLifeOf(f *testing.F) {
	for _, seed := range []string{"", "no-store", "max-age=1", "MAX-AGE=60 ", "max-age=2147483648", "max-age=99999999999999999999", "max-age=-1", "max-age=1, no-store", "no-cache"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		life, err := lifeOf([]string{header})
		if err != nil {
			var r *refused
			require.ErrorAs(t, err, &r)
			require.Equal(t, http.StatusBadRequest, r.status)
			return
		}
		digits, counted := strings.CutPrefix(strings.ToLower(strings.TrimSpace(header)), "max-age=")
		if !counted {
			require.Equal(t, gcnode.NoStore, life)
			return
		}
		seconds, ok := new(big.Int).SetString(digits, 10)
		require.True(t, ok)
		switch {
		case seconds.Cmp(big.NewInt(eternity)) >= 0:
			require.Equal(t, gcnode.Forever, life)
		case seconds.Sign() == 0:
			require.Equal(t, gcnode.NoStore, life)
		default:
			require.Equal(t, gcnode.For(time.Duration(seconds.Int64())*time.Second), life)
		}
		again, err := lifeOf([]string{CacheControl(life)})
		require.NoError(t, err)
		require.Equal(t, life, again)
	})
}

// FuzzGroupOf looks that a name is what its escapes say, and that every name can
// be asked for.
func FuzzGroupOf(f *testing.F) {
	for _, seed := range []string{"", "a", "%2F", "a/b", "%", "../x", "%zz/value", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if name, suffix, ok := groupOf(text); ok {
			escaped := strings.TrimSuffix(strings.TrimPrefix(text, groupPrefix), suffix)
			want, err := url.PathUnescape(escaped)
			require.NoError(t, err)
			require.Equal(t, want, name)
			require.NotContains(t, escaped, "/")
		}
		for _, suffix := range []string{valueSuffix, valuesSuffix, removalsSuffix} {
			name, got, ok := groupOf(groupPrefix + url.PathEscape(text) + suffix)
			require.True(t, ok)
			require.Equal(t, text, name)
			require.Equal(t, suffix, got)
		}
	})
}

// FuzzRequest sends whatever can be understood as a request of HTTP: it is
// answered, and shows nothing of a group that its sender may not read.
func FuzzRequest(f *testing.F) {
	const token, secret = "0123456789abcdef", "what nobody may see"
	node, err := gcnode.NewNode(gcnode.Config{Self: gcnode.Peer{ID: "a"}})
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, node.Close(context.Background())) })
	for name, value := range map[string]string{"open": "value", "closed": secret} {
		_, err := node.Group(name, gcnode.GetterFunc[gcnode.Value](func(context.Context, string) (gcnode.Item[gcnode.Value], error) {
			return gcnode.Item[gcnode.Value]{Value: gcnode.StringValue(value)}, nil
		}), gcnode.GroupOptions{MaxBytes: 1 << 20})
		require.NoError(f, err)
	}
	guard := &access.Guard{}
	everything := []string{"open"}
	guard.Set(access.Policy{
		Tokens: []access.Token{{Name: "app", Secrets: []string{token}}},
		Rules:  access.List{"app": {Read: everything, Write: everything, Remove: everything}},
	})
	handler, err := NewHandler(Options{Node: node, Stats: http.NotFoundHandler(), MaxBodyBytes: MinBodyBytes, Guard: guard, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(f, err)
	for _, line := range []string{
		"GET /v1/groups/open/value?key=a", "PUT /v1/groups/open/value?key=a", "DELETE /v1/groups/open/values?all=true",
		"POST /v1/groups/open/values", "POST /v1/groups/open/removals", "GET /v1/groups/closed/value?key=a", "GET /v1/groups/op%65n/../closed/value?key=a",
		"OPTIONS *", "GET http://x/v1/stats",
	} {
		f.Add([]byte(line + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token +
			"\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n[\"a\",1]"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r.WithContext(t.Context()))
		require.Contains(t, []int{200, 204, 304, 400, 401, 403, 404, 405, 413, 415, 429, 503}, w.Code, "%s", w.Body)
		require.NotContains(t, w.Body.String(), secret)
	})
}
