package main

import (
	"image"

	"golang.org/x/image/draw"
)

// shrink scales a part of a picture down, so that it is within a size. What is
// smaller stays as it is.
//
// It is halved until it is less than twice as large: a pixel is the mean of four
// then, so that nothing of the picture is skipped, and no step takes memory for
// more than its result.
func shrink(src image.Image, from image.Rectangle, to size) *image.RGBA {
	width, height := to.within(from.Dx(), from.Dy())
	for from.Dx() >= 2*width && from.Dy() >= 2*height && (from.Dx() > 2*width || from.Dy() > 2*height) {
		src = resample(src, from, max(from.Dx()/2, width), max(from.Dy()/2, height))
		from = src.Bounds()
	}
	return resample(src, from, width, height)
}

func resample(src image.Image, from image.Rectangle, width, height int) *image.RGBA {
	dst := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.ApproxBiLinear.Scale(dst, dst.Rect, src, from, draw.Src, nil)
	return dst
}

// middle is the part in the middle of a picture that has the proportions of a
// size, if that has both sides.
func middle(r image.Rectangle, to size) image.Rectangle {
	if to.width == 0 || to.height == 0 {
		return r
	}
	width := min(r.Dx(), max(r.Dy()*to.width/to.height, 1))
	height := min(r.Dy(), max(r.Dx()*to.height/to.width, 1))
	at := image.Pt(r.Min.X+(r.Dx()-width)/2, r.Min.Y+(r.Dy()-height)/2)
	return image.Rectangle{Min: at, Max: at.Add(image.Pt(width, height))}
}

// within is the size of a picture that is scaled down, if need be, to fit.
func (s size) within(width, height int) (w, h int) {
	w, h = width, height
	if s.width > 0 && w > s.width {
		w, h = s.width, max((height*s.width+width/2)/width, 1)
	}
	if s.height > 0 && h > s.height {
		w, h = max((width*s.height+height/2)/height, 1), s.height
	}
	return min(w, width), min(h, height)
}
