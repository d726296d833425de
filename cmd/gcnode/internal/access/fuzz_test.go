package access

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzAuthorization looks that nothing but the secrets lets anybody in.
func FuzzAuthorization(f *testing.F) {
	const secret, other = "0123456789abcdef", "fedcba9876543210"
	guard := &Guard{}
	guard.Set(Policy{
		Tokens: []Token{{Name: "app", Secrets: []string{secret, other}}},
		Rules:  List{"app": {Read: []string{"open"}}},
	})
	for _, seed := range []string{"", "Bearer", "Bearer " + secret, "bearer  " + other + " ", "Basic " + secret, "Bearer " + secret + "x", secret} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		caller, refused := guard.Identify(&http.Request{Header: http.Header{"Authorization": {header}}})
		scheme, token, _ := strings.Cut(header, " ")
		token = strings.TrimSpace(token)
		if strings.EqualFold(scheme, "bearer") && (token == secret || token == other) {
			require.Nil(t, refused)
			require.Nil(t, caller.Check(Read, "open"))
			require.NotNil(t, caller.Check(Read, "closed"))
			require.NotNil(t, caller.Check(Write, "open"))
			return
		}
		require.NotNil(t, refused)
		require.Equal(t, http.StatusUnauthorized, refused.Status)
		require.NotContains(t, refused.Reason, secret)
	})
}
