package wasm

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// credentials is a transport that adds what guests must not see.
type credentials struct {
	next   http.RoundTripper
	fields map[origin]http.Header
}

// newCredentials reads [Options.Credentials]; the error names every entry that
// cannot be used, and no values.
func newCredentials(next http.RoundTripper, byOrigin map[string]http.Header, allow allowList) (*credentials, error) {
	c := &credentials{next, make(map[origin]http.Header, len(byOrigin))}
	var errs []error
	wrong := func(entry, format string, args ...any) {
		errs = append(errs, fmt.Errorf("option Credentials (credentials in a node's configuration) has the entry %q: %w", entry, fmt.Errorf(format, args...)))
	}
	for _, entry := range slices.Sorted(maps.Keys(byOrigin)) {
		o, err := readOrigin(entry)
		if err != nil {
			wrong(entry, "%w", err)
			continue
		}
		if _, allowed := allow[o]; !allowed {
			wrong(entry, "the module may not fetch from it (AllowFetch, allow_fetch)")
		}
		for name, values := range byOrigin[entry] {
			for _, value := range values {
				if err := checkField(headerField{name, value}); err != nil {
					wrong(entry, "%w", err)
				}
			}
		}
		c.fields[o] = byOrigin[entry].Clone()
	}
	return c, errors.Join(errs...)
}

// RoundTrip implements [http.RoundTripper]. The request that it is given stays as
// it is: a redirect takes over the fields of that one.
func (c *credentials) RoundTrip(r *http.Request) (*http.Response, error) {
	o, err := originOf(r.URL)
	if err != nil {
		return nil, err
	}
	if fields := c.fields[o]; len(fields) > 0 {
		r = r.Clone(r.Context())
		for name, values := range fields {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	return c.next.RoundTrip(r)
}
