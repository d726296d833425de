// Package httporigin loads documents for getters from an HTTP origin, as their
// settings say, and takes their lifetimes from it. The settings are:
//
//	url            template of the URL, required: {key} is the key as one
//	               segment, {+key} the key as a path
//	header.NAME    field of the header of every request
//	ttl            life of what the origin says nothing about, default that of
//	               the group; 0s: do not keep it
//	min_ttl        shortest and longest life, whatever the origin says;
//	max_ttl        default: none
//	negative_ttl   life of a not found that the origin says nothing about,
//	               default 30s; 0s: do not keep it
//	timeout        of one request to the origin, default that of the node
//	max_bytes      largest document, default 16777216 unless the getter has
//	               another one
package httporigin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// An Origin loads documents. It is safe for concurrent use.
type Origin struct {
	settings settings
	validate Validators
}

// A Document is what an origin has for a key.
type Document struct {
	Body []byte
	TTL  time.Duration // in terms of getter.Item
}

// Validators keep what was loaded, so that the origin can be asked whether it
// has changed. They are safe for concurrent use.
type Validators interface {
	// Get returns what is kept for a URL.
	Get(url string) (Validator, bool)
	// Set keeps a document with what tells it from others.
	Set(url string, v Validator)
}

// A Validator is a document, and what the origin said to recognise it by.
type Validator struct {
	ETag, LastModified string
	Body               []byte
}

// Options are what a getter says about its origin. The zero value is usable.
type Options struct {
	// Own are the names of settings that are the getter's.
	Own []string
	// MaxBytes is the default of max_bytes.
	MaxBytes int
	// Validators are used if they are not nil.
	Validators Validators
}

// New reads the settings.
func New(config getter.Config, options Options) (*Origin, error) {
	s, err := readSettings(config, options)
	if err != nil {
		return nil, err
	}
	return &Origin{settings: s, validate: options.Validators}, nil
}

// Load loads the document of a key. Beside an error that is getter.ErrNotFound
// the document's TTL is that of the negative entry.
func (o *Origin) Load(ctx context.Context, key string) (Document, error) {
	request := getter.FetchRequest{
		URL:          o.settings.url.url(key),
		Header:       slices.Clip(o.settings.header),
		Timeout:      o.settings.timeout,
		MaxBodyBytes: o.settings.maxBytes,
	}
	kept, found := o.kept(request.URL)
	if found {
		request.Header = append(request.Header, kept.conditions()...)
	}
	response, err := getter.Fetch(ctx, request)
	if err != nil {
		return Document{}, err
	}
	switch {
	case response.StatusCode == 304 && found:
		o.keep(response, kept)
		return Document{Body: kept.Body, TTL: o.ttl(response, o.settings.ttl)}, nil
	case response.StatusCode == 200, response.StatusCode == 203, response.StatusCode == 204:
		o.keep(response, Validator{Body: response.Body})
		return Document{Body: response.Body, TTL: o.ttl(response, o.settings.ttl)}, nil
	}
	err = response.Err()
	if err == nil {
		return Document{}, fmt.Errorf("%w: fetch %s: unexpected status %d", getter.ErrPermanent, request.URL, response.StatusCode)
	}
	if errors.Is(err, getter.ErrNotFound) {
		return Document{TTL: o.ttl(response, o.settings.negativeTTL)}, err
	}
	return Document{}, err
}

// ttl is the life of an answer, in terms of getter.Item.
func (o *Origin) ttl(response getter.FetchResponse, unstated time.Duration) time.Duration {
	fresh, stated := lifetime(response.Header, time.Now())
	if !stated {
		return unstated
	}
	fresh = max(fresh, o.settings.minTTL)
	if o.settings.maxTTL > 0 {
		fresh = min(fresh, o.settings.maxTTL)
	}
	if fresh <= 0 {
		return getter.NoStore
	}
	return fresh
}

func (o *Origin) kept(url string) (Validator, bool) {
	if o.validate == nil {
		return Validator{}, false
	}
	return o.validate.Get(url)
}

// keep keeps a document by the validators of the response, or, if it has none,
// by its own.
func (o *Origin) keep(response getter.FetchResponse, v Validator) {
	if o.validate == nil {
		return
	}
	if _, never := directives(response.Header)["no-store"]; never {
		return
	}
	etag, modified := response.Header.Get("ETag"), response.Header.Get("Last-Modified")
	if etag != "" || modified != "" {
		v.ETag, v.LastModified = etag, modified
	}
	if v.ETag != "" || v.LastModified != "" {
		o.validate.Set(response.URL, v)
	}
}

// conditions are the fields that ask whether a document has changed.
func (v Validator) conditions() getter.Header {
	if v.ETag != "" {
		return getter.Header{{Name: "If-None-Match", Value: v.ETag}}
	}
	return getter.Header{{Name: "If-Modified-Since", Value: v.LastModified}}
}
