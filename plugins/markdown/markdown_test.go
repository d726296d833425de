package main

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/plugins/internal/guesttest"
	"github.com/gcnode/gcnode/plugins/internal/origintest"
	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

// memoryPages is the 64 MiB that a node gives an instance.
const memoryPages = 1024

var samples = origintest.Documents[string]{
	"guide/intro": "Before\n\n# A *guide* to `x` & y\n\n- [x] done\n\n| a | b |\n|---|---|\n| 1 | ~~2~~ |\n\nSee https://example.com.\n",
	"evil":        "<script>alert(1)</script>\n\n[x](javascript:alert(1)) <img src=x onerror=alert(1)> ![y](data:text/html,x)\n",
	"plain":       "no heading",
	"broken":      "a \xff b \x00 c",
	"empty":       "",
}

func TestFragments(t *testing.T) {
	instance := samples.Start(t, open, getter.Config{"output": "fragment"})
	answer := instance.Get(t.Context(), "guide/intro")
	for _, want := range []string{
		`<p>Before</p>`, `<h1 id="a-guide-to-x--y">A <em>guide</em> to <code>x</code> &amp; y</h1>`,
		`<input checked="" disabled="" type="checkbox"`, `<td><del>2</del></td>`, `<a href="https://example.com">`,
	} {
		assert.Contains(t, string(answer.Value), want)
	}
	assert.Equal(t, "10m0s", answer.TTL.String())
	assert.NotContains(t, string(answer.Value), "<body>")
	assert.Equal(t, "<p>a \uFFFD b \uFFFD c</p>\n", string(instance.Get(t.Context(), "broken").Value))
	assert.Empty(t, instance.Get(t.Context(), "empty").Value)
}

func TestPages(t *testing.T) {
	page := string(samples.Start(t, open, nil).Get(t.Context(), "guide/intro").Value)
	assert.True(t, strings.HasPrefix(page, "<!DOCTYPE html>\n<html lang=\"en\">\n"), page)
	assert.Contains(t, page, "<title>A guide to x &amp; y</title>\n<style>\n:root")
	assert.True(t, strings.HasSuffix(page, "</main>\n</body>\n</html>\n"), page)

	styled := samples.Start(t, open, getter.Config{"style": `/s.css?a"b`, "lang": "de"})
	page = string(styled.Get(t.Context(), "plain").Value)
	assert.Contains(t, page, `<html lang="de">`)
	assert.Contains(t, page, "<title>plain</title>\n"+`<link rel="stylesheet" href="/s.css?a&#34;b">`)
	assert.NotContains(t, page, "<style>")
}

func TestHTMLIsLeftOutUnlessItIsTrusted(t *testing.T) {
	for _, output := range []string{"page", "fragment"} {
		value := string(samples.Start(t, open, getter.Config{"output": output}).Get(t.Context(), "evil").Value)
		for _, never := range []string{"<script", "javascript:", "onerror", "data:"} {
			assert.NotContains(t, value, never)
		}
	}
	value := string(samples.Start(t, open, getter.Config{"html": "keep"}).Get(t.Context(), "evil").Value)
	assert.Contains(t, value, "<script>alert(1)</script>")
}

func TestErrors(t *testing.T) {
	instance := samples.Start(t, open, getter.Config{"max_bytes": "20", "negative_ttl": "3s"})
	missing := instance.Get(t.Context(), "missing")
	assert.Equal(t, getter.StatusNotFound, missing.Status)
	assert.Equal(t, "3s", missing.TTL.String())
	assert.Equal(t, getter.StatusPermanent, instance.Get(t.Context(), "guide/intro").Status, "too large")

	_, err := sdktest.Start(open, sdktest.Options{Config: getter.Config{"output": "pdf", "html": "yes", "colour": "red"}})
	for _, want := range []string{"setting url", "setting output", "setting html", `unknown setting "colour"`} {
		require.ErrorContains(t, err, want)
	}
}

func TestInTheSandbox(t *testing.T) {
	wasm, err := guesttest.Build(t.Context(), ".")
	require.NoError(t, err)
	all := maps.Clone(samples)
	all["long"] = strings.Repeat(samples["guide/intro"], 5000)
	config := all.Serve(t, nil)
	native, err := sdktest.Start(open, sdktest.Options{Config: config, Transport: http.DefaultTransport})
	require.NoError(t, err)
	module, err := guesttest.Compile(t.Context(), wasm, guesttest.Options{Config: config, Transport: http.DefaultTransport, MemoryPages: memoryPages})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, module.Close(t.Context())) })
	assert.Equal(t, []string{"fetch_start", "input_read", "log", "respond"}, module.Imports())
	instance, err := module.Instantiate(t.Context())
	require.NoError(t, err)
	for key := range all {
		answer, err := instance.Get(t.Context(), key)
		require.NoError(t, err, key)
		require.EqualValues(t, 0, answer.Status, "%s: %s", key, answer.Bytes)
		assert.True(t, string(native.Get(t.Context(), key).Value) == answer.Bytes, key)
	}
}
