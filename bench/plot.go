package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"os"
	"strings"
)

// Measures of the plot, in pixels.
const (
	plotBar    = 13 // height of a bar with its gap
	plotGroup  = 30 // height of the heading of a scenario
	plotNames  = 150
	plotWidth  = 560
	plotValues = 150
	plotTop    = 64
)

var plotColours = map[role]string{limit: "#9aa0a6", ours: "#1a73e8", peer: "#e8710a", unrouted: "#f6c28b"}

// plot draws one group of bars for each scenario that has a rate, on a
// logarithmic axis of messages per second, with the range of the rounds.
func (r *result) plot() []byte {
	groups := r.plotted()
	low, high := plotAxis(groups)
	height := plotTop + 20
	for _, g := range groups {
		height += plotGroup + plotBar*len(g)
	}
	x := func(rate float64) float64 {
		return plotNames + plotWidth*(math.Log10(max(rate, 1))-low)/(high-low)
	}
	var b bytes.Buffer
	width := plotNames + plotWidth + plotValues
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	text(&b, 8, 20, "start", `font-size="15" font-weight="bold"`, "Messages per second, logarithmic, more is better")
	text(&b, 8, 36, "start", `fill="#5f6368"`, fmt.Sprintf("median of %d rounds, line: range · %s, %d cores, %s · commit %s",
		r.Rounds, r.Host.CPU, r.Host.Cores, r.Host.GoVersion, r.Commit))
	for decade := low; decade <= high; decade++ {
		at := x(math.Pow(10, decade))
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#dadce0"/>`+"\n", at, at, plotTop-4, height-16)
		text(&b, at, plotTop-8, "middle", `fill="#5f6368"`, short(math.Pow(10, decade)))
	}
	y := plotTop
	for _, g := range groups {
		text(&b, 8, float64(y+plotGroup-8), "start", `font-size="13" font-weight="bold"`, g[0].Scenario)
		y += plotGroup
		for i := range g {
			bar(&b, &g[i], y, x)
			y += plotBar
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func bar(b *bytes.Buffer, s *summary, y int, x func(float64) float64) {
	text(b, plotNames-6, float64(y+plotBar-4), "end", "", s.Client)
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n",
		plotNames, y+1, max(x(s.Rate.Median)-plotNames, 1), plotBar-3, plotColours[s.Role])
	fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#202124"/>`+"\n",
		x(s.Rate.Min), x(s.Rate.Max), float64(y)+plotBar/2.0-0.5, float64(y)+plotBar/2.0-0.5)
	label := short(s.Rate.Median)
	if s.Role == ours && s.OfPeer.Median > 0 {
		label += fmt.Sprintf(" · %.1f × %s", s.OfPeer.Median, s.Peer)
	}
	text(b, max(x(s.Rate.Median), x(s.Rate.Max))+5, float64(y+plotBar-4), "start", "", label)
}

func text(b *bytes.Buffer, x, y float64, anchor, style, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, style, html.EscapeString(s))
}

// plotted returns the groups with a rate; latency and footprint are left to the table.
func (r *result) plotted() (groups [][]summary) {
	for _, name := range r.scenarios() {
		var g []summary
		for _, s := range r.of(name) {
			if s.Rate.Median > 0 && s.Latency == nil {
				g = append(g, s)
			}
		}
		if len(g) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// plotAxis returns the decades that hold all values.
func plotAxis(groups [][]summary) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, g := range groups {
		for _, s := range g {
			low = min(low, math.Floor(math.Log10(max(s.Rate.Min, 1))))
			high = max(high, math.Ceil(math.Log10(max(s.Rate.Max, 1))))
		}
	}
	if low >= high {
		return 0, 1
	}
	return low, high
}

// short writes a rate with three digits: 1.26M.
func short(v float64) string {
	for _, u := range []struct {
		size float64
		unit string
	}{{1e6, "M"}, {1e3, "k"}} {
		if v >= u.size {
			s := fmt.Sprintf("%.3g", v/u.size)
			if strings.Contains(s, "e") {
				s = fmt.Sprintf("%.0f", v/u.size)
			}
			return s + u.unit
		}
	}
	return fmt.Sprintf("%.0f", v)
}

func (r *result) writePlot(file string) error { return os.WriteFile(file, r.plot(), 0o644) }
