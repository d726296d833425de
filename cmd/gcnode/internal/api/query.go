package api

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// errNoKey says how a key is named.
var errNoKey = errors.New("the query is missing: name the key as ?key={key}, percent-encoded")

// keyOf reads the one parameter of a value's query.
func keyOf(rawQuery string) (string, error) {
	if rawQuery == "" {
		return "", errNoKey
	}
	return parameterOf(rawQuery, "key")
}

// allOf checks the query of the request that clears a group. A key that was
// forgotten, or put to the plural's path, must not clear it.
func allOf(rawQuery string) error {
	if rawQuery == "" {
		return errors.New("this would remove every value of the group: confirm that with ?all=true; " +
			"one value is removed at " + valueSuffix + "?key={key}")
	}
	value, err := parameterOf(rawQuery, "all")
	if err != nil {
		return err
	}
	if value != "true" {
		return fmt.Errorf("the parameter all is %.64q; only ?all=true removes every value of the group", value)
	}
	return nil
}

// parameterOf reads the one parameter of a query, whose name must be want.
// Unlike [url.ParseQuery] it refuses everything that two readers could
// understand differently.
func parameterOf(rawQuery, want string) (string, error) {
	if strings.Contains(rawQuery, ";") {
		return "", errors.New("the query holds a semicolon; one that is part of a value is written %3B")
	}
	if strings.Contains(rawQuery, "&") {
		return "", fmt.Errorf("the query must hold exactly one parameter, %s; a & that is part of the %[1]s is written %%26", want)
	}
	name, value, hasValue := strings.Cut(rawQuery, "=")
	name, err := url.QueryUnescape(name)
	if err != nil {
		return "", fmt.Errorf("the query is not properly percent-encoded: %w", err)
	}
	if name != want {
		return "", fmt.Errorf("the query has a parameter %.64q; only %s is allowed", name, want)
	}
	if !hasValue {
		return "", fmt.Errorf("the query names no %s; an empty one is written ?%[1]s=", want)
	}
	if value, err = url.QueryUnescape(value); err != nil {
		return "", fmt.Errorf("the %s is not properly percent-encoded: %w", want, err)
	}
	return value, nil
}
