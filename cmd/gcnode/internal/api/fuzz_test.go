package api

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
