package main

import (
	"errors"
	"fmt"

	"github.com/gcnode/gcnode/plugins/internal/httporigin"
	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// The settings of the getter; see the package comment.
type settings struct {
	origin   *httporigin.Origin
	fragment bool
	style    string
	lang     string
	keepHTML bool
}

// readSettings returns all errors at once.
func readSettings(config getter.Config) (settings, error) {
	s := settings{style: config.String("style", ""), lang: config.String("lang", "en")}
	origin, err := httporigin.New(config, httporigin.Options{
		Own:      []string{"output", "style", "lang", "html"},
		MaxBytes: 1 << 20,
	})
	s.origin = origin
	errs := []error{err}
	s.fragment, err = choice(config, "output", "page", "fragment")
	errs = append(errs, err)
	s.keepHTML, err = choice(config, "html", "omit", "keep")
	return s, errors.Join(append(errs, err)...)
}

// choice reads a setting that has two values, and reports whether it is the
// one that is not the default.
func choice(config getter.Config, name, def, other string) (bool, error) {
	switch v := config.String(name, def); v {
	case def:
		return false, nil
	case other:
		return true, nil
	default:
		return false, fmt.Errorf("setting %s: %q is neither %s nor %s", name, v, def, other)
	}
}
