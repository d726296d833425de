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

const rss = `<?xml version="1.0" encoding="UTF-8"?>
<!-- a <comment> --><?style sheet?>
<rss version='2.0' xmlns:media="m"><channel>
<title> News &amp; more </title><link>https://o/</link><image><title>no</title></image>
<item><media:title>no</media:title><title><![CDATA[One <b>&amp;</b>]]></title><link>https://o/1?a=1&amp;b=2</link><guid isPermaLink="false">1</guid>
<pubDate>Mon, 02 Nov 2026 10:00:00 GMT</pubDate><description>&lt;p&gt;&#228;&#x1F600;"</description><title>again</title></item>
<item/><item><title></title><title>Three</title></item>
</channel></rss>
`

const atom = "\xef\xbb\xbf" + `<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Blog</title>
<link rel="self" href="https://o/feed"/><link href = 'https://o/'></link>
<entry><title>A<sub>b</sub>c</title><link rel="alternate" href="https://o/a&amp;b"/><id>urn:1</id><updated>2026-11-02T10:00:00Z</updated>
<source><title>no</title></source><content type="xhtml"><div>x <b>y</b>` + "\n" + `</div></content></entry></feed>`

const rdf = `<rdf:RDF xmlns:rdf="r"><channel><title>T</title></channel><item><title>I</title><dc:date>2026</dc:date></item></rdf:RDF>`

func TestFeed(t *testing.T) {
	t.Parallel()
	files := documents{"/rss.xml": rss, "/atom.xml": atom, "/a/b.xml": rdf, "/%2E%2E.xml": "<rss/>", "/long.xml": strings.Repeat(" ", 2000)}
	const first = `{"title":"One <b>&amp;</b>","link":"https://o/1?a=1&b=2","id":"1","date":"Mon, 02 Nov 2026 10:00:00 GMT","summary":"<p>ä😀\""}`
	url := map[string]string{"url": "ORIGIN/{+key}.xml", "max_bytes": "1500"}
	testReadyMade(t, "feed", files.options(t, url), []readyCase{
		{key: "rss", want: `{"title":"News & more","link":"https://o/","entries":[` + first + `,{},{"title":"Three"}]}`},
		{key: "atom", want: `{"title":"Blog","link":"https://o/","entries":[` +
			`{"title":"Abc","link":"https://o/a&b","id":"urn:1","date":"2026-11-02T10:00:00Z","summary":"x y"}]}`},
		{key: "a/b", want: `{"title":"T","entries":[{"title":"I","date":"2026"}]}`},
		{key: "..", want: `{"entries":[]}`},
		{key: "none", kind: gcnode.KindNotFound, want: "404", keep: negativeTTL},
		{key: "rss#", kind: gcnode.KindNotFound, want: "404", keep: negativeTTL},
		{key: "", kind: gcnode.KindNotFound, want: "404", keep: negativeTTL},
		{key: "busy", kind: gcnode.KindOverloaded},
		{key: "long", kind: gcnode.KindPermanent, want: "1500"},
	})
	few := map[string]string{"url": "ORIGIN/{key}.xml", "entries": "1", "ttl": "90s", "negative_ttl": "0s"}
	testReadyMade(t, "feed", files.options(t, few), []readyCase{
		{key: "rss", want: `{"title":"News & more","link":"https://o/","entries":[` + first + `]}`, keep: gcnode.For(90 * time.Second)},
		{key: "a/b", kind: gcnode.KindNotFound, keep: gcnode.NoStore},
	})
}

func TestFeedRefusesWhatIsNoFeed(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	files := documents{}
	cases := files.refused("", map[string]string{
		"":                      "byte 0: the document ends too early",
		"<rss>":                 "byte 5: the document ends too early",
		"<html/>":               "it is neither RSS nor Atom",
		"hello":                 "there is text outside of the root element",
		"<rss/>x":               "there is text outside of the root element",
		"<![CDATA[x]]><rss/>":   "there is text outside of the root element",
		"<rss/><rss/>":          "there is an element behind the root element",
		"<rss></feed>":          "an element ends that is not the last one to start",
		"</rss>":                "an element ends that is not the last one to start",
		"<rss></rss":            "the end of an element does not end",
		"<rss":                  "a start of an element is neither ended",
		"<rss a>":               "a start of an element is neither ended",
		"<rss a=b>":             "the value of an attribute is not in quotes",
		"<rss a=":               "the value of an attribute is not in quotes",
		"<rss a='":              "the value of an attribute does not end",
		"<rss a=\"'>":           "the value of an attribute does not end",
		"<rss a='&x;'>":         "an entity is none of XML's",
		"<rss>&nbsp;</rss>":     "an entity is none of XML's",
		"<rss>&":                "an entity is none of XML's",
		"<rss>&#;":              "an entity is none of XML's",
		"<rss>&#x;":             "an entity is none of XML's",
		"<rss>&#x110000;":       "an entity is none of XML's",
		"<rss>&#xd800;":         "an entity is none of XML's",
		"<rss>&#0;":             "an entity is none of XML's",
		"<rss>&#9999999999999;": "an entity is none of XML's",
		"<rss>&#4294967360;":    "an entity is none of XML's",
		"< >":                   "the name of an element is missing",
		"<":                     "the name of an element is missing",
		"<rss><!--":             "a comment does not end",
		"<?xml":                 "an instruction does not end",
		"<rss><![CDATA[ ]]":     "a CDATA section does not end",
		"<rss>\x00</rss>":       "byte 5: this is no text in UTF-8",
		"<rss>\xff</rss>":       "byte 5: this is no text in UTF-8",
		"\xef\xbb\xbf<rss>&;":   "byte 8: an entity is none of XML's",
		`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss>&b;</rss>`: "there is a document type",
		strings.Repeat("<rss>", most/5):                                       "it is nested too deep",
		"<rss " + strings.Repeat("a='' ", most/5-2):                           "an element has more than 100 attributes",
		strings.Repeat("<!---->", most/7):                                     "the document ends too early",
		"<rss>" + strings.Repeat("&amp;", most/5-2):                           "the document ends too early",
		strings.Repeat("<", most):                                             "the name of an element is missing",
	})
	// What takes the most memory.
	breaks := strings.Repeat("\n", most-60)
	files["/breaks"] = "<feed><entry><summary>-" + breaks + "-</summary></entry></feed>"
	files["/entries"] = "<feed>" + strings.Repeat("<entry/>", most/8-2) + "</feed>"
	files["/links"] = "<feed>" + strings.Repeat("<link href='x'/>", most/16-1) + "</feed>"
	cases = append(cases,
		readyCase{key: "breaks", want: `{"entries":[{"summary":"-` + strings.Repeat(`\n`, len(breaks)) + `-"}]}`},
		readyCase{key: "entries", want: `{"entries":[{}` + strings.Repeat(",{}", 999) + "]}"},
		readyCase{key: "links", want: `{"link":"x","entries":[]}`})
	testReadyMade(t, "feed", files.options(t, map[string]string{"url": "ORIGIN/{key}", "entries": "1000"}), cases)
}

func TestFeedRefusesSettings(t *testing.T) {
	t.Parallel()
	wrong, reasons := wrongTemplates()
	for _, entries := range []string{"0", "1001", "-1", "ten", "", "4294967297"} {
		wrong = append(wrong, map[string]string{"entries": entries})
		reasons = append(reasons, "want a number from 1 to 1000")
	}
	testRefused(t, "feed", documents{}.options(t, map[string]string{"url": "ORIGIN/{key}"}), wrong, reasons)
}

func TestFeedHasLongKeysPending(t *testing.T) {
	t.Parallel()
	testPending(t, "feed", documents{}.options(t), "")
}

func TestFeedConforms(t *testing.T) {
	t.Parallel()
	files := documents{"/rss.xml": rss, "/atom.xml": atom}
	testConforms(t, "feed", files.options(t, map[string]string{"url": "ORIGIN/{key}.xml"}), "rss", "atom")
}
