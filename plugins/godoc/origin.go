package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

const (
	maxListingBytes = 4 << 20
	maxFileBytes    = 4 << 20
	maxGoFiles      = 4096
)

// An origin serves a tree of packages over HTTP.
type origin struct {
	base string // without a slash at its end
}

// locate asks for one listing after the other until one of the targets exists,
// and returns the target with the names of its Go files, sorted, without tests.
func (o origin) locate(ctx context.Context, targets []target) (target, []string, error) {
	var notFound error
	for _, t := range targets {
		files, err := o.list(ctx, t.importPath)
		if err == nil {
			return t, files, nil
		}
		if !errors.Is(err, getter.ErrNotFound) {
			return target{}, nil, err
		}
		if notFound == nil {
			notFound = err
		}
	}
	return target{}, nil, notFound
}

// url returns the URL of a file, or of the listing if name is empty.
func (o origin) url(importPath, name string) string {
	elems := strings.Split(importPath, "/")
	for i, elem := range elems {
		elems[i] = url.PathEscape(elem)
	}
	return o.base + "/" + strings.Join(elems, "/") + "/" + url.PathEscape(name)
}

func (o origin) list(ctx context.Context, importPath string) ([]string, error) {
	listing := o.url(importPath, "")
	response, err := getter.Fetch(ctx, getter.FetchRequest{URL: listing, MaxBodyBytes: maxListingBytes})
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case 200:
	case 404, 410:
		return nil, fmt.Errorf("%w: no package %s", getter.ErrNotFound, importPath)
	default:
		return nil, statusError(response)
	}
	files, err := goFiles(listing, string(response.Body))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, noGoFiles(importPath)
	}
	if len(files) > maxGoFiles {
		return nil, fmt.Errorf("%w: package %s has %d files, more than %d", getter.ErrPermanent, importPath, len(files), maxGoFiles)
	}
	return files, nil
}

func noGoFiles(importPath string) error {
	return fmt.Errorf("%w: no package %s: the directory has no Go files for this platform", getter.ErrNotFound, importPath)
}

// read returns a file that the listing named. If it is gone by now, a later
// attempt sees a new listing.
func (o origin) read(ctx context.Context, importPath, name string) ([]byte, error) {
	response, err := getter.Fetch(ctx, getter.FetchRequest{URL: o.url(importPath, name), MaxBodyBytes: maxFileBytes})
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case 200:
		return response.Body, nil
	case 404, 410:
		return nil, fmt.Errorf("%w: %s is listed, but not there", getter.ErrTransient, response.URL)
	default:
		return nil, statusError(response)
	}
}

// statusError returns the error for a status other than 200 and not found.
func statusError(response getter.FetchResponse) error {
	var status *getter.StatusError
	switch err := response.Err(); {
	case response.StatusCode >= 500:
		return fmt.Errorf("%w: fetch %s: status %d", getter.ErrTransient, response.URL, response.StatusCode)
	case errors.As(err, &status):
		return err
	default:
		return fmt.Errorf("%w: fetch %s: unexpected status %d", getter.ErrPermanent, response.URL, response.StatusCode)
	}
}

// goFiles returns the names of the Go files that a listing links to, sorted,
// without tests.
func goFiles(listing, page string) ([]string, error) {
	base, err := url.Parse(listing)
	if err != nil {
		return nil, fmt.Errorf("%w: listing: %w", getter.ErrPermanent, err)
	}
	hrefs := regexp.MustCompile(`(?i)<a\s[^>]*?href\s*=\s*(?:"([^"]*)"|'([^']*)')`)
	var names []string
	for _, match := range hrefs.FindAllStringSubmatch(page, -1) {
		ref, err := url.Parse(html.UnescapeString(match[1] + match[2]))
		if err != nil {
			continue
		}
		link := base.ResolveReference(ref)
		if link.Scheme != base.Scheme || link.Host != base.Host {
			continue
		}
		name, inside := strings.CutPrefix(link.Path, base.Path)
		if inside && isSourceName(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// isSourceName reports whether a file could be Go source of a package.
func isSourceName(name string) bool {
	return strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && !strings.ContainsAny(name, "/\\\x00")
}
