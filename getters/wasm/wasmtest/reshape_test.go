//go:build !race

// These tests compile and run large modules: with the race detector, which watches
// the host in its own package, that takes ten times as long.

package wasmtest_test

import (
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	gcnode "github.com/gcnode/gcnode/core"
)

// The getter in JavaScript is not kept, as its probe is not. Its tests run where
// it was built.

const order = `{"id": 7, "by": {"name": "Ann \ud83d\ude00 $x", "a/b~c": true}, "": null, "length": 1,
	"lines": [{"n": 2, "of": {"title": "Tea"}}, {"n": 1}, 5, {"of": {"title": "Cup"}}], "one": [[1, 2], []], "__proto__": {"polluted": 1}}`

func TestReshape(t *testing.T) {
	onlyBuilt(t)
	t.Parallel()
	files := documents{"/orders/7.json": order, "/orders/a/b.json": "[]", "/orders/%2E%2E.json": `"x"`, "/orders/long.json": strings.Repeat(" ", 2000)}
	opts := roomy(files.options(t, map[string]string{"url": "ORIGIN/orders/{+key}.json", "max_bytes": "1000"}))
	for template, want := range map[string]string{
		`{"who":"$/by/name","id":"$/id","missing":"$/no","k":"$$5","b":[1,null,true,"x","$/id","$/no"]}`: `{"who":"Ann 😀 $x","id":7,"k":"$5","b":[1,null,true,"x",7]}`,
		`{"lines":{"$each":"/lines","$as":{"t":"$/of/title","n":"$/n"}}}`:                                `{"lines":[{"t":"Tea","n":2},{"n":1},{},{"t":"Cup"}]}`,
		`{"$each":"/lines","$as":"$/of/title"}`:                                                          `["Tea","Cup"]`,
		`{"$each":"/one","$as":{"$each":"","$as":["$"]}}`:                                                `[[[1],[2]],[]]`,
		`{"$each":"/by","$as":"$"}`:                                                                      "",
		`{"a":{"$each":"/by","$as":"$"}}`:                                                                `{}`,
		`"$/by/a~1b~0c"`:                                                                                 `true`,
		`"$/"`:                                                                                           `null`,
		`"$/lines/1"`:                                                                                    `{"n":1}`,
		`"$/lines/01"`:                                                                                   "",
		`"$/lines/length"`:                                                                               "",
		`"$/length"`:                                                                                     "1",
		`"$/by/name/length"`:                                                                             "",
		`"$/constructor"`:                                                                                "",
		`"$/by/__proto__"`:                                                                               "",
		`"$/__proto__/polluted"`:                                                                         "1",
		`"$/polluted"`:                                                                                   "",
		`{"__proto__":"$/id","constructor":"$/toString"}`:                                                `{"__proto__":7}`,
		`{"toJSON":"$/id"}`:                                                                              `{"toJSON":7}`,
	} {
		cases := []readyCase{{key: "7", want: want}}
		if want == "" {
			cases = []readyCase{{key: "7", kind: gcnode.KindNotFound, want: "nothing of the template", keep: negativeTTL}}
		}
		opts.Config["template"] = template
		t.Run(template, func(t *testing.T) { testReadyMade(t, "reshape", opts, cases) })
	}
	opts.Config["template"] = `"$"`
	testReadyMade(t, "reshape", opts, []readyCase{
		{key: "a/b", want: "[]"},
		{key: "..", want: `"x"`},
		{key: "8", kind: gcnode.KindNotFound, want: "404", keep: negativeTTL},
		{key: "", kind: gcnode.KindNotFound, want: "404", keep: negativeTTL},
		{key: "long", kind: gcnode.KindPermanent, want: "1000"},
	})
	opts.Config["ttl"], opts.Config["negative_ttl"] = "90s", "0s"
	testReadyMade(t, "reshape", opts, []readyCase{
		{key: "a/b", want: "[]", keep: gcnode.For(90 * time.Second)},
		{key: "8", kind: gcnode.KindNotFound, keep: gcnode.NoStore},
		{key: "busy", kind: gcnode.KindOverloaded},
	})
}

func TestReshapeRefusesWhatIsNoJSON(t *testing.T) {
	onlyBuilt(t)
	t.Parallel()
	const most = 256 << 10
	files := documents{}
	reasons := map[string]string{
		strings.Repeat("[", most):                                 "it is nested too deep",
		strings.Repeat(`{"a":`, most/5):                           "it is nested too deep",
		`["\\\"",` + strings.Repeat("[", 64):                      "it is nested too deep",
		`["` + strings.Repeat(`\`, most-2):                        "the document is refused",
		`["` + strings.Repeat(`\"`, most/2-1):                     "the document is refused",
		strings.Repeat("]", most):                                 "the document is refused",
		strings.Repeat(`"`, most-1):                               "the document is refused",
		"[" + strings.Repeat("9", most-1):                         "the document is refused",
		"[" + strings.Repeat("[],", most/3-1):                     "the document is refused",
		strings.Repeat(`{"a":1,`, 20) + strings.Repeat(" ", 1000): "the document is refused",
	}
	for _, text := range []string{"", "{", `{"a":1,}`, "[1,]", "{'a':1}", "nul", "NaN", "01", "\"\n\"", "[1] 2", "\x00", "{a:1}", "/**/1", "undefined"} {
		reasons[text] = "the document is refused"
	}
	cases := files.refused("", reasons)
	for i, text := range []string{
		"[" + strings.Repeat("{},", most/3-2) + "0]", "[" + strings.Repeat("[],", most/3-2) + "0]",
		"[" + strings.Repeat("0,", most/2-2) + "0]", `["` + strings.Repeat("\xff", 1000) + `"]`,
		strings.Repeat("[", 64) + strings.Repeat("]", 64), `["[{\"[{\\",{"]}":1}]`, strings.Repeat(" ", most-1) + "1", `{"a":1,"a":2}`,
	} {
		key := "right" + strconv.Itoa(i)
		files["/"+key] = text
		cases = append(cases, readyCase{key: key, want: "1"})
	}
	config := map[string]string{"url": "ORIGIN/{key}", "template": "1"}
	testReadyMade(t, "reshape", roomy(files.options(t, config)), cases)
}

func TestReshapeRefusesSettings(t *testing.T) {
	onlyBuilt(t)
	t.Parallel()
	wrong, reasons := wrongTemplates()
	for template, want := range map[string]string{
		"":                           "the setting template is required",
		"{":                          "the setting template is refused",
		`"$a"`:                       `the setting template is refused: "a" is no JSON Pointer such as /items/0`,
		`{"a":["$/~2"]}`:             `"/~2" is no JSON Pointer`,
		`{"$map":"/a"}`:              `there is nothing like "$map"`,
		`{"$each":"/a"}`:             `beside a pointer as "$each" there is "$as"`,
		`{"$each":1,"$as":1}`:        `beside a pointer as "$each" there is "$as"`,
		`{"$each":"a","$as":1}`:      `"a" is no JSON Pointer`,
		`{"$each":"","$as":1,"b":1}`: "and nothing else",
		strings.Repeat("[", 100_000): "it is nested too deep",
	} {
		wrong = append(wrong, map[string]string{"template": template, "ttl": "soon"})
		reasons = append(reasons, want)
	}
	right := roomy(documents{}.options(t, map[string]string{"url": "ORIGIN/{key}", "template": `"$"`}))
	testRefused(t, "reshape", right, wrong, reasons)
	both := maps.Clone(right.Config)
	both["template"], both["ttl"] = "", "soon"
	testRefused(t, "reshape", right, []map[string]string{both}, []string{"the setting template is required, for example {\"name\": \"$/profile/name\"}; the setting ttl is"})
}

func TestReshapeHasLongKeysPending(t *testing.T) {
	onlyBuilt(t)
	t.Parallel()
	testPending(t, "reshape", roomy(documents{}.options(t, map[string]string{"template": "1"})), "")
}

func TestReshapeConforms(t *testing.T) {
	onlyBuilt(t)
	t.Parallel()
	files := documents{"/7": order}
	testConforms(t, "reshape", roomy(files.options(t, map[string]string{"url": "ORIGIN/{key}", "template": `"$/by"`})), "7")
}
