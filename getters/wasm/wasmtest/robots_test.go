//go:build !race

// These tests compile and run large modules: with the race detector, which watches
// the host in its own package, that takes ten times as long.

package wasmtest_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	gcnode "github.com/gcnode/gcnode/core"
	"github.com/gcnode/gcnode/getters/wasm"
)

const rules = "\xef\xbb\xbf# rules\r\nUser-Agent: OtherBot\nUSER-AGENT : examplebot/2.0 # us\nUser-agent: ThirdBot\nDisallow: /private\nDisallow: /y*aab\nDisallow: /y*abac\nAllow: /private/open$\n" +
	"Sitemap: https://o/map\nAllow: /private/*.png\rDisallow: *.gif$\nDisallow: /a%2fb\nDisallow: /%7Eann\nDisallow: /ü\nDisallow: /star-%2A\n" +
	"Disallow: /price$x\nDisallow: /b*c*d\nDisallow: /x*aaab$\nDisallow: /ab*ab*.ab*.end$\nDisallow:\nnonsense\n: \nDisallow: /robots.txt\n\n" +
	"user-agent: *\ndisallow: /\n\nuser-agent: ExampleBot\ndisallow: /more\nallow: /same\ndisallow: /same\nUser-agent: ExampleBotLong\nDisallow: /long\n"

func TestRobots(t *testing.T) {
	t.Parallel()
	files := documents{"/robots.txt": rules, "/star.txt": "user-agent: *\ndisallow: /x\nallow: /x/y", "/empty.txt": "", "/long.txt": strings.Repeat("#", 4000)}
	config := map[string]string{"url": "ORIGIN/robots.txt", "agent": "ExampleBot"}
	var cases []readyCase
	for path, allowed := range map[string]bool{
		"/": true, "/index.html": true, "/robots.txt": true, "/long": true, "/same": true, "/same/x": true,
		"/private": false, "/privateer": false, "/private/x": false, "/PRIVATE": true,
		"/private/open": true, "/private/open/": false, "/private/open?x": false, "/private/a/b.png": true, "/private/a.PNG": false,
		"/x/y.gif": false, "/x/y.gif?z": true, "/.gif.gif": false,
		"/a%2Fb": false, "/a%2fb/c": false, "/a/b": true,
		"/~ann": false, "/%7eann": false, "/%7": true,
		"/ü": false, "/%C3%BC/x": false, "/%c3%bc": false,
		"/star-*": false, "/star-%2A": false, "/star-x": true,
		"/price$x": false, "/price%24x": false, "/price": true,
		"/bcd": false, "/b/c/d/e": false, "/b/d": true, "/aab": true, "/yaaab": false, "/yaabb": false, "/yababac": false, "/yabab": true, "/xaaab": false, "/xabaabaaab": false, "/xaab/": true, "/ab-ab.end": true, "/ab-ab.ab.end": false, "/bdc": true, "/more/x": false, "/\xff\x00": true,
	} {
		cases = append(cases, readyCase{key: path, want: map[bool]string{true: "allow", false: "disallow"}[allowed]})
	}
	cases = append(cases,
		readyCase{key: "", kind: gcnode.KindNotFound, want: "begins with a slash"},
		readyCase{key: "private", kind: gcnode.KindNotFound, want: "begins with a slash"},
		readyCase{key: "/" + strings.Repeat("x", 2048), kind: gcnode.KindNotFound, want: "too long"})
	testReadyMade(t, "robots", files.options(t, config), cases)

	for url, cases := range map[string][]readyCase{
		"ORIGIN/star.txt":  {{key: "/x", want: "disallow"}, {key: "/x/y/z", want: "allow"}, {key: "/z", want: "allow"}},
		"ORIGIN/empty.txt": {{key: "/x", want: "allow"}},
		"ORIGIN/none.txt":  {{key: "/x", want: "allow"}},
		"ORIGIN/long.txt":  {{key: "/x", kind: gcnode.KindPermanent, want: "2000"}},
		"ORIGIN/busy":      {{key: "/x", kind: gcnode.KindOverloaded}},
	} {
		lives := map[string]string{"url": url, "ttl": "90s", "max_bytes": "2000"}
		for i := range cases {
			if cases[i].kind == 0 {
				cases[i].keep = gcnode.For(90 * time.Second)
			}
		}
		testReadyMade(t, "robots", files.options(t, config, lives), cases)
	}
}

// An origin that does not say what it allows allows nothing.
func TestRobotsNeedAnAnswer(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]gcnode.Kind{
		http.StatusUnauthorized: 0, http.StatusForbidden: 0, http.StatusGone: 0, http.StatusTeapot: 0,
		http.StatusTooManyRequests: gcnode.KindOverloaded, http.StatusInternalServerError: gcnode.KindTransient,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(server.Close)
		opts := wasm.Options{
			Config:     map[string]string{"url": server.URL + "/robots.txt", "agent": "ExampleBot"},
			AllowFetch: []string{server.URL}, MaxMemoryBytes: 16 << 20, CacheDir: filepath.Join(t.TempDir(), "compiled"),
		}
		testReadyMade(t, "robots", opts, []readyCase{{key: "/x", want: map[bool]string{true: "allow"}[want == 0], kind: want}})
		server.Close()
		testReadyMade(t, "robots", opts, []readyCase{{key: "/x", kind: gcnode.KindTransient}})
	}
}

func TestRobotsTakeHostileRules(t *testing.T) {
	t.Parallel()
	const most, mine = 512 << 10, "user-agent: ExampleBot\ndisallow: "
	long := "/" + strings.Repeat("a", 2047)
	files := documents{}
	opts := files.options(t, map[string]string{"url": "ORIGIN/robots.txt", "agent": "ExampleBot"})
	for text, want := range map[string]string{
		mine + strings.Repeat("*a", most/2-20) + "b":                                                       "allow",
		mine + "*" + strings.Repeat("a", most-50):                                                          "allow",
		"user-agent: ExampleBot\n" + strings.Repeat("disallow:*"+strings.Repeat("a", 500)+"b\n", most/520): "allow",
		"user-agent: ExampleBot\n" + strings.Repeat("disallow:*b\n", 10_000):                               "allow",
		mine + strings.Repeat("*", most-50):                                                                "disallow",
		mine + strings.Repeat("*", 1000) + "$":                                                             "disallow",
		mine + "$":                                                                                         "allow",
		mine + strings.Repeat("%", 1000):                                                                   "allow",
		mine + strings.Repeat("\xff", most-50):                                                             "allow",
		strings.Repeat("user-agent: ExampleBot\n", most/24):                                                "allow",
		"user-agent: ExampleBot\n" + strings.Repeat("allow:/\n", most/9):                                   "allow",
		strings.Repeat(":", most):                                                                          "allow",
		strings.Repeat("\r", most):                                                                         "allow",
		"user-agent\x00: ExampleBot\ndisallow: /":                                                          "allow",
		"user-agent:ExampleBot\ndisallow:/a\x00":                                                           "allow",
		"disallow: /\nuser-agent: ExampleBot":                                                              "allow",
	} {
		files["/robots.txt"] = text
		testReadyMade(t, "robots", opts, []readyCase{{key: long, want: want, about: text}})
	}
}

func TestRobotsRefuseSettings(t *testing.T) {
	t.Parallel()
	right := documents{}.options(t, map[string]string{"url": "ORIGIN/robots.txt", "agent": "ExampleBot"})
	for name, values := range map[string][]string{
		"url":       {"", "ftp://o/robots.txt", "/robots.txt", "http://", "http:///robots.txt", "http://?", "http://o/{key}", "http://a@o/", "http://o/#x", "http://o/ x", "http://o/ü"},
		"agent":     {"", "Example Bot", "ExampleBot/1.0", "*", "Büt"},
		"ttl":       {"soon", "5", "-1s"},
		"max_bytes": {"0", "-1", "1k", "268435457", "99999999999999999999"},
	} {
		for _, value := range values {
			testRefused(t, "robots", right, []map[string]string{{name: value}}, []string{"the setting " + name + " is"})
		}
	}
	for _, name := range []string{"agents", "negative_ttl", ""} {
		testRefused(t, "robots", right, []map[string]string{{name: "1"}}, []string{`unknown setting "` + name + `": known are url, agent, ttl, max_bytes`})
	}
	_, err := wasm.LoadFile(t.Context(), readyMade("robots"), wasm.Options{AllowFetch: []string{"http://o"}})
	require.ErrorContains(t, err, "the setting url is required")
	assert.ErrorContains(t, err, "the setting agent is required")
}

func TestRobotsConform(t *testing.T) {
	t.Parallel()
	files := documents{"/robots.txt": rules}
	testConforms(t, "robots", files.options(t, map[string]string{"url": "ORIGIN/robots.txt", "agent": "ExampleBot"}), "/", "/private/open")
}
