package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gcnode/gcnode/plugins/internal/guesttest"
	"github.com/gcnode/gcnode/plugins/internal/origintest"
	getter "github.com/gcnode/gcnode/plugins/sdk/go"
	"github.com/gcnode/gcnode/plugins/sdk/go/sdktest"
)

// The colours of the corners of the pictures of the tests, from the upper left
// one to the right and down.
var corners = [4]color.RGBA{{200, 30, 30, 255}, {30, 200, 30, 255}, {30, 30, 200, 255}, {220, 220, 40, 255}}

// quarters is a picture with a colour in each quarter.
func quarters(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetRGBA(x, y, corners[2*(2*y/height)+2*x/width])
		}
	}
	return m
}

func asJPEG(t *testing.T, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}))
	return b.Bytes()
}

func asPNG(t *testing.T, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, m))
	return b.Bytes()
}

// asGIF is an animation whose first picture is m.
func asGIF(t *testing.T, m image.Image) []byte {
	t.Helper()
	palette := color.Palette{color.Black}
	for _, c := range corners {
		palette = append(palette, c)
	}
	first := image.NewPaletted(m.Bounds(), palette)
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			first.Set(x, y, m.At(x, y))
		}
	}
	second := image.NewPaletted(m.Bounds(), palette)
	var b bytes.Buffer
	require.NoError(t, gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{first, second}, Delay: []int{1, 1}}))
	return b.Bytes()
}

// held is a JPEG with an orientation.
func held(t *testing.T, m image.Image, o byte, order binary.AppendByteOrder) []byte {
	t.Helper()
	exif := []byte(exifIdentifier + "MM\x00*")
	if order == binary.LittleEndian {
		exif = []byte(exifIdentifier + "II*\x00")
	}
	exif = order.AppendUint32(exif, 8)
	exif = order.AppendUint16(exif, 2)
	for _, entry := range [][2]uint16{{0x0100, 7}, {tagOrientation, uint16(o)}} {
		exif = order.AppendUint16(exif, entry[0])
		exif = order.AppendUint16(exif, typeShort)
		exif = order.AppendUint32(exif, 1)
		exif = order.AppendUint16(exif, entry[1])
		exif = order.AppendUint16(exif, 0)
	}
	data := asJPEG(t, m)
	head := append([]byte{0xff, 0xd8, 0xff, markerApp1}, binary.BigEndian.AppendUint16(nil, uint16(len(exif)+2))...)
	return append(append(head, exif...), data[2:]...)
}

// claims is the head of a PNG that says how large it is, and nothing else.
func claims(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d")
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, width)
	chunk = binary.BigEndian.AppendUint32(chunk, height)
	chunk = append(chunk, 8, 6, 0, 0, 0)
	return binary.BigEndian.AppendUint32(append(b, chunk...), crc32.ChecksumIEEE(chunk))
}

// An album is an origin with pictures.
type album = origintest.Documents[[]byte]

// look decodes a thumbnail.
func look(t *testing.T, instance *sdktest.Instance, key string) (picture image.Image, format string) {
	t.Helper()
	answer := instance.Get(t.Context(), key)
	require.Equal(t, getter.StatusOK, answer.Status, "%s: %s", key, answer.Message)
	picture, format, err := image.Decode(bytes.NewReader(answer.Value))
	require.NoError(t, err, key)
	return picture, format
}

// assertCorners looks at the middle of each quarter.
func assertCorners(t *testing.T, m image.Image, want [4]int, key string) {
	t.Helper()
	b := m.Bounds()
	for i, corner := range want {
		x, y := b.Min.X+b.Dx()*(1+2*(i%2))/4, b.Min.Y+b.Dy()*(1+2*(i/2))/4
		r, g, bl, _ := m.At(x, y).RGBA()
		c := corners[corner]
		for _, d := range [][2]uint32{{r >> 8, uint32(c.R)}, {g >> 8, uint32(c.G)}, {bl >> 8, uint32(c.B)}} {
			assert.InDelta(t, d[1], d[0], 16, "%s: corner %d", key, i)
		}
	}
}

func TestSizes(t *testing.T) {
	a := album{"wide": asPNG(t, quarters(801, 400)), "tall": asJPEG(t, quarters(100, 1000)), "small": asGIF(t, quarters(40, 30)), "line": asPNG(t, quarters(3000, 2))}
	for mode, wanted := range map[string]map[string]image.Point{
		"fit": {
			"200x200/wide": {200, 100}, "200x/wide": {200, 100}, "x50/wide": {100, 50}, "200x20/wide": {40, 20},
			"2048x2048/wide": {801, 400}, "50x50/tall": {5, 50}, "x1/tall": {1, 1}, "400x300/small": {40, 30},
			"20x300/small": {20, 15}, "20x/line": {20, 1}, "801x400/wide": {801, 400}, "399x/wide": {399, 199},
		},
		"fill": {
			"200x200/wide": {200, 200}, "200x/wide": {200, 100}, "50x50/tall": {50, 50}, "30x30/small": {30, 30},
			"100x100/small": {30, 30}, "1x2048/wide": {1, 400}, "20x20/line": {2, 2},
		},
	} {
		instance := a.Start(t, open, getter.Config{"mode": mode})
		for key, want := range wanted {
			picture, _ := look(t, instance, key)
			assert.Equal(t, want, picture.Bounds().Size(), "%s %s", mode, key)
			if want.X >= 30 && want.Y >= 30 { // beyond what JPEG does to an edge
				assertCorners(t, picture, [4]int{0, 1, 2, 3}, key)
			}
		}
	}
}

func TestEveryPixelCounts(t *testing.T) {
	board := image.NewGray(image.Rect(0, 0, 640, 640))
	for i := range board.Pix {
		board.Pix[i] = byte(255 * ((i%640 + i/640) % 2))
	}
	picture, _ := look(t, album{"board": asPNG(t, board)}.Start(t, open, nil), "10x10/board")
	for y := range 10 {
		for x := range 10 {
			r, _, _, _ := picture.At(x, y).RGBA()
			assert.InDelta(t, 127, r>>8, 3)
		}
	}
}

func TestOrientations(t *testing.T) {
	a, m := album{}, quarters(80, 40)
	for o := byte(0); o <= 9; o++ {
		a[string('0'+rune(o))] = held(t, m, o, binary.BigEndian)
		a["little"+string('0'+rune(o))] = held(t, m, o, binary.LittleEndian)
	}
	instance := a.Start(t, open, nil)
	for name, want := range map[string][4]int{
		"0": {0, 1, 2, 3}, "1": {0, 1, 2, 3}, "2": {1, 0, 3, 2}, "3": {3, 2, 1, 0}, "4": {2, 3, 0, 1},
		"5": {0, 2, 1, 3}, "6": {2, 0, 3, 1}, "7": {3, 1, 2, 0}, "8": {1, 3, 0, 2}, "9": {0, 1, 2, 3},
	} {
		for _, name := range []string{name, "little" + name} {
			size := image.Pt(40, 20)
			if o := name[len(name)-1]; o >= '5' && o <= '8' {
				size = image.Pt(20, 40)
			}
			picture, _ := look(t, instance, "40x40/"+name)
			require.Equal(t, size, picture.Bounds().Size(), name)
			assertCorners(t, picture, want, name)
		}
	}
}

func TestFormats(t *testing.T) {
	glass := quarters(40, 40)
	for x := range 20 {
		glass.SetRGBA(x, 5, color.RGBA{})
	}
	clear(glass.Pix[:40*4*10])
	a := album{"glass": asPNG(t, glass), "wall": asPNG(t, quarters(40, 40))}
	for config, want := range map[string][2]string{"auto": {"png", "jpeg"}, "png": {"png", "png"}, "jpeg": {"jpeg", "jpeg"}} {
		instance := a.Start(t, open, getter.Config{"format": config})
		for i, key := range []string{"20x20/glass", "20x20/wall"} {
			picture, format := look(t, instance, key)
			assert.Equal(t, want[i], format, key)
			if r, g, b, alpha := picture.At(0, 0).RGBA(); i == 0 && format == "jpeg" {
				assert.Greater(t, min(r, g, b, alpha), uint32(0xf000), "white")
			}
		}
	}
	low, high := a.Start(t, open, getter.Config{"quality": "10"}), a.Start(t, open, getter.Config{"quality": "100"})
	assert.Less(t, len(low.Get(t.Context(), "40x/wall").Value), len(high.Get(t.Context(), "40x/wall").Value))
}

func TestKeysAndErrors(t *testing.T) {
	picture := asJPEG(t, quarters(40, 40))
	a := album{"p": picture, "text": []byte("a text"), "cut": picture[:len(picture)/2], "overflow": claims(1<<31-1, 1<<31-1), "empty": nil, "a/b": picture}
	instance := a.Start(t, open, getter.Config{"sizes": "20x20, x10", "max_ttl": "1m"})
	for key, want := range map[string]getter.Status{
		"20x20/p": getter.StatusOK, "x10/p": getter.StatusOK, "20x20/a/b": getter.StatusOK,
		"10x10/p": getter.StatusNotFound, "20x20": getter.StatusNotFound, "": getter.StatusNotFound, "x/p": getter.StatusNotFound,
		"0x20/p": getter.StatusNotFound, "020x20/p": getter.StatusNotFound, "-20x20/p": getter.StatusNotFound, "20×20/p": getter.StatusNotFound,
		"20x20/missing": getter.StatusNotFound,
		"20x20/text":    getter.StatusPermanent, "20x20/cut": getter.StatusPermanent, "20x20/empty": getter.StatusPermanent,
		"20x20/overflow": getter.StatusPermanent,
	} {
		answer := instance.Get(t.Context(), key)
		assert.Equal(t, want, answer.Status, "%s: %s", key, answer.Message)
	}
	assert.Equal(t, "1m0s", instance.Get(t.Context(), "x10/p").TTL.String())
	assert.Equal(t, getter.NoStore, instance.Get(t.Context(), "9x9/p").TTL, "keys that cannot be are not remembered")
	assert.Len(t, instance.Fetched(), 9, "nothing is fetched for a size that there is not")
}

func TestWrongSettings(t *testing.T) {
	_, err := sdktest.Start(open, sdktest.Options{Config: getter.Config{
		"sizes": "20x20,9999x9999", "mode": "stretch", "format": "bmp", "quality": "0", "max_pixels": "many", "colour": "red",
	}})
	for _, want := range []string{
		"setting url", "setting sizes", "setting mode", "setting format", "setting quality", "setting max_pixels", `unknown setting "colour"`,
	} {
		require.ErrorContains(t, err, want)
	}
}

// progressive makes a JPEG claim to be a progressive one.
func progressive(data []byte) []byte {
	return bytes.Replace(data, []byte{0xff, markerBaseline}, []byte{0xff, markerProgressive}, 1)
}

func bombs(t *testing.T) album {
	t.Helper()
	large := asJPEG(t, image.NewGray(image.Rect(0, 0, 5000, 4000)))
	return album{
		"png":         claims(50_000, 50_000),
		"memory":      claims(4_000, 4_000),
		"progressive": progressive(large),
		"gif":         []byte("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02\x02D\x01\x00;"),
		"webp":        []byte("RIFF\x24\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\xff\x3f\x00\xff\x3f\x00VP8L\x05\x00\x00\x00\x2f\xff\xff\xff\x0f\x00"),
	}
}

func TestInTheSandbox(t *testing.T) {
	wasm, err := guesttest.Build(t.Context(), ".")
	require.NoError(t, err)
	a := bombs(t)
	config := a.Serve(t, nil)
	a["good"] = asJPEG(t, quarters(3000, 2000))
	const nodeDefault = 1024 // pages, 64 MiB
	module, err := guesttest.Compile(t.Context(), wasm, guesttest.Options{Config: config, Transport: http.DefaultTransport, MemoryPages: nodeDefault})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, module.Close(t.Context())) })
	assert.Equal(t, []string{"fetch_start", "input_read", "log", "respond"}, module.Imports())
	instance, err := module.Instantiate(t.Context())
	require.NoError(t, err)

	before := instance.MemoryBytes()
	for name := range bombs(t) {
		answer, err := instance.Get(t.Context(), "100x100/"+name)
		require.NoError(t, err, name)
		assert.EqualValues(t, 3, answer.Status, name)
		assert.Contains(t, answer.Bytes, "more than the", name)
	}
	assert.LessOrEqual(t, instance.MemoryBytes()-before, uint32(4<<20), "nothing was decoded")

	native := a.Start(t, open, nil).Get(t.Context(), "300x300/good")
	for range 3 {
		answer, err := instance.Get(t.Context(), "300x300/good")
		require.NoError(t, err)
		require.EqualValues(t, 0, answer.Status, answer.Bytes)
		assert.EqualValues(t, 600_000, answer.TTLMillis)
		assert.True(t, string(native.Value) == answer.Bytes, "the same as natively")
	}
	assert.Less(t, instance.MemoryBytes(), uint32(48<<20))
}
