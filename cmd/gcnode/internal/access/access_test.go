package access_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/access"
)

const (
	shopSecret  = "a secret of the shop, the first one"
	shopSecret2 = "a secret of the shop, the second one"
	jobSecret   = "a secret of a job in the night"
)

func newGuard() *access.Guard {
	g := &access.Guard{}
	g.Set(access.Policy{Certificates: true, Tokens: []access.Token{
		{Name: "shop", Secrets: []string{shopSecret, shopSecret2}},
		{Name: "job", Secrets: []string{jobSecret}},
		{Name: "nobody", Secrets: []string{"a secret that is good for nothing"}},
	}, Rules: access.List{
		"shop": {Read: []string{"catalog", "prices"}, Write: []string{"catalog"}},
		"job":  {Remove: []string{access.Every}, Rate: 2},
		"till": {Read: []string{"prices"}},
	}})
	return g
}

// with is a request with a header Authorization.
func with(authorization string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", http.NoBody)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

// refused wants a refusal with a status.
func refused(t *testing.T, refusal *access.RefusedError, status int, reason string) {
	t.Helper()
	require.NotNil(t, refusal)
	assert.Equal(t, status, refusal.Status)
	assert.Contains(t, refusal.Reason, reason)
}

func TestRights(t *testing.T) {
	type right struct {
		right access.Right
		group string
	}
	all := []right{}
	for _, r := range []access.Right{access.Read, access.Write, access.Remove} {
		for _, group := range []string{"catalog", "prices", "other"} {
			all = append(all, right{r, group})
		}
	}
	for secret, may := range map[string][]right{
		shopSecret:  {{access.Read, "catalog"}, {access.Read, "prices"}, {access.Write, "catalog"}},
		shopSecret2: {{access.Read, "catalog"}, {access.Read, "prices"}, {access.Write, "catalog"}},
		jobSecret:   {{access.Remove, "catalog"}, {access.Remove, "prices"}, {access.Remove, "other"}},
	} {
		who, err := newGuard().Identify(with("Bearer " + secret))
		require.Nil(t, err)
		for _, one := range all {
			err := who.Check(one.right, one.group)
			if assert.Equal(t, slices.Contains(may, one), err == nil, "%v %s with %q: %v", one.right, one.group, secret, err) && err != nil {
				refused(t, err, http.StatusForbidden, one.right.String()+` values of the group "`+one.group+`"`)
			}
		}
	}
}

func TestWhoIsNotKnownIsRefused(t *testing.T) {
	g := newGuard()
	for authorization, reason := range map[string]string{
		"":                           "bearer token",
		"Basic YTpi":                 "bearer token",
		"Bearer":                     "is not known",
		"Bearer " + shopSecret + "x": "is not known",
		"Bearer shop":                "is not known",
	} {
		_, err := g.Identify(with(authorization))
		refused(t, err, http.StatusUnauthorized, reason)
	}
	_, err := g.Identify(with("Bearer a secret that is good for nothing"))
	refused(t, err, http.StatusForbidden, `"nobody" may do nothing here`)
}

func TestCertificatesAreNames(t *testing.T) {
	g := newGuard()
	show := func(cert *x509.Certificate) (*access.Caller, *access.RefusedError) {
		r := with("")
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}}}
		return g.Identify(r)
	}
	for _, cert := range []*x509.Certificate{
		{Subject: pkix.Name{CommonName: "till"}},
		{Subject: pkix.Name{CommonName: "4711"}, DNSNames: []string{"a.example.com", "till"}},
	} {
		who, err := show(cert)
		require.Nil(t, err)
		assert.Nil(t, who.Check(access.Read, "prices"))
		refused(t, who.Check(access.Read, "catalog"), http.StatusForbidden, `"till"`)
	}
	_, err := show(&x509.Certificate{Subject: pkix.Name{CommonName: "4711"}})
	refused(t, err, http.StatusForbidden, `"4711" may do nothing here`)
	_, err = show(&x509.Certificate{})
	refused(t, err, http.StatusUnauthorized, "has no name")
	// One that was shown and not checked says nothing.
	r := with("")
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "till"}}}}
	_, err = g.Identify(r)
	refused(t, err, http.StatusUnauthorized, "client certificate")
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		ask := func() *access.RefusedError {
			_, err := g.Identify(with("Bearer " + jobSecret))
			return err
		}
		require.Nil(t, ask())
		require.Nil(t, ask())
		refused(t, ask(), http.StatusTooManyRequests, "more than 2 requests a second")
		time.Sleep(time.Second / 2)
		require.Nil(t, ask())
		// What is left of it survives a change of the rest.
		tokens := []access.Token{{Name: "job", Secrets: []string{jobSecret}}}
		g.Set(access.Policy{Tokens: tokens, Rules: access.List{"job": {Rate: 2}}})
		refused(t, ask(), http.StatusTooManyRequests, "")
		g.Set(access.Policy{Tokens: tokens, Rules: access.List{"job": {Rate: 3}}})
		require.Nil(t, ask())
		g.Set(access.Policy{Tokens: tokens, Rules: access.List{"job": {}}})
		for range 100 {
			require.Nil(t, ask())
		}
	})
}

func TestAGuardThatIsOpen(t *testing.T) {
	g := &access.Guard{}
	for range 2 {
		who, err := g.Identify(with(""))
		require.Nil(t, err)
		assert.Nil(t, who.Check(access.Remove, "g"))
		g.Set(access.Policy{Rules: access.List{"a": {}}})
	}
}
