package main

import (
	"bytes"
	"encoding/binary"
	"image"
)

// An orientation is how a camera was held, in the numbers of Exif: 1 is upright,
// 3 upside down; 6 has to be turned to the right to be upright, 8 to the left;
// 2, 4, 5 and 7 are the mirror images of 1, 3, 6 and 8.
type orientation int

const (
	upright        orientation = 1
	exifIdentifier             = "Exif\x00\x00"
	tagOrientation             = 0x0112
	typeShort                  = 3
)

// orientationOf reads the orientation of a JPEG; everything else is upright.
func orientationOf(data []byte) orientation {
	for marker, body := range segments(data) {
		if exif, found := bytes.CutPrefix(body, []byte(exifIdentifier)); marker == markerApp1 && found {
			return exifOrientation(exif)
		}
	}
	return upright
}

// exifOrientation looks for the tag in the first directory.
func exifOrientation(exif []byte) orientation {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(exif, []byte("II*\x00")):
		order = binary.LittleEndian
	case bytes.HasPrefix(exif, []byte("MM\x00*")):
		order = binary.BigEndian
	default:
		return upright
	}
	if len(exif) < 8 || uint64(order.Uint32(exif[4:]))+2 > uint64(len(exif)) {
		return upright
	}
	directory := exif[order.Uint32(exif[4:]):]
	count, entries := int(order.Uint16(directory)), directory[2:]
	const entryBytes = 12
	for ; count > 0 && len(entries) >= entryBytes; count, entries = count-1, entries[entryBytes:] {
		if order.Uint16(entries) != tagOrientation || order.Uint16(entries[2:]) != typeShort {
			continue
		}
		if o := orientation(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
			return o
		}
	}
	return upright
}

// swaps reports whether width and height change places.
func (o orientation) swaps() bool { return o >= 5 }

// apply turns a picture upright.
func (o orientation) apply(src *image.RGBA) *image.RGBA {
	if o == upright {
		return src
	}
	width, height := src.Rect.Dx(), src.Rect.Dy()
	bounds := image.Rect(0, 0, width, height)
	if o.swaps() {
		bounds = image.Rect(0, 0, height, width)
	}
	dst := image.NewRGBA(bounds)
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			fromX, fromY := o.from(x, y, width, height)
			dst.SetRGBA(x, y, src.RGBAAt(fromX, fromY))
		}
	}
	return dst
}

// from is where the pixel at x and y comes from, in a picture of a size.
func (o orientation) from(x, y, width, height int) (fromX, fromY int) {
	switch o {
	case 2:
		return width - 1 - x, y
	case 3:
		return width - 1 - x, height - 1 - y
	case 4:
		return x, height - 1 - y
	case 5:
		return y, x
	case 6:
		return y, height - 1 - x
	case 7:
		return width - 1 - y, height - 1 - x
	case 8:
		return width - 1 - y, x
	default:
		return x, y
	}
}
