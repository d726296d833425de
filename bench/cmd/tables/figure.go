package main

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// figure is a plot: a line for each implementation, and a panel for each value
// of a label.
type figure struct {
	files          []string
	name           string // of the file
	title          string
	panel          string // the label; "" is one panel
	x              string // the label
	unit           string
	xLog, yLog     bool
	xLabel, yLabel string
	leave          []string // implementations that are not drawn
	// least is how many points a line needs to be drawn.
	least int
	// fixed figures are the same in each run, or nearly so; one will do.
	fixed bool
}

// plots is the directory of the files, beside the document.
const plots = "plots"

// Sizes, in points.
const (
	panelWidth  vg.Length = 250
	panelHeight vg.Length = 200
	wideWidth   vg.Length = 420
	wideHeight  vg.Length = 290
	across                = 3
	margin      vg.Length = 12
	titleHeight vg.Length = 30
	legendRow   vg.Length = 16
	legendCell  vg.Length = 138
)

func (f figure) write(w io.Writer, p place) error {
	d, err := read(p.results, f.files)
	if err != nil {
		return err
	}
	if len(d.list) == 0 {
		_, err := io.WriteString(w, unmeasured)
		return err
	}
	if n, _ := d.rounds(); !f.fixed && n < leastRuns {
		return fmt.Errorf("%d runs are too few", n)
	}
	svg, err := f.draw(d)
	if err != nil {
		return err
	}
	dir := filepath.Join(p.dir, plots)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, f.name), svg, 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n![%s](%s/%s)\n\n", f.title, plots, f.name)
	return err
}

// draw draws the figure.
func (f figure) draw(d *data) ([]byte, error) {
	panels := [][]label{nil}
	if f.panel != "" {
		panels = d.groups([]string{f.panel})
	}
	impls := f.impls(d)
	columns := min(across, len(panels))
	rows := (len(panels) + columns - 1) / columns
	width, height := panelWidth, panelHeight
	if columns < across {
		width, height = wideWidth, wideHeight
	}
	total := vg.Length(columns)*width + 2*margin
	perRow := max(int((total-2*margin)/legendCell), 1)
	legend := vg.Length((len(impls)+perRow-1)/perRow) * legendRow
	canvas := vgsvg.NewWith(vgsvg.UseWH(total, vg.Length(rows)*height+titleHeight+legend+3*margin))
	page := draw.New(canvas)
	page.SetColor(color.White)
	page.Fill(page.Path())

	page = draw.Crop(page, margin, -margin, margin, -margin)
	page.FillText(style(font13, draw.XLeft, draw.YTop), vg.Point{X: page.Min.X, Y: page.Max.Y}, f.title)
	page.Max.Y -= titleHeight
	drawLegend(page, impls, perRow)
	page.Max.Y -= legend + margin

	grid := make([][]*plot.Plot, rows)
	for i := range grid {
		grid[i] = make([]*plot.Plot, columns)
	}
	for i, where := range panels {
		p, err := f.drawPanel(d.where(where...), words(where), impls)
		if err != nil {
			return nil, err
		}
		grid[i/columns][i%columns] = p
	}
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: margin, PadY: 2 * margin}
	for i, row := range plot.Align(grid, tiles, page) {
		for j, c := range row {
			if grid[i][j] != nil {
				grid[i][j].Draw(c)
			}
		}
	}
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return nil, err
	}
	// Readers without the font have one that is as wide.
	return bytes.ReplaceAll(svg.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

// impls are the implementations that are drawn, ours last, so that they are on
// top.
func (f figure) impls(d *data) []string {
	var others, mine []string
	for _, impl := range d.impls() {
		switch {
		case slices.Contains(f.leave, impl):
		case strings.HasPrefix(impl, ours):
			mine = append(mine, impl)
		default:
			if f.panel != "" || len(f.points(d.where(label{implKey, impl}))) >= f.least {
				others = append(others, impl)
			}
		}
	}
	return append(others, mine...)
}

func (f figure) points(d *data) plotter.XYs {
	var xys plotter.XYs
	for _, at := range d.groups([]string{f.x}) {
		runs := d.where(at...).runs(f.unit)
		x, err := strconv.ParseFloat(at[0].value, 64)
		if err == nil && len(runs) > 0 {
			xys = append(xys, plotter.XY{X: x, Y: median(runs)})
		}
	}
	return xys
}

func (f figure) drawPanel(d *data, title string, impls []string) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = title
	p.Title.TextStyle = style(font11, draw.XCenter, draw.YTop)
	p.Title.Padding = vg.Points(4)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font = sans(font10)
		axis.Tick.Label.Font = sans(font9)
		axis.Padding = 0
	}
	p.X.Label.Text, p.Y.Label.Text = f.xLabel, f.yLabel
	lines := plotter.NewGrid()
	faint := color.Gray{Y: 0xdd}
	lines.Horizontal.Color, lines.Vertical.Color = faint, faint
	p.Add(lines)
	var xs []float64
	for _, impl := range impls {
		points := f.points(d.where(label{implKey, impl}))
		if len(points) == 0 {
			continue
		}
		line, scatter, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", impl, err)
		}
		line.LineStyle, scatter.GlyphStyle = looks(impl)
		p.Add(line, scatter)
		for _, xy := range points {
			if !slices.Contains(xs, xy.X) {
				xs = append(xs, xy.X)
			}
		}
	}
	slices.Sort(xs)
	f.scale(p, xs)
	return p, nil
}

// scale sets up the axes. The ticks of x are where the points are.
func (f figure) scale(p *plot.Plot, xs []float64) {
	ticks := make(plot.ConstantTicks, len(xs))
	for i, x := range xs {
		ticks[i] = plot.Tick{Value: x, Label: short(x)}
	}
	p.X.Tick.Marker = ticks
	p.Y.Tick.Marker = percentTicks{}
	if f.xLog || f.panel == "keys" {
		p.X.Scale = plot.LogScale{}
	}
	if f.yLog {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, logTicks{}
		p.Y.Min, p.Y.Max = niceBelow(p.Y.Min), niceAbove(p.Y.Max)
		return
	}
	p.Y.Min = percentStep * math.Floor(p.Y.Min/percentStep)
	p.Y.Max = percentStep * math.Ceil(p.Y.Max/percentStep)
}

// drawLegend draws the names with their lines at the top of the page.
func drawLegend(page draw.Canvas, impls []string, perRow int) {
	text := style(font10, draw.XLeft, draw.YCenter)
	for i, impl := range impls {
		x := page.Min.X + vg.Length(i%perRow)*legendCell
		y := page.Max.Y - (vg.Length(i/perRow)+0.5)*legendRow
		line, glyph := looks(impl)
		page.StrokeLine2(line, x, y, x+vg.Points(24), y)
		page.DrawGlyph(glyph, vg.Point{X: x + vg.Points(12), Y: y})
		page.FillText(text, vg.Point{X: x + vg.Points(29), Y: y}, impl)
	}
}

const (
	font9  = 9
	font10 = 10
	font11 = 11
	font13 = 14
)

func sans(points float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(points)}
}

func style(points float64, x text.XAlignment, y text.YAlignment) text.Style {
	return text.Style{Color: color.Black, Font: sans(points), XAlign: x, YAlign: y, Handler: plot.DefaultTextHandler}
}

// short is a number with k or M.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + " M"
	case v >= 1e3:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + " k"
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

// percentStep is the distance of ticks of percentages.
const percentStep = 10

// percentTicks are at each step, with every other label if there are many.
type percentTicks struct{}

// Ticks implements [plot.Ticker].
func (percentTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for v := low; v <= high; v += percentStep {
		t := plot.Tick{Value: v}
		if high-low <= 6*percentStep || int(v/percentStep)%2 == 0 {
			t.Label = short(v)
		}
		ticks = append(ticks, t)
	}
	return ticks
}

// logTicks are at 1, 2 and 5 times the powers of ten.
type logTicks struct{}

// Ticks implements [plot.Ticker].
func (logTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	wide := high/low > 1e3
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for _, m := range []float64{1, 2, 5} {
			v := m * math.Pow(10, e)
			if v >= low*(1-1e-9) && v <= high*(1+1e-9) && (m == 1 || !wide) {
				ticks = append(ticks, plot.Tick{Value: v, Label: short(v)})
			}
		}
	}
	return ticks
}

func niceBelow(v float64) float64 {
	e := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{5, 2} {
		if m*e <= v {
			return m * e
		}
	}
	return e
}

func niceAbove(v float64) float64 {
	e := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*e >= v {
			return m * e
		}
	}
	return 10 * e
}
