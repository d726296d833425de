package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzParse looks that any text is either a configuration or an *Error that
// names the file.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "a: b", "- a", "groups: {g: {plugin: {module: fuzz_test.go}}}", "id: &a {id: *a}", "? [a]\n: b", "<<: {id: a}",
		"peers: [{id: a, url: http://h, weight: 1}]\nlisten: {peers: ':1'}", "groups: {g: {ttl: forever, max_bytes: 1.5GiB}}",
		"groups: {g: {ttl: 1m, ttl_jitter: 10%, refresh_ahead: 1m, max_queued_loads: 1, plugin: {module: fuzz_test.go}}}",
		"a: !!binary x", "--- a\n--- b", "\x00", "\xff", "groups: *a", "log: ~", "id: !<tag> x", "{[", "groups: {g: {plugin: {config: {a: b, a: c}}}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := parse(data, "node.yaml", Flags{})
		if err == nil {
			assert.NotEmpty(t, cfg.ID)
			assert.NotEmpty(t, cfg.Groups)
			return
		}
		var list *Error
		require.ErrorAs(t, err, &list)
		for _, p := range list.Problems {
			assert.Equal(t, "node.yaml", p.File)
			assert.NotEmpty(t, p.Message)
		}
	})
}
