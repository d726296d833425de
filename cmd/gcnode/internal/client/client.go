// Package client talks to a running node over its application interface.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gcnode/gcnode/cmd/gcnode/internal/api"
	gcnode "github.com/gcnode/gcnode/core"
)

// maxTextBytes bounds answers that are not values.
const maxTextBytes = 16 << 20

// Client is the application side of one node. It may be used from any
// goroutine.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// Options are those of [New]. The zero value is ready for use.
type Options struct {
	// Token shows who asks; empty: nobody in particular.
	Token string
	// TLS is for an address with https; nil is the default of Go.
	TLS *tls.Config
}

// New makes a client of the node at address, a URL such as
// http://127.0.0.1:8080. Close frees its connections.
func New(address string, opts Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q must be the URL of a node, such as http://127.0.0.1:8080", address)
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: 128,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     opts.TLS,
	}
	return &Client{base: strings.TrimSuffix(address, "/"), token: opts.Token, http: &http.Client{Transport: transport}}, nil
}

// Close frees the connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Answer is a value and what was said about it. All but the value is also
// set beside an error of the node.
type Answer struct {
	Value        []byte
	Source       string // hit, hot, owner, loaded; empty when it is not known
	Owner        string // id of the key's owner
	Node         string // id of the node that answered
	CacheControl string
	ContentType  string
}

// Error is what a node answered instead of a value.
type Error struct {
	Status int // of HTTP
	api.ErrorDetail
}

// Error implements the error interface.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the node answered with status %d", e.Status)
	}
	return e.Message
}

// ErrNotGcnode is matched by the errors of requests that something else than
// a node answered.
var ErrNotGcnode = errors.New("not the API of a gcnode")

// NotFound reports whether err says that the key has no value.
func NotFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == "not_found"
}

// ValueURL is the address of a value.
func (c *Client) ValueURL(group, key string) string {
	return c.groupURL(group) + "/value?key=" + url.QueryEscape(key)
}

// groupURL is what the addresses of a group begin with.
func (c *Client) groupURL(group string) string {
	name := url.PathEscape(group)
	if name == "." || name == ".." {
		name = strings.ReplaceAll(name, ".", "%2E") // or it is taken for a relative path
	}
	return c.base + "/v1/groups/" + name
}

// Get asks for a value.
func (c *Client) Get(ctx context.Context, group, key string) (Answer, error) {
	address, err := c.valueAt(group, key)
	if err != nil {
		return Answer{}, err
	}
	resp, err := c.do(ctx, http.MethodGet, address, content{})
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer := Answer{
		Source:       resp.Header.Get(api.HeaderSource),
		Owner:        resp.Header.Get(api.HeaderOwner),
		Node:         resp.Header.Get(api.HeaderNode),
		CacheControl: resp.Header.Get("Cache-Control"),
		ContentType:  resp.Header.Get("Content-Type"),
	}
	if resp.StatusCode != http.StatusOK {
		return answer, readError(resp)
	}
	answer.Value, err = readBody(resp, gcnode.MaxValueBytes)
	return answer, err
}

// Set stores a value at the owner of its key and takes older ones out of every
// node. Its life is a number of whole seconds, [gcnode.Forever],
// [gcnode.NoStore], or 0 for the one that the group gives.
func (c *Client) Set(ctx context.Context, group, key string, value []byte, life gcnode.Lifetime) error {
	if err := checkLength("the value", len(value), gcnode.MaxValueBytes); err != nil {
		return err
	}
	address, err := c.valueAt(group, key)
	if err != nil {
		return err
	}
	return c.change(ctx, http.MethodPut, address, content{body: value, kind: "application/octet-stream", life: life})
}

// Remove takes keys, at most as many as one request may have, out of every
// node.
func (c *Client) Remove(ctx context.Context, group string, keys ...string) error {
	if len(keys) == 1 {
		address, err := c.valueAt(group, keys[0])
		if err != nil {
			return err
		}
		return c.change(ctx, http.MethodDelete, address, content{})
	}
	list, err := listOf(group, keys)
	if err != nil {
		return err
	}
	return c.change(ctx, http.MethodPost, c.groupURL(group)+"/removals", list)
}

// Clear takes all values of a group out of every node.
func (c *Client) Clear(ctx context.Context, group string) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	return c.change(ctx, http.MethodDelete, c.groupURL(group)+"/values?all=true", content{})
}

// Stats asks for the node's figures, in JSON.
func (c *Client) Stats(ctx context.Context) ([]byte, error) {
	resp, err := c.do(ctx, http.MethodGet, c.base+api.StatsPath, content{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, readError(resp)
	}
	return readBody(resp, maxTextBytes)
}

// content is what a request sends along.
type content struct {
	body []byte
	kind string // its media type; empty: there is no body
	life gcnode.Lifetime
}

// valueAt is the address of a value. What no node accepts is refused here: beyond
// some length nobody reads a request far enough to say why.
func (c *Client) valueAt(group, key string) (string, error) {
	if err := checkGroup(group); err != nil {
		return "", err
	}
	if err := checkLength("the key", len(key), gcnode.MaxKeyBytes); err != nil {
		return "", err
	}
	return c.ValueURL(group, key), nil
}

// checkGroup refuses as a node would.
func checkGroup(name string) error {
	return checkLength("the name of the group", len(name), gcnode.MaxIDBytes)
}

// checkLength refuses as a node would.
func checkLength(what string, length, maxBytes int) error {
	if length <= maxBytes {
		return nil
	}
	return &Error{Status: http.StatusRequestEntityTooLarge, ErrorDetail: api.ErrorDetail{
		Kind: "too_large", Message: fmt.Sprintf("%s has %d bytes; at most %d are allowed", what, length, maxBytes),
	}}
}

// change sends a request whose answer has no content.
func (c *Client) change(ctx context.Context, method, address string, with content) error {
	resp, err := c.do(ctx, method, address, with)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusNoContent {
		return readError(resp)
	}
	return nil
}

// do sends a request and looks whether a node answered it.
func (c *Client) do(ctx context.Context, method, address string, with content) (*http.Response, error) {
	var body io.Reader = http.NoBody
	if with.kind != "" {
		body = bytes.NewReader(with.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fmt.Errorf("request to %s: %w", c.base, err)
	}
	if with.kind != "" {
		req.Header.Set("Content-Type", with.kind)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if life := api.CacheControl(with.life); life != "" {
		req.Header.Set("Cache-Control", life)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		// The URL in the error may hold a key of 192 KiB.
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return nil, fmt.Errorf("cannot reach the node at %s: %w", c.base, err)
	}
	if len(resp.Header.Values(api.HeaderNode)) == 0 {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s is %w: it answered with status %d and without the header %s; "+
			"use the address that the node has as listen.api, http://127.0.0.1:8080 by default",
			c.base, ErrNotGcnode, resp.StatusCode, api.HeaderNode)
	}
	return resp, nil
}

// readBody reads an answer of bounded size.
func readBody(resp *http.Response, maxBytes int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off after %d bytes: %w", len(body), err)
	}
	if int64(len(body)) > maxBytes {
		return nil, fmt.Errorf("the answer has more than %d bytes", maxBytes)
	}
	return body, nil
}

// readError reads the answer of a node that refused.
func readError(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode}
	body, err := readBody(resp, maxTextBytes)
	if err != nil {
		return err
	}
	var parsed api.ErrorBody
	if json.Unmarshal(body, &parsed) == nil {
		e.ErrorDetail = parsed.Error
	}
	return e
}
