package main

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/draw"
)

// A format is what thumbnails are encoded as.
type format string

const (
	formatAuto format = "auto"
	formatJPEG format = "jpeg"
	formatPNG  format = "png"
)

func parseFormat(text string) (format, error) {
	switch f := format(text); f {
	case formatAuto, formatJPEG, formatPNG:
		return f, nil
	default:
		return "", fmt.Errorf("setting format: %q is none of auto, jpeg and png", text)
	}
}

func (s settings) encode(picture *image.RGBA) ([]byte, error) {
	opaque := picture.Opaque()
	var b bytes.Buffer
	if s.format == formatPNG || s.format == formatAuto && !opaque {
		err := png.Encode(&b, picture)
		return b.Bytes(), err
	}
	if !opaque {
		onWhite := image.NewRGBA(picture.Rect)
		draw.Draw(onWhite, onWhite.Rect, image.White, image.Point{}, draw.Src)
		draw.Draw(onWhite, onWhite.Rect, picture, image.Point{}, draw.Over)
		picture = onWhite
	}
	err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: s.quality})
	return b.Bytes(), err
}
