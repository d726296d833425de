package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // pictures in this format are decoded
	_ "image/jpeg"
	_ "image/png"

	_ "golang.org/x/image/webp"
)

// limits bound what is decoded. A picture of some bytes can claim to have any
// size, and a decoder would believe it.
type limits struct {
	pixels int
	bytes  int // of memory
}

// decode decodes a picture if its header says that it is within the limits.
func (l limits) decode(data []byte) (image.Image, error) {
	config, format, err := image.DecodeConfig(bytes.NewReader(data))
	switch {
	case errors.Is(err, image.ErrFormat):
		return nil, errors.New("it is not in JPEG, PNG, GIF or WebP")
	case err != nil:
		return nil, err
	}
	if config.Width < 1 || config.Height < 1 {
		return nil, fmt.Errorf("it has %d×%d pixels", config.Width, config.Height)
	}
	pixels := int64(config.Width) * int64(config.Height) // each has at most 32 bits
	if pixels > int64(l.pixels) {
		return nil, fmt.Errorf("it has %d×%d pixels, more than the %d of max_pixels", config.Width, config.Height, l.pixels)
	}
	if cost := pixels * quarterBytes(config.ColorModel, format, data) / 4; cost > int64(l.bytes) {
		return nil, fmt.Errorf("to decode its %d×%d pixels takes %d bytes, more than the %d of max_decode_bytes",
			config.Width, config.Height, cost, l.bytes)
	}
	picture, _, err := image.Decode(bytes.NewReader(data))
	return picture, err
}

// quarterBytes is how many quarters of a byte a pixel takes while a picture is
// decoded and scaled down for the first time, which makes a picture of a
// quarter of its pixels with four bytes each.
func quarterBytes(model color.Model, format string, data []byte) int64 {
	const shrunk = 4
	if format == "jpeg" {
		return shrunk + frameOf(data).quarterBytes()
	}
	decoded := int64(16)
	switch model {
	case color.GrayModel:
		decoded = 4
	case color.Gray16Model:
		decoded = 8
	case color.RGBA64Model, color.NRGBA64Model:
		decoded = 32
	}
	switch format {
	case "png":
		return shrunk + decoded*3/2 // the last pass of an interlaced one is a picture of half the size
	case "webp":
		return shrunk + decoded*2 // transparency, and what is undone of the compression, are pictures of their own
	default:
		return shrunk + decoded
	}
}
