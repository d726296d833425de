// Command markdown is a getter that renders Markdown from an HTTP origin as
// HTML: CommonMark, with the tables, task lists, autolinks and strikethrough of
// GitHub. HTML within the text is left out, as are links that run scripts,
// unless the operator trusts who writes it.
//
// Its settings are those of package httporigin, where max_bytes is 1048576 by
// default, and:
//
//	output   page (default): a whole HTML document; fragment: what goes into a
//	         body
//	style    URL of a stylesheet for pages, default: a small one within
//	lang     language of pages, default en
//	html     omit (default) or keep: what becomes of HTML within the text
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func main() {}

func init() { getter.Register(open) }

func open(env *getter.Env) (getter.Func, error) {
	s, err := readSettings(env.Config)
	if err != nil {
		return nil, err
	}
	r := newRenderer(s)
	return func(ctx context.Context, key string) (getter.Item, error) {
		document, err := s.origin.Load(ctx, key)
		if errors.Is(err, getter.ErrNotFound) {
			return getter.Item{TTL: document.TTL}, err
		}
		if err != nil {
			return getter.Item{}, err
		}
		text, title, err := r.render(document.Body)
		if err != nil {
			return getter.Item{}, fmt.Errorf("%w: render %q: %w", getter.ErrPermanent, key, err)
		}
		if !s.fragment {
			text = s.page(text, title, key)
		}
		return getter.Item{Value: bytes.ToValidUTF8(text, []byte("\uFFFD")), TTL: document.TTL}, nil
	}, nil
}
