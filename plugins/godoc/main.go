// Command godoc is a getter that answers Go documentation. A key is an import
// path, or an import path and a symbol: net/http, net/http.Client,
// net/http.Client.Do. The source files come from an origin that serves a tree
// of packages with directory listings, such as GOROOT/src behind an
// http.FileServer; they are chosen by build constraints, parsed and rendered
// inside of the sandbox.
//
// Settings:
//
//	origin        URL of the tree, required
//	format        html (default) or text
//	goos, goarch  platform the files are chosen for, default linux and amd64
//	cgo           true or false (default): choose as with or without cgo
//	tags          further build tags, separated by commas
//	ttl           life of an answer, default 1h; 0s: do not keep it
//	negative_ttl  life of a not found, default 30s; 0s: do not keep it
package main

import (
	"context"
	"errors"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func main() {}

func init() { getter.Register(open) }

// open makes the getter from its settings.
func open(env *getter.Env) (getter.Func, error) {
	s, err := readSettings(env.Config)
	if err != nil {
		return nil, err
	}
	limitMemory()
	g := &godoc{settings: s, loader: loader{origin: s.origin, build: s.buildContext()}, turns: make(chan struct{}, maxTurns)}
	return g.get, nil
}

// maxTurns is how many keys an instance works on: the source of each package is
// in memory.
const maxTurns = 2

// A godoc is the opened getter.
type godoc struct {
	settings settings
	loader   loader
	turns    chan struct{}
}

func (g *godoc) get(ctx context.Context, key string) (getter.Item, error) {
	select {
	case g.turns <- struct{}{}:
		defer func() { <-g.turns }()
	case <-ctx.Done():
		return getter.Item{}, ctx.Err()
	}
	value, err := g.answer(ctx, key)
	if errors.Is(err, getter.ErrNotFound) {
		return getter.Item{TTL: g.settings.negativeTTL}, err
	}
	return getter.Item{Value: value, TTL: g.settings.ttl}, err
}

func (g *godoc) answer(ctx context.Context, key string) ([]byte, error) {
	targets, err := parseKey(key)
	if err != nil {
		return nil, err
	}
	t, files, err := g.loader.origin.locate(ctx, targets)
	if err != nil {
		return nil, err
	}
	pkg, err := g.loader.load(ctx, t.importPath, files)
	if err != nil {
		return nil, err
	}
	content, err := pkg.lookUp(t.symbol)
	if err != nil {
		return nil, err
	}
	if g.settings.text {
		return renderText(pkg, content)
	}
	return renderHTML(pkg, t.symbol, content)
}
