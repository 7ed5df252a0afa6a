package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"os"
	"slices"
	"strings"
	"time"
)

// plotted are the scenarios of the drawing: it has to be understood at a glance.
// The table has everything.
var plotted = []struct{ scenario, title string }{
	{"pub0-256", "publish, QoS 0"},
	{"recv0-256", "receive, QoS 0"},
	{"async1-256", "publish, QoS 1, asynchronous"},
	{"recv1-256", "receive, QoS 1"},
	{"block1-64", "publish, QoS 1, 64 goroutines"},
	{"filters-10000", "receive, QoS 0, 10,000 filters"},
}

// mostUsed is drawn even when it is not among the fastest peers.
const mostUsed = "paho.mqtt.golang"

// Measures of the plot, in pixels.
const (
	plotRow    = 15 // a bar with its gap
	plotTitle  = 26
	plotColumn = 425
	plotNames  = 125
	plotBars   = 175
	plotTop    = 58
)

// plotStyle is readable on a light and on a dark page; the background is the
// page's own.
const plotStyle = `<style>
text{fill:#57606a} .title{fill:#24292f;font-weight:bold} .whisker{stroke:#24292f}
.limit{fill:#8c959f} .ours{fill:#2f81f7} .peer{fill:#d4762c} .sketch{fill:#8250df}
@media (prefers-color-scheme:dark){text{fill:#9da7b3} .title{fill:#e6edf3} .whisker{stroke:#e6edf3}}
</style>
`

// plot draws groups of bars in two columns, each group on a linear axis of its
// own from zero to its fastest.
func (r *result) plot() []byte {
	groups := r.groups()
	rows := 0
	for _, g := range groups {
		rows = max(rows, len(g.bars))
	}
	size := plotTitle + plotRow*rows + 8 // of a group
	height := plotTop + (len(groups)+1)/2*size
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n",
		2*plotColumn, height, 2*plotColumn, height)
	b.WriteString(plotStyle)
	text(&b, 4, 16, "start", `class="title" font-size="14"`, "Messages of 256 bytes per second, more is better")
	text(&b, 4, 32, "start", "", "the limit is a hand-written loop, the sketch a core without the rest of a library; peers: the two fastest, and "+mostUsed)
	text(&b, 4, 46, "start", "", fmt.Sprintf("median and %s of %d rounds · %s, %d cores, %s, commit %s, %s",
		whiskers(r.Rounds), r.Rounds, r.Host.CPU, r.Host.Cores, r.Host.GoVersion, r.Commit, r.Time.Format(time.DateOnly)))
	for i, g := range groups {
		g.draw(&b, i%2*plotColumn, plotTop+i/2*size)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// group is what is drawn of a scenario.
type group struct {
	title string
	bars  []summary
}

// whiskers says what the thin lines are.
func whiskers(rounds int) string {
	if rounds < fewestRounds {
		return "range"
	}
	return "95 % interval"
}

// groups picks the limit, the sketch, this library, the two fastest peers and the most used.
func (r *result) groups() (groups []group) {
	for _, p := range plotted {
		var limits, sketches, mine, peers []summary
		for _, s := range r.of(p.scenario) {
			switch {
			case s.Rate.Median == 0:
			case s.Role == limit && s.Client == s.Limit:
				limits = append(limits, s)
			case s.Role == sketch:
				sketches = append(sketches, s)
			case s.Role == ours && !strings.HasSuffix(s.Client, "-v311"):
				mine = append(mine, s)
			case s.Role == peer:
				peers = append(peers, s)
			}
		}
		if bars := slices.Concat(limits, sketches, shownOurs(mine), shownPeers(peers)); len(bars) > 0 {
			groups = append(groups, group{p.title, bars})
		}
	}
	return groups
}

// shownOurs are the first way to use this library and the fastest.
func shownOurs(list []summary) []summary {
	if len(list) < 2 {
		return list
	}
	fastest := slices.MaxFunc(list, byRate)
	if fastest.Client == list[0].Client {
		return list[:1]
	}
	return []summary{fastest, list[0]}
}

func shownPeers(list []summary) []summary {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b summary) int { return byRate(b, a) })
	shown := list[:min(2, len(list))]
	for _, s := range list[len(shown):] {
		if s.Client == mostUsed {
			shown = append(shown, s)
		}
	}
	return shown
}

func byRate(a, b summary) int { return cmp.Compare(a.Rate.Median, b.Rate.Median) }

func (g *group) draw(b *bytes.Buffer, x, y int) {
	most := 0.0
	for _, s := range g.bars {
		_, high := s.Rate.whisker()
		most = max(most, high)
	}
	text(b, x+4, y+plotTitle-8, "start", `class="title" font-size="12"`, g.title)
	for i := range g.bars {
		g.bars[i].draw(b, x, y+plotTitle+i*plotRow, plotBars/most)
	}
}

// draw draws a bar; scale is pixels for a message per second.
func (s *summary) draw(b *bytes.Buffer, x, y int, scale float64) {
	name := s.Client
	if s.Role == limit {
		name = "limit"
	}
	text(b, x+plotNames-6, y+plotRow-5, "end", "", name)
	left := float64(x + plotNames)
	fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"/>`+"\n",
		s.Role, left, y+1, max(s.Rate.Median*scale, 1), plotRow-4)
	middle := float64(y) + 1 + (plotRow-4)/2.0
	low, high := s.Rate.whisker()
	from, to, end := left+low*scale, left+high*scale, plotRow/5.0
	fmt.Fprintf(b, `<path class="whisker" d="M%.1f %.1fH%.1fM%.1f %.1fv%.1fM%.1f %.1fv%.1f"/>`+"\n",
		from, middle, to, from, middle-end/2, end, to, middle-end/2, end)
	label := short(s.Rate.Median)
	if s.Role == ours && s.OfPeer.Median > 0 {
		label += fmt.Sprintf(" · %.1f × %s", s.OfPeer.Median, s.Peer)
	}
	text(b, int(to)+5, y+plotRow-5, "start", "", label)
}

// whisker is the interval, or the range where there are too few rounds for one.
func (s spread) whisker() (low, high float64) {
	if s.High == 0 {
		return s.Min, s.Max
	}
	return s.Low, s.High
}

func text(b *bytes.Buffer, x, y int, anchor, style, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" %s>%s</text>`+"\n", x, y, anchor, style, html.EscapeString(s))
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
