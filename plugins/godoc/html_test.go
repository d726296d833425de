package main

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireWellFormed reads a page as XML, with the one liberty of HTML that
// paragraphs and list items may stay open. Every link within the page has a
// target, once.
func requireWellFormed(t *testing.T, page string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(page))
	var stack []string
	ids, refs := map[string]int{}, []string{}
	for {
		tok, err := decoder.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch tag := tok.(type) {
		case xml.StartElement:
			stack = append(stack, tag.Name.Local)
			require.NotEqual(t, "script", tag.Name.Local)
			for _, attr := range tag.Attr {
				require.False(t, strings.HasPrefix(attr.Name.Local, "on"), "handler in %v", tag)
				switch attr.Name.Local {
				case "id":
					ids[attr.Value]++
				case "href":
					refs = append(refs, attr.Value)
				}
			}
		case xml.EndElement:
			for len(stack) > 0 && stack[len(stack)-1] != tag.Name.Local && slices.Contains([]string{"p", "li"}, stack[len(stack)-1]) {
				stack = stack[:len(stack)-1]
			}
			require.NotEmpty(t, stack, "</%s> closes nothing", tag.Name.Local)
			require.Equal(t, stack[len(stack)-1], tag.Name.Local, "at byte %d", decoder.InputOffset())
			stack = stack[:len(stack)-1]
		}
	}
	require.Empty(t, stack)
	for id, n := range ids {
		require.Equal(t, 1, n, "id %s", id)
	}
	for _, ref := range refs {
		if name, inside := strings.CutPrefix(ref, "#"); inside {
			require.Positive(t, ids[name], "no target for a link to %s", name)
		}
	}
}

func TestHostileSourceIsEscaped(t *testing.T) {
	t.Parallel()
	const attack = `</pre></title><script>alert("x")</script><img src=x onerror='y'>&`
	origin := files(t, map[string]string{"p/p.go": `// Package p ` + attack + `
//
// # Heading ` + attack + `
//
//	code ` + attack + `
//
//   - item ` + attack + `
//
// [text]: http://x/"onclick="y
// [bad]: javascript:alert(1)
//
// A [text] and a [bad] link, [io.Reader] and [F].
package p

// BUG(x): note ` + attack + `

// C ` + attack + `
const C = "` + strings.ReplaceAll(attack, `"`, `\"`) + `"

// F ` + attack + `
func F(x struct{ /* ` + attack + ` */ A int "` + strings.ReplaceAll(attack, `"`, `\"`) + `" }) {}

// T ` + attack + `
type T struct {
	A int // ` + attack + `
	B *T
}
`})
	page := value(t, start(t, origin), "p")
	requireWellFormed(t, page)
	assert.NotContains(t, page, "<img")
	assert.NotContains(t, page, `href="javascript`)
	assert.Contains(t, page, "&lt;script&gt;")
	assert.GreaterOrEqual(t, strings.Count(page, "&lt;/pre&gt;"), 8)
}

func TestLinks(t *testing.T) {
	t.Parallel()
	origin := files(t, map[string]string{"a/p/p.go": `// Package p links to [net/url.URL.Parse], [T], [T.M] and [io].
package p

import (
	"io"
	str "strings"
)

// T is linked.
type T struct {
	R io.Reader
	B *str.Builder
	T *T
}

// M is a method, not of [T.N].
func (T) M(t T, r io.Reader) {}

// V is a variable.
var V T
`})
	instance := start(t, origin)
	page := value(t, instance, "a/p")
	requireWellFormed(t, page)
	for _, link := range []string{
		`<a href="?key=net%2Furl.URL.Parse">net/url.URL.Parse</a>`,
		`<a href="#T">T</a>`,
		`<a href="#T.M">T.M</a>`,
		`<a href="?key=io">io</a>`,
		`io.<a href="?key=io.Reader">Reader</a>`,
		`str.<a href="?key=strings.Builder">Builder</a>`,
		`	T *<a href="#T">T</a>`,
		`var V <a href="#T">T</a>`,
		`<a id="V"></a>`,
		`<h3 id="T.M">`,
		`<a href="?key=a%2Fp.T">T</a></h3>`,
	} {
		assert.Contains(t, page, link)
	}
	symbol := value(t, instance, "a/p.T.M")
	requireWellFormed(t, symbol)
	assert.Contains(t, symbol, `M(t <a href="?key=a%2Fp.T">T</a>`, "a page of one symbol links to the answers for others")
}
