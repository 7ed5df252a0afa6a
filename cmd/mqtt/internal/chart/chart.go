// Package chart draws line charts as SVG, for pages that need no network. Colours come
// from the page: text, lines and series have CSS classes, so that a page decides what is
// readable on its background.
package chart

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Point is where a line passes. A Y that is not a number interrupts the line.
type Point struct{ X, Y float64 }

// Series is one line. The page gives class "series1" and so on a colour.
type Series struct {
	Name   string
	Points []Point
}

// Chart is a drawing with two axes.
type Chart struct {
	Title  string // for readers that do not see it
	X, Y   Axis
	Series []Series
}

// Measures, in units of the drawing.
const (
	width, height            = 760.0, 300.0
	left, right, top, bottom = 70.0, 16.0, 30.0, 44.0
)

// SVG returns the drawing, or "" without a point to draw.
func (c *Chart) SVG() string {
	x, okX := c.X.scale(c.values(func(p Point) float64 { return p.X }), left, width-right)
	y, okY := c.Y.scale(c.values(func(p Point) float64 { return p.Y }), height-bottom, top)
	if !okX || !okY {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart" viewBox="0 0 %g %g" role="img" aria-label="%s">`+"\n", width, height, html.EscapeString(c.Title))
	c.grid(&b, x, y)
	c.legend(&b)
	for i, s := range c.Series {
		if d := path(s.Points, x, y); d != "" {
			fmt.Fprintf(&b, `<path class="series series%d" d="%s"/>`+"\n", i+1, d)
		}
	}
	b.WriteString("</svg>")
	return b.String()
}

func (c *Chart) values(of func(Point) float64) (all []float64) {
	for _, s := range c.Series {
		for _, p := range s.Points {
			if !math.IsNaN(p.Y) {
				all = append(all, of(p))
			}
		}
	}
	return all
}

// grid draws both axes with a line and a label for each tick.
func (c *Chart) grid(b *strings.Builder, x, y scale) {
	for _, t := range x.ticks {
		at := x.place(t.Value)
		fmt.Fprintf(b, `<path class="grid" d="M%.1f %gV%g"/>`, at, top, height-bottom)
		label(b, at, height-bottom+16, "middle", "tick", t.Label)
	}
	for _, t := range y.ticks {
		at := y.place(t.Value)
		fmt.Fprintf(b, `<path class="grid" d="M%g %.1fH%g"/>`, left, at, width-right)
		label(b, left-8, at+4, "end", "tick", t.Label)
	}
	label(b, (left+width-right)/2, height-8, "middle", "axis", c.X.Name)
	label(b, left-62, top-14, "start", "axis", c.Y.Name)
	b.WriteByte('\n')
}

// legend names the series in the upper right corner.
func (c *Chart) legend(b *strings.Builder) {
	at := width - right
	for i := len(c.Series) - 1; i >= 0; i-- {
		name := c.Series[i].Name
		at -= float64(len([]rune(name)))*6.6 + 4
		label(b, at, top-14, "start", "tick", name)
		at -= 24
		fmt.Fprintf(b, `<path class="series series%d" d="M%.1f %gh18"/>`, i+1, at, top-18)
		at -= 10
	}
	b.WriteByte('\n')
}

func label(b *strings.Builder, x, y float64, anchor, class, text string) {
	if text != "" {
		fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, class, x, y, anchor, html.EscapeString(text))
	}
}

// path returns the line through points.
func path(points []Point, x, y scale) string {
	var b strings.Builder
	pen := byte('M')
	for i, p := range points {
		if math.IsNaN(p.Y) || math.IsNaN(p.X) {
			pen = 'M'
			continue
		}
		fmt.Fprintf(&b, "%c%.1f %.1f", pen, x.place(p.X), y.place(p.Y))
		if pen == 'M' && (i+1 == len(points) || math.IsNaN(points[i+1].Y)) {
			b.WriteString("h0.1") // a point without neighbours is seen, too
		}
		pen = 'L'
	}
	return b.String()
}
