package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gcnode/gcnode/plugins/internal/httporigin"
	getter "github.com/gcnode/gcnode/plugins/sdk/go"
)

// maxSide is the largest side of a thumbnail.
const maxSide = 2048

// The settings of the getter; see the package comment.
type settings struct {
	origin  *httporigin.Origin
	sizes   []size // empty: all
	fill    bool
	format  format
	quality int
	limits  limits
}

// readSettings returns all errors at once.
func readSettings(config getter.Config) (settings, error) {
	s := settings{}
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	number := func(name string, def, lowest, highest int) int {
		n, err := config.Int(name, def)
		if err == nil && (n < lowest || n > highest) {
			err = fmt.Errorf("setting %s: %d is not between %d and %d", name, n, lowest, highest)
		}
		note(err)
		return n
	}
	var err error

	s.origin, err = httporigin.New(config, httporigin.Options{
		Own:      []string{"sizes", "mode", "format", "quality", "max_pixels", "max_decode_bytes"},
		MaxBytes: 8 << 20,
	})
	note(err)
	s.sizes, err = parseSizes(config.String("sizes", ""))
	note(err)
	switch mode := config.String("mode", "fit"); mode {
	case "fit":
	case "fill":
		s.fill = true
	default:
		note(fmt.Errorf("setting mode: %q is neither fit nor fill", mode))
	}
	s.format, err = parseFormat(config.String("format", "auto"))
	note(err)
	s.quality = number("quality", 82, 1, 100)
	s.limits.pixels = number("max_pixels", 24_000_000, 1, 1<<30)
	s.limits.bytes = number("max_decode_bytes", 40<<20, 1, 1<<30)
	return s, errors.Join(errs...)
}

// A size is what a picture is scaled to. A side that is 0 follows from the
// other one.
type size struct{ width, height int }

// parseSize reads a size such as 320x240, 320x or x240.
func parseSize(text string) (size, bool) {
	width, height, found := strings.Cut(text, "x")
	s := size{side(width), side(height)}
	return s, found && s != size{} && s.width >= 0 && s.height >= 0
}

// side reads one side, 0 if it is missing and -1 if it is none.
func side(text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 || n > maxSide || text != strconv.FormatUint(n, 10) {
		return -1
	}
	return int(n)
}

func parseSizes(list string) ([]size, error) {
	if list == "" {
		return nil, nil
	}
	var sizes []size
	for text := range strings.SplitSeq(list, ",") {
		s, ok := parseSize(strings.TrimSpace(text))
		if !ok {
			return nil, fmt.Errorf("setting sizes: %q is no size such as 320x240, 320x or x240, with sides up to %d", text, maxSide)
		}
		sizes = append(sizes, s)
	}
	return sizes, nil
}

// parseKey takes a key apart. What cannot be one, or has another size than is
// allowed, is not found.
func (s settings) parseKey(key string) (wanted size, picture string, err error) {
	text, picture, found := strings.Cut(key, "/")
	wanted, ok := parseSize(text)
	switch {
	case !found || !ok:
		return size{}, "", fmt.Errorf("%w: %q is no size and picture such as 320x240/cat.jpg, with sides up to %d", getter.ErrNotFound, key, maxSide)
	case len(s.sizes) > 0 && !slices.Contains(s.sizes, wanted):
		return size{}, "", fmt.Errorf("%w: the size %s is none of those that there are", getter.ErrNotFound, text)
	default:
		return wanted, picture, nil
	}
}
