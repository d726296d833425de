package httporigin

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// The places in a template that a key goes to, in the notation of RFC 6570.
const (
	wholeKey = "{key}"  // as one segment of the path, or one value of the query
	pathKey  = "{+key}" // as a path: its slashes stay
)

// A template makes URLs of keys: https://example.com/users/{key}.json.
type template string

// parseTemplate checks that keys can only choose what is behind the host.
func parseTemplate(text string) (template, error) {
	if text == "" {
		return "", errors.New("setting url: is required, for example http://127.0.0.1:9000/users/{key}")
	}
	before, _, found := strings.Cut(strings.ReplaceAll(text, pathKey, wholeKey), wholeKey)
	u, err := url.Parse(before)
	switch {
	case !found:
		return "", fmt.Errorf("setting url: %q has no %s, nor %s for a key that is a path", text, wholeKey, pathKey)
	case err != nil:
		return "", fmt.Errorf("setting url: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
		return "", fmt.Errorf("setting url: %q is no URL such as http://127.0.0.1:9000/users/{key}", text)
	case u.Path == "" && u.RawQuery == "":
		return "", fmt.Errorf("setting url: in %q the key is part of the host: put a slash before it", text)
	}
	t := template(text)
	if u, err = url.Parse(t.url("k")); err != nil || strings.ContainsAny(t.url("k"), "{}") {
		return "", fmt.Errorf("setting url: %q is no URL with other places than %s and %s", text, wholeKey, pathKey)
	}
	if u.Fragment != "" {
		return "", fmt.Errorf("setting url: %q has a fragment, which is never sent", text)
	}
	return t, nil
}

// url is the URL for a key. No key leads out of the place it goes to.
func (t template) url(key string) string {
	segments := strings.Split(key, "/")
	for i, segment := range segments {
		segments[i] = getter.Escape(segment)
	}
	return strings.NewReplacer(wholeKey, getter.Escape(key), pathKey, strings.Join(segments, "/")).Replace(string(t))
}
