// Command thumbnail is a getter for small pictures of large ones. A key is a
// size and the key of a picture at the origin: 320x240/cats/1.jpg, or 320x/… and
// x240/… where the other side follows from the picture. Pictures in JPEG, PNG,
// GIF (the first of several) and WebP are decoded, turned as their camera said,
// scaled down but never up, and encoded as JPEG, or as PNG if they are
// transparent.
//
// What a picture takes to decode is computed from its header, and a picture is
// refused that would take more than is allowed.
//
// Its settings are those of package httporigin, where max_bytes is 8388608 by
// default, and:
//
//	sizes              the sizes that may be asked for, separated by commas,
//	                   default: all up to 2048 on a side
//	mode               fit (default): the whole picture within the size; fill:
//	                   the size, and what of the middle of the picture fits
//	format             auto (default), jpeg (transparent is white) or png
//	quality            of a JPEG, 1 to 100, default 82
//	max_pixels         of a picture, default 24000000
//	max_decode_bytes   memory to decode a picture, default 41943040; instances
//	                   should have 24 MiB more
package main

import (
	"context"
	"errors"
	"fmt"

	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

func main() {}

func init() { getter.Register(open) }

// maxTurns is how many keys an instance works on: each may have a whole picture
// in memory.
const maxTurns = 2

func open(env *getter.Env) (getter.Func, error) {
	s, err := readSettings(env.Config)
	if err != nil {
		return nil, err
	}
	limitMemory(int64(s.limits.bytes))
	return (&thumbnailer{settings: s, turns: make(chan struct{}, maxTurns)}).get, nil
}

// A thumbnailer is the opened getter.
type thumbnailer struct {
	settings settings
	turns    chan struct{}
}

func (t *thumbnailer) get(ctx context.Context, key string) (getter.Item, error) {
	size, picture, err := t.settings.parseKey(key)
	if err != nil {
		return getter.Item{TTL: getter.NoStore}, err
	}
	select {
	case t.turns <- struct{}{}:
		defer func() { <-t.turns }()
	case <-ctx.Done():
		return getter.Item{}, ctx.Err()
	}
	document, err := t.settings.origin.Load(ctx, picture)
	if errors.Is(err, getter.ErrNotFound) {
		return getter.Item{TTL: document.TTL}, err
	}
	if err != nil {
		return getter.Item{}, err
	}
	value, err := t.settings.thumbnail(document.Body, size)
	if err != nil {
		return getter.Item{}, fmt.Errorf("%w: picture %q: %w", getter.ErrPermanent, picture, err)
	}
	return getter.Item{Value: value, TTL: document.TTL}, nil
}

// thumbnail makes a small picture of the bytes of a large one.
func (s settings) thumbnail(data []byte, size size) ([]byte, error) {
	large, err := s.limits.decode(data)
	if err != nil {
		return nil, err
	}
	turn := orientationOf(data)
	if turn.swaps() {
		size.width, size.height = size.height, size.width
	}
	part := large.Bounds()
	if s.fill {
		part = middle(part, size)
	}
	return s.encode(turn.apply(shrink(large, part, size)))
}
