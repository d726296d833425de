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

const countries = "\xef\xbb\xbfcode,name,\"capital, \"\"main\"\"\"\r\n" +
	"DE,Germany,Berlin\r\n\n" +
	"\"x,y\",\"line\r\nbreak\",\"\"\n" +
	"CI,Côte d’Ivoire,\"a \\ b\tc\x01\"\n" +
	"DE,again,\n" +
	",no key,-"

func TestTable(t *testing.T) {
	t.Parallel()
	files := documents{
		"/countries.csv": countries, "/a/b.csv": "one\n1\n\n", "/empty.csv": "", "/%2E%2E.csv": "k\nv", "/long.csv": strings.Repeat("a", 2000),
	}
	testReadyMade(t, "table", files.options(t, map[string]string{"url": "ORIGIN/{+key}.csv", "max_bytes": "1000"}), []readyCase{
		{key: "countries#DE", want: `{"code":"DE","name":"Germany","capital, \"main\"":"Berlin"}`},
		{key: "countries#x,y", want: `{"code":"x,y","name":"line\r\nbreak","capital, \"main\"":""}`},
		{key: "countries#CI", want: `{"code":"CI","name":"Côte d’Ivoire","capital, \"main\"":"a \\ b\tc\u0001"}`},
		{key: "countries#", want: `{"code":"","name":"no key","capital, \"main\"":"-"}`},
		{key: "a/b#1", want: `{"one":"1"}`},
		{key: "a/b#", want: `{"one":""}`},
		{key: "..#v", want: `{"k":"v"}`},
		{key: "countries#FR", kind: gcnode.KindNotFound, want: "no such row", keep: negativeTTL},
		{key: "countries#D", kind: gcnode.KindNotFound, want: "no such row", keep: negativeTTL},
		{key: "countries#code", kind: gcnode.KindNotFound, want: "no such row", keep: negativeTTL},
		{key: "countries", kind: gcnode.KindNotFound, want: "a key is that of a table", keep: negativeTTL},
		{key: "", kind: gcnode.KindNotFound, want: "a key is that of a table", keep: negativeTTL},
		{key: "cities#x", kind: gcnode.KindNotFound, want: "404", keep: negativeTTL},
		{key: "empty#x", kind: gcnode.KindPermanent, want: "line 1: the names of the columns are missing"},
		{key: "long#x", kind: gcnode.KindPermanent, want: "1000"},
	})

	files["/t"] = "a\t\"b\"\r\n1\tx\"y\n2\t\"z\"\n3\t"
	tabs := map[string]string{"url": "ORIGIN/{key}", "separator": "tab", "column": `"b"`, "ttl": "2m", "negative_ttl": "0s"}
	testReadyMade(t, "table", files.options(t, tabs), []readyCase{
		{key: `t#x"y`, want: `{"a":"1","\"b\"":"x\"y"}`, keep: gcnode.For(2 * time.Minute)},
		{key: `t#"z"`, want: `{"a":"2","\"b\"":"\"z\""}`, keep: gcnode.For(2 * time.Minute)},
		{key: `t#`, want: `{"a":"3","\"b\"":""}`, keep: gcnode.For(2 * time.Minute)},
		{key: "t#1", kind: gcnode.KindNotFound, keep: gcnode.NoStore},
		{key: "countries.csv#DE", kind: gcnode.KindPermanent, want: "line 1: there is no column with the name of the setting column"},
		{key: "busy#1", kind: gcnode.KindOverloaded},
	})
	files["/s"] = "a;b\n1;\"2;3\"\n"
	testReadyMade(t, "table", files.options(t, map[string]string{"url": "ORIGIN/{key}", "separator": "semicolon"}), []readyCase{
		{key: `s#1`, want: `{"a":"1","b":"2;3"}`},
	})
}

func TestTableRefusesWhatIsNoTable(t *testing.T) {
	t.Parallel()
	files := documents{}
	cases := files.refused("#z", map[string]string{
		"a,b\n1,2\n3\n":                    "line 3: it has not as many fields as there are columns",
		"a,b\n1,2,3\n":                     "line 2: it has not as many fields as there are columns",
		"a,b\n\"1\n\n,2\n":                 "line 2: the field in quotes does not end",
		"a,b\n\"":                          "line 2: the field in quotes does not end",
		"a,b\n\"1\"x,2\n":                  "line 2: there is something behind a field in quotes",
		"a,b\n\"1\"\r":                     "line 2: there is something behind a field in quotes",
		"a,b\n\"1\n2\",x\ny\"z,2\n":        "line 4: there is a quote within a field that is not in quotes",
		"a,b\r1,2\r":                       "line 1: there is half of an end of line",
		"a,b,a\n":                          "line 1: two columns have the same name",
		"a,b\n1,\xc3\n":                    "byte 6 is not UTF-8",
		"a,\xed\xa0\x80\n":                 "byte 2 is not UTF-8",
		"a\xf4\x90\x80\x80":                "byte 1 is not UTF-8",
		"\xc0\xaf":                         "byte 0 is not UTF-8",
		"a\xe2\x82":                        "byte 1 is not UTF-8",
		strings.Repeat(",", 1<<20):         "line 1: there are more than 1000 columns",
		"a\nb" + strings.Repeat(",", 1000): "line 2: there are more than 1000 columns",
		"a,b\n\"" + strings.Repeat("\"\"", 500_000): "line 2: the field in quotes does not end",
	})
	// What makes the largest answer of the least.
	controls := strings.Repeat("\x01", 1<<20-8)
	files["/controls"] = "a,b\nz," + controls
	cases = append(cases, readyCase{key: "controls#z", want: `{"a":"z","b":"` + strings.Repeat(`\u0001`, len(controls)) + `"}`})
	files["/lines"] = "a,b\n" + strings.Repeat("\n", 1<<20-4)
	cases = append(cases, readyCase{key: "lines#z", kind: gcnode.KindNotFound, keep: negativeTTL})
	testReadyMade(t, "table", files.options(t, map[string]string{"url": "ORIGIN/{key}"}), cases)
}

func TestTableRefusesSettings(t *testing.T) {
	t.Parallel()
	wrong, reasons := wrongTemplates()
	wrong = append(wrong, map[string]string{"separator": ","}, map[string]string{"separator": "pipe", "ttl": "soon"})
	reasons = append(reasons, `the setting separator is ",", want comma, semicolon or tab`, `the setting ttl is "soon"`)
	testRefused(t, "table", documents{}.options(t, map[string]string{"url": "ORIGIN/{key}"}), wrong, reasons)
}

func TestTableHasLongKeysPending(t *testing.T) {
	t.Parallel()
	testPending(t, "table", documents{}.options(t), "x")
}

func TestTableConforms(t *testing.T) {
	t.Parallel()
	files := documents{"/countries.csv": countries}
	testConforms(t, "table", files.options(t, map[string]string{"url": "ORIGIN/{key}.csv"}), "countries#DE", "countries#")
}
