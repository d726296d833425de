package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
