package getter_test

import (
	"net/url"
	"strings"
	"testing"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func TestEscapedKeyIsOneSegment(t *testing.T) {
	var all strings.Builder
	for c := range 256 {
		all.WriteByte(byte(c))
	}
	for _, key := range []string{"", "a", ".", "..", "...", "/", "a/../b", "%2F", "?#&=+ ", "\xff\x00ü", all.String()} {
		u, err := url.Parse("http://origin/before/" + getter.Escape(key) + "/after")
		if err != nil {
			t.Errorf("%q: %v", key, err)
			continue
		}
		if want := "/before/" + key + "/after"; u.Path != want || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q: %q", key, u.Path)
		}
		if got := strings.Count(u.EscapedPath(), "/"); got != 3 {
			t.Errorf("%q has %d segments", key, got)
		}
		if strings.Contains(u.EscapedPath(), "/./") || strings.Contains(u.EscapedPath(), "/../") {
			t.Errorf("%q leads elsewhere: %s", key, u.EscapedPath())
		}
	}
}
