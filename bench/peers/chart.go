package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Colours of bars: ours, and theirs with and without a sync. They differ in lightness too.
var (
	ours    = color.RGBA{R: 0x0b, G: 0x6e, B: 0x4f, A: 0xff}
	synced  = color.RGBA{R: 0x3b, G: 0x5b, B: 0x92, A: 0xff}
	unsaved = color.RGBA{R: 0xb9, G: 0xc4, B: 0xd8, A: 0xff}
)

// chart draws the medians of one work as bars on a logarithmic scale: what is compared differs by hundreds.
func (f *figures) chart(path string, w work, all []*row) error {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	slices.Reverse(all) // a chart begins at its lower end
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.Title.Text = capital(w.What)
	if f.Busy > quietEnough {
		p.Title.Text += " (a busy machine: function only)"
	}
	p.Title.Padding = vg.Points(8)
	p.X.Label.Text = fmt.Sprintf("tasks/s, median of %d, logarithmic; dark: on stable storage when a put is answered",
		f.Rounds)
	low, high := math.Inf(1), 0.0
	names := make([]string, len(all))
	for i, r := range all {
		low, high = min(low, r.median()), max(high, r.median())
		names[i] = r.Name
	}
	// Bars begin at a power of ten below the smallest figure.
	floor := math.Pow(10, math.Floor(math.Log10(max(1, low/2))))
	grid := plotter.NewGrid()
	grid.Horizontal.Color = nil
	p.Add(grid, &bars{rows: all, floor: floor})
	p.NominalY(names...)
	p.Y.Padding = vg.Points(14) // other fonts are wider
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{}
	p.X.Min, p.X.Max = floor, high*4 // room for the figure beside the longest bar
	p.Y.Min, p.Y.Max = -0.6, float64(len(all))-0.4

	c := vgsvg.New(vg.Points(720), vg.Points(float64(70+22*len(all))))
	p.Draw(draw.New(c))
	var out bytes.Buffer
	if _, err := c.WriteTo(&out); err != nil {
		return err
	}
	// A viewer may lack the font by which it was laid out.
	text := bytes.ReplaceAll(out.Bytes(), []byte("font-family:Liberation Sans"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif"))
	return os.WriteFile(path, text, 0o644)
}

// bars draws a bar for each row, from the floor, with its figure beside it.
type bars struct {
	rows  []*row
	floor float64
}

func (b *bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := p.X.Tick.Label
	style.XAlign, style.YAlign = draw.XLeft, draw.YCenter
	for i, r := range b.rows {
		fill := unsaved
		switch {
		case r.Peer == "Glassq" && r.Synced:
			fill = ours
		case r.Peer == "Glassq":
			fill = color.RGBA{R: 0x8f, G: 0xcb, B: 0xb4, A: 0xff}
		case r.Synced:
			fill = synced
		}
		left, right := x(b.floor), x(max(b.floor, r.median()))
		low, high := y(float64(i)-0.36), y(float64(i)+0.36)
		c.FillPolygon(fill, []vg.Point{{X: left, Y: low}, {X: right, Y: low}, {X: right, Y: high}, {X: left, Y: high}})
		c.FillText(style, vg.Point{X: right + vg.Points(4), Y: y(float64(i))}, thousands(r.median()))
	}
}

// decades marks powers of ten.
type decades struct{}

func (decades) Ticks(low, high float64) (all []plot.Tick) {
	for v := math.Pow(10, math.Floor(math.Log10(low))); v <= high; v *= 10 {
		all = append(all, plot.Tick{Value: v, Label: thousands(v)})
	}
	return all
}
