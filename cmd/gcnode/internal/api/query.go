package api

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// keyOf reads the one parameter of a value's query. Unlike [url.ParseQuery]
// it refuses everything that two readers could understand differently.
func keyOf(rawQuery string) (string, error) {
	if rawQuery == "" {
		return "", errors.New("the query is missing: name the key as ?key={key}, percent-encoded")
	}
	if strings.Contains(rawQuery, ";") {
		return "", errors.New("the query holds a semicolon; one that is part of the key is written %3B")
	}
	if strings.Contains(rawQuery, "&") {
		return "", errors.New("the query must hold exactly one parameter, key; a & that is part of the key is written %26")
	}
	name, value, hasValue := strings.Cut(rawQuery, "=")
	name, err := url.QueryUnescape(name)
	if err != nil {
		return "", fmt.Errorf("the query is not properly percent-encoded: %w", err)
	}
	if name != "key" {
		return "", fmt.Errorf("the query has a parameter %.64q; only key is allowed", name)
	}
	if !hasValue {
		return "", errors.New("the query names no key; the empty key is written ?key=")
	}
	key, err := url.QueryUnescape(value)
	if err != nil {
		return "", fmt.Errorf("the key is not properly percent-encoded: %w", err)
	}
	return key, nil
}
