//go:build !race

// These tests compile and run large modules: with the race detector, which watches
// the host in its own package, that takes ten times as long.

package wasmtest_test

import (
	"strings"
	"testing"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

const profile = ` {"name": "Ann \"A\" \u00e9\ud83d\ude00",
	"a/b": {"m~n": [10, -0.5e+3, {"deep": null}]}, "": {"": true}, "caf\u00e9": false, "x": {}, "y": []} `

func TestPointer(t *testing.T) {
	t.Parallel()
	files := documents{
		"/users/ann.json": profile, "/users/a/b.json": `"short"`, "/users/%2E%2E.json": `[]`, "/users/.json": "1",
		"/users/long.json": strings.Repeat(" ", 2000),
	}
	url := map[string]string{"url": "ORIGIN/users/{+key}.json"}
	testReadyMade(t, "pointer", files.options(t, url), []readyCase{
		{key: "ann", want: strings.TrimSpace(profile)},
		{key: "ann#", want: strings.TrimSpace(profile)},
		{key: "ann#/name", want: `"Ann \"A\" \u00e9\ud83d\ude00"`},
		{key: "ann#/a~1b/m~0n/0", want: "10"},
		{key: "ann#/a~1b/m~0n/1", want: "-0.5e+3"},
		{key: "ann#/a~1b/m~0n/2/deep", want: "null"},
		{key: "ann#/", want: `{"": true}`},
		{key: "ann#//", want: "true"},
		{key: "ann#/café", want: "false"},
		{key: "ann#/x", want: "{}"},
		{key: "ann#/y", want: "[]"},
		{key: "a/b#", want: `"short"`},
		{key: "..#", want: "[]"},
		{key: "", want: "1"},
		{key: "ann#/a~1b/m~0n/3", kind: gcnode.KindNotFound, want: "no such part", keep: negativeTTL},
		{key: "ann#/a~1b/m~0n/00", kind: gcnode.KindNotFound, want: "no such part", keep: negativeTTL},
		{key: "ann#/a~1b/m~0n/+1", kind: gcnode.KindNotFound, want: "no such part", keep: negativeTTL},
		{key: "ann#/a~1b/m~0n/-", kind: gcnode.KindNotFound, want: "no such part", keep: negativeTTL},
		{key: "ann#/a~1b/m~0n/18446744073709551616", kind: gcnode.KindNotFound, want: "no such part", keep: negativeTTL},
		{key: "ann#/name/0", kind: gcnode.KindNotFound, want: "no such part", keep: negativeTTL},
		{key: "ann#name", kind: gcnode.KindNotFound, want: "begins with a slash", keep: negativeTTL},
		{key: "ann#/~", kind: gcnode.KindNotFound, want: "~0", keep: negativeTTL},
		{key: "ann#/~2", kind: gcnode.KindNotFound, want: "~0", keep: negativeTTL},
		{key: "ann#" + strings.Repeat("/", 129), kind: gcnode.KindNotFound, want: "leads deeper", keep: negativeTTL},
		{key: "ann#/\xff", kind: gcnode.KindNotFound, want: "UTF-8", keep: negativeTTL},
		{key: "bob#/name", kind: gcnode.KindNotFound, want: "404", keep: negativeTTL},
		{key: "long", kind: gcnode.KindPermanent, want: "byte 2000: this is no value"},
	})

	others := map[string]string{"url": "ORIGIN/{key}", "strings": "text", "ttl": "90s", "negative_ttl": "0s", "max_bytes": "1000"}
	files["/p"] = profile
	files["/long"] = strings.Repeat(" ", 1000) + "1"
	testReadyMade(t, "pointer", files.options(t, others), []readyCase{
		{key: "p#/name", want: `Ann "A" é😀`, keep: gcnode.For(90 * time.Second)},
		{key: "p#/x", want: "{}", keep: gcnode.For(90 * time.Second)},
		{key: "p#/z", kind: gcnode.KindNotFound, keep: gcnode.NoStore},
		{key: "users/ann.json", kind: gcnode.KindNotFound, keep: gcnode.NoStore},
		{key: "long", kind: gcnode.KindPermanent, want: "1000"},
		{key: "busy", kind: gcnode.KindOverloaded},
	})
}

// A document is refused as a whole, also for what is behind the part.
func TestPointerRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	files := documents{}
	cases := files.refused("#/a", map[string]string{
		``:                                     "byte 0: this is no value",
		`{"a":1`:                               "byte 6: a comma or the end of the object is missing",
		`{"a":1,}`:                             "byte 7: a string is missing",
		`{"a":1}}`:                             "byte 7: there is something after the value",
		`{"a":1 "b":2}`:                        "a comma or the end of the object is missing",
		`{"a" 1}`:                              "a colon is missing",
		`{a:1}`:                                "a string is missing",
		`{"a":1,"b":[1,]}`:                     "this is no value",
		`{"a":1,"b":[1 2]}`:                    "a comma or the end of the array is missing",
		`{"a":1,"b":01}`:                       "a comma or the end of the object is missing",
		`{"a":1,"b":-}`:                        "a digit is missing",
		`{"a":1,"b":1.}`:                       "a digit is missing",
		`{"a":1,"b":1e+}`:                      "a digit is missing",
		`{"a":1,"b":nul}`:                      "this is no value",
		`{"a":1,"b":NaN}`:                      "this is no value",
		`{"a":1,"b":"x`:                        "the string does not end",
		`{"a":1,"b":"x\`:                       "no such escape",
		`{"a":1,"b":"\x41"}`:                   "no such escape",
		`{"a":1,"b":"\u12"}`:                   "no such escape",
		`{"a":1,"b":"\u+123"}`:                 "no such escape",
		`{"a":1,"b":"\ud800"}`:                 "half of a surrogate",
		`{"a":1,"b":"\ud800\u`:                 "half of a surrogate",
		`{"a":1,"b":"\udc00\ud800"}`:           "half of a surrogate",
		"{\"a\":1,\"b\":\"\n\"}":               "a control character is not escaped",
		"{\"a\":1,\"b\":\"\xff\"}":             "byte 12: this is not UTF-8",
		"{\"a\":1}\x00":                        "there is something after the value",
		"\xef\xbb\xbf{}":                       "this is no value",
		`{"a":1,"\u0061":2}`:                   "this member twice",
		`{"a":` + strings.Repeat("[", 1<<20-5): "byte 132: it is nested too deep",
		strings.Repeat(`{"a":`, 200_000):       "it is nested too deep",
	})
	files["/deep"] = strings.Repeat(`{"a":`, 128) + "1" + strings.Repeat("}", 128)
	cases = append(cases, readyCase{key: "deep#" + strings.Repeat("/a", 128), want: "1"})
	testReadyMade(t, "pointer", files.options(t, map[string]string{"url": "ORIGIN/{key}"}), cases)
}

func TestPointerRefusesSettings(t *testing.T) {
	t.Parallel()
	wrong, reasons := wrongTemplates()
	wrong = append(wrong, map[string]string{"strings": "xml"}, map[string]string{"strings": "xml", "ttl": "soon"})
	reasons = append(reasons, `the setting strings is "xml", want json or text`, `want json or text; the setting ttl is "soon"`)
	testRefused(t, "pointer", documents{}.options(t, map[string]string{"url": "ORIGIN/{key}"}), wrong, reasons)
}

func TestPointerConforms(t *testing.T) {
	t.Parallel()
	files := documents{"/users/ann.json": profile}
	testConforms(t, "pointer", files.options(t, map[string]string{"url": "ORIGIN/users/{key}.json"}), "ann", "ann#/name")
}

func TestPointerHasLongKeysPending(t *testing.T) {
	t.Parallel()
	testPending(t, "pointer", documents{}.options(t), "/"+strings.Repeat("~0", 300))
}
