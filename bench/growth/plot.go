package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// Measures of the drawing, in pixels.
const (
	panelWidth, panelHeight = 300, 168
	panelLeft, panelTop     = 34, 24 // from the corner of a panel to its axes
	axisWidth, axisHeight   = 252, 118
	columns                 = 3
	drawTop                 = 54
)

// The axes, as powers of ten.
const (
	mostN            = 6
	leastN           = 2
	leastCost        = 1 // of nanoseconds and bytes
	mostCost         = 6
	widthOfDecade    = axisWidth / (mostN - leastN)
	heightOfDecade   = float64(axisHeight) / (mostCost - leastCost)
	firstGuideAt     = 1.5 // where lines of linear growth begin on the left
	guides           = 3
	guidesApart      = 1.5
	endOfGuideInside = mostCost
)

// drawStyle is readable on a light and on a dark page; the background is the page's.
const drawStyle = `<style>
text{fill:#57606a} .title{fill:#24292f;font-weight:bold} .axis{stroke:#8c959f;fill:none} .grid{stroke:#8c959f;opacity:.25}
.linear{stroke:#8c959f;stroke-dasharray:2 3;fill:none} .time{stroke:#2f81f7;fill:none;stroke-width:1.5}
.memory{stroke:#d4762c;fill:none;stroke-width:1.5}
@media (prefers-color-scheme:dark){text{fill:#9da7b3} .title{fill:#e6edf3}}
</style>
`

// plot draws a panel for each kind, first those of the client.
func (r *results) plot() []byte {
	var drawn []kind
	for _, k := range kinds {
		if len(r.rows(k.name)) > 0 {
			drawn = append(drawn, k)
		}
	}
	lines := (len(drawn) + columns - 1) / columns
	width, height := columns*panelWidth+8, drawTop+lines*panelHeight
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="10">`+"\n",
		width, height, width, height)
	b.WriteString(drawStyle)
	label(&b, 4, 16, "start", `class="title" font-size="14"`, "What one more costs, by how many there are")
	label(&b, 4, 32, "start", "", "blue: processor time in nanoseconds · orange: memory in bytes · both axes are logarithmic · a line that rises like the dotted ones would grow with the number")
	label(&b, 4, 46, "start", "", r.Machine+" · "+r.Time.Format(time.DateOnly))
	for i, k := range drawn {
		r.panel(&b, &k, i%columns*panelWidth, drawTop+i/columns*panelHeight)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (r *results) panel(b *bytes.Buffer, k *kind, x, y int) {
	side, _, _ := strings.Cut(k.name, "/")
	label(b, x+4, y+14, "start", `class="title" font-size="9"`, side+": "+k.title)
	left, bottom := float64(x+panelLeft), float64(y+panelTop+axisHeight)
	for i := range mostN - leastN + 1 {
		at := left + float64(i*widthOfDecade)
		fmt.Fprintf(b, `<path class="grid" d="M%.1f %.1fv-%d"/>`, at, bottom, axisHeight)
		if i%2 == 0 {
			label(b, int(at), int(bottom)+13, "middle", "", power(leastN+i))
		}
	}
	for i := range mostCost - leastCost + 1 {
		at := bottom - float64(i)*heightOfDecade
		fmt.Fprintf(b, `<path class="grid" d="M%.1f %.1fh%d"/>`, left, at, axisWidth)
		label(b, int(left)-5, int(at)+4, "end", "", power(leastCost+i))
	}
	for i := range guides {
		from := firstGuideAt + float64(i)*guidesApart
		decades := min(float64(endOfGuideInside)-from, mostN-leastN)
		fmt.Fprintf(b, `<path class="linear" d="M%.1f %.1fl%.1f %.1f"/>`,
			left, bottom-(from-leastCost)*heightOfDecade, decades*widthOfDecade, -decades*heightOfDecade)
	}
	fmt.Fprintf(b, `<path class="axis" d="M%.1f %.1fv%dh%d"/>`+"\n", left, bottom-axisHeight, axisHeight, axisWidth)
	for _, w := range r.rows(k.name) {
		class := "time"
		if w.bytes {
			class = "memory"
		}
		pen := "M"
		fmt.Fprintf(b, `<path class="%s" d="`, class)
		for _, f := range w.figures {
			fmt.Fprintf(b, "%s%.1f %.1f", pen, left+(math.Log10(float64(f.N))-leastN)*widthOfDecade, bottom-height(f.Value))
			pen = "L"
		}
		fmt.Fprintf(b, `"><title>%s</title></path>`+"\n", html.EscapeString(w.what))
	}
}

// height is where a cost is above the axis.
func height(v float64) float64 {
	power := min(max(math.Log10(max(v, 1)), leastCost), mostCost)
	return (power - leastCost) * heightOfDecade
}

func power(of int) string {
	digits := []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")
	return "10" + string(digits[of])
}

func label(b *bytes.Buffer, x, y int, anchor, style, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, style, html.EscapeString(s))
}
