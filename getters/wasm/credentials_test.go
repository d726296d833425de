package wasm

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Credentials go to the origin that they are for, however it is reached, and to no
// other one.
func TestCredentialsAreAddedForTheirOriginAlone(t *testing.T) {
	t.Parallel()
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Header.Get("Authorization")+"|"+r.Header.Get("X-Api-Key"))
	}
	other := newOrigin(t, answer)
	var known string
	origin := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		answer(w, r)
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		}
	})
	known = origin.URL
	back := newOrigin(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, known, http.StatusFound) })
	p := loadVerbs(t, Options{
		Instances: 1, AllowFetch: []string{origin.URL, other.URL, back.URL},
		Credentials: map[string]http.Header{origin.URL + "/": {"authorization": {"Bearer secret"}, "X-Api-Key": {"key"}}},
	})
	for key, want := range map[string]string{
		"0:0:GET:" + origin.URL: "Bearer secret|key",
		"0:0:GET:" + origin.URL + "|Authorization=guest|X-Api-Key=guest|": "Bearer secret|key",
		"0:0:GET:" + other.URL:                                  "|",
		"0:0:GET:" + other.URL + "|X-Api-Key=guest|":            "|guest",
		"0:0:GET:" + origin.URL + "/away":                       "|",
		"0:0:POST:" + origin.URL + "/away|X-Api-Key=guest|body": "|guest",
		"0:0:GET:" + back.URL:                                   "Bearer secret|key",
	} {
		a := fetchThrough(t, p, key)
		require.EqualValues(t, 200, a.status, "%s: %s", key, a.body)
		assert.Contains(t, a.header, headerField{"X-Seen", want}, key)
	}
}

func TestCredentialsThatAreRefused(t *testing.T) {
	t.Parallel()
	for want, byOrigin := range map[string]map[string]http.Header{
		`has the entry "https://elsewhere.example": the module may not fetch from it`: {"https://elsewhere.example": {"Authorization": {"secret"}}},
		`has the entry "example": it is not of the form`:                              {"example": nil},
		"the header field Host is set by the host":                                    {somewhere[0]: {"Host": {"secret"}}},
		"has a control character":                                                     {somewhere[0]: {"Authorization": {"secret\r\nX: y"}}},
		`the header field name "a b" cannot be used`:                                  {somewhere[0]: {"a b": {"secret"}}},
	} {
		_, err := Load(t.Context(), minimal().bytes(), Options{AllowFetch: somewhere, Credentials: byOrigin})
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "secret")
	}
}
