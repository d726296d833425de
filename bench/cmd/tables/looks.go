package main

import (
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// looks is how an implementation is drawn, the same in all figures: ours thick
// and in warm colours, the others in cool ones, what is no cache in grey. The
// colours are told apart by colour-blind readers, too, and the marks help.
func looks(impl string) (draw.LineStyle, draw.GlyphStyle) {
	const thin, thick = 1.2, 2.4
	dots, dashes := []vg.Length{vg.Points(1.5), vg.Points(2)}, []vg.Length{vg.Points(5), vg.Points(3)}
	style := func(c color.RGBA, width float64, dash []vg.Length, mark draw.GlyphDrawer) (draw.LineStyle, draw.GlyphStyle) {
		return draw.LineStyle{Color: c, Width: vg.Points(width), Dashes: dash},
			draw.GlyphStyle{Color: c, Radius: vg.Points(2.2), Shape: mark}
	}
	switch impl {
	case "gcnode-group":
		return style(rgb(0xd55e00), thick, nil, draw.CircleGlyph{})
	case "gcnode-cache":
		return style(rgb(0xcc2277), thick, nil, draw.BoxGlyph{})
	case "gcnode-store":
		return style(rgb(0xe69f00), thick, nil, draw.PyramidGlyph{})
	case compat:
		return style(rgb(0x882255), thick, dashes, draw.CrossGlyph{})
	case stream:
		return style(rgb(0xd55e00), thick, nil, draw.CircleGlyph{})
	case signed:
		return style(rgb(0xe69f00), thick, nil, draw.PyramidGlyph{})
	case plain:
		return style(rgb(0xcc2277), thick, nil, draw.BoxGlyph{})
	case overNATS:
		return style(rgb(0x117733), thick, nil, draw.TriangleGlyph{})
	case otter:
		return style(rgb(0x0072b2), thin, nil, draw.CircleGlyph{})
	case "theine":
		return style(rgb(0x56b4e9), thin, nil, draw.BoxGlyph{})
	case "ristretto":
		return style(rgb(0x009e73), thin, nil, draw.PyramidGlyph{})
	case "golang-lru":
		return style(rgb(0x8a6fc9), thin, nil, draw.CrossGlyph{})
	case freecache:
		return style(rgb(0x117733), thin, nil, draw.PlusGlyph{})
	case "bigcache":
		return style(rgb(0x44aa99), thin, dashes, draw.SquareGlyph{})
	case groupcache:
		return style(rgb(0x000000), thin, nil, draw.TriangleGlyph{})
	case "grpc":
		return style(rgb(0x0072b2), thin, nil, draw.CircleGlyph{})
	case plainNATS:
		return style(rgb(0x009e73), thin, nil, draw.PyramidGlyph{})
	case memcached:
		return style(rgb(0x56b4e9), thin, nil, draw.BoxGlyph{})
	case redis:
		return style(rgb(0x8a6fc9), thin, nil, draw.CrossGlyph{})
	case netHTTP:
		return style(rgb(0x777777), thin, dashes, draw.SquareGlyph{})
	case rawTCP:
		return style(rgb(0x999999), thin, dots, draw.RingGlyph{})
	case "map":
		return style(rgb(0x999999), thin, dots, draw.RingGlyph{})
	case "map+RWMutex":
		return style(rgb(0x777777), thin, dashes, draw.SquareGlyph{})
	case "sync.Map":
		return style(rgb(0x777777), thin, nil, draw.TriangleGlyph{})
	case optimum:
		return style(rgb(0x000000), thin, dots, draw.RingGlyph{})
	case lru:
		return style(rgb(0x777777), thin, dashes, draw.SquareGlyph{})
	case "S3-FIFO":
		return style(rgb(0x882255), thin, dashes, draw.TriangleGlyph{})
	default:
		return style(rgb(0xbbbbbb), thin, nil, draw.RingGlyph{})
	}
}

func rgb(v uint32) color.RGBA {
	return color.RGBA{R: uint8(v >> 16), G: uint8(v >> 8), B: uint8(v), A: 0xff}
}
