package httporigin

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKeysStayWhereTheTemplatePutsThem(t *testing.T) {
	for _, c := range []struct{ template, key, want string }{
		{"http://o/users/{key}", "ann", "http://o/users/ann"},
		{"http://o/users/{key}.json?v=1", "a/b?c#d", "http://o/users/a%2Fb%3Fc%23d.json?v=1"},
		{"http://o/{+key}", "a/b c/ü", "http://o/a/b%20c/%C3%BC"},
		{"http://o/files/{+key}", "../../etc", "http://o/files/%2E%2E/%2E%2E/etc"},
		{"http://o/files/{key}", "..", "http://o/files/%2E%2E"},
		{"http://o/?q={key}&r={key}", "a&b=c+d", "http://o/?q=a%26b%3Dc%2Bd&r=a%26b%3Dc%2Bd"},
		{"https://o:8443/{key}/{+key}", "x/y", "https://o:8443/x%2Fy/x/y"},
		{"http://o/{key}", "{key}", "http://o/%7Bkey%7D"},
		{"http://o/{+key}", "", "http://o/"},
	} {
		template, err := parseTemplate(c.template)
		require.NoError(t, err, c.template)
		assert.Equal(t, c.want, template.url(c.key), c.template)
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for template, want := range map[string]string{
		"":                           "is required",
		"http://o/users":             "has no {key}",
		"http://{key}/users":         "no URL such as",
		"http://o{key}":              "part of the host",
		"http://o.example:80{+key}/": "part of the host",
		"/users/{key}":               "no URL such as",
		"ftp://o/{key}":              "no URL such as",
		"http://a:b@o/{key}":         "no URL such as",
		"http://o/{key}/{id}":        "other places",
		"http://o/{key}#top":         "fragment",
		"http://o:port/{key}":        "invalid port",
	} {
		_, err := parseTemplate(template)
		require.ErrorContains(t, err, want, template)
		assert.ErrorContains(t, err, "setting url")
	}
}
