package main

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// The markers of a JPEG that matter here.
const (
	markerBaseline    = 0xc0
	markerExtended    = 0xc1
	markerProgressive = 0xc2
	markerScan        = 0xda
	markerApp1        = 0xe1
)

// segments are the parts before the picture itself, by their markers.
func segments(data []byte) iter.Seq2[byte, []byte] {
	return func(yield func(marker byte, body []byte) bool) {
		rest, found := bytes.CutPrefix(data, []byte{0xff, 0xd8})
		for found {
			for len(rest) >= 2 && rest[0] == 0xff && rest[1] == 0xff { // fill bytes
				rest = rest[1:]
			}
			if len(rest) < 4 || rest[0] != 0xff || rest[1] == markerScan {
				return
			}
			marker, size := rest[1], int(binary.BigEndian.Uint16(rest[2:]))
			if size < 2 || size+2 > len(rest) || !yield(marker, rest[4:2+size]) {
				return
			}
			rest = rest[2+size:]
		}
	}
}

// A frame is how the samples of a JPEG are laid out.
type frame struct {
	progressive bool
	components  int
	// quarters are how many quarters of a sample there are for each pixel, at
	// most.
	quarters int64
}

// frameOf reads the frame. One that it does not understand is the dearest.
func frameOf(data []byte) frame {
	for marker, body := range segments(data) {
		switch marker {
		case markerBaseline, markerExtended, markerProgressive:
			f := parseFrame(body)
			f.progressive = f.progressive || marker == markerProgressive
			return f
		}
	}
	return dearest()
}

// dearest is a frame with four components for each pixel.
func dearest() frame { return frame{progressive: true, components: 4, quarters: 16} }

// parseFrame reads how the samples of a frame are laid out.
func parseFrame(body []byte) frame {
	const head, each = 6, 3
	if len(body) < head || len(body) < head+each*int(body[5]) || body[5] == 0 || body[5] > 4 {
		return dearest()
	}
	f := frame{components: int(body[5])}
	var samples, horizontal, vertical int64
	for i := range f.components {
		h, v := int64(body[head+each*i+1]>>4), int64(body[head+each*i+1]&15)
		if h < 1 || h > 4 || v < 1 || v > 4 {
			return dearest()
		}
		samples += h * v
		horizontal, vertical = max(horizontal, h), max(vertical, v)
	}
	f.quarters = min((4*samples+horizontal*vertical-1)/(horizontal*vertical), 4*int64(f.components))
	return f
}

// quarterBytes is how many quarters of a byte a pixel takes to decode.
func (f frame) quarterBytes() int64 {
	cost := f.quarters
	if f.progressive {
		cost += 4 * f.quarters // coefficients of four bytes
	}
	if f.components == 4 {
		cost += 16 // the colours are converted to another picture
	}
	return cost
}
