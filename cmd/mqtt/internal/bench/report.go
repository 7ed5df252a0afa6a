package bench

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/chart"
)

//go:embed report.html
var reportPage string

var reportTemplate = template.Must(template.New("report").Parse(reportPage))

// page is what the template shows.
type page struct {
	Title    string
	Headline string
	When     string
	Tiles    []tile
	Charts   []figure
	Times    []timesRow
	Tables   []factTable
	Notes    []string
}

type tile struct{ Name, Value, Detail string }

type figure struct {
	Title, Explanation string
	SVG                template.HTML // drawn by package chart, which escapes all text
}

type timesRow struct {
	Name   string
	Values []string
}

type factTable struct {
	Title string
	Rows  [][2]string
}

// WriteReport writes a page of HTML that needs nothing else.
func (r *Result) WriteReport(w io.Writer) error {
	p := page{
		Title:    "MQTT load: " + r.Server.URL,
		Headline: r.headline(),
		When:     r.Time.Format(time.RFC1123),
		Tiles:    r.tiles(),
		Charts:   r.figures(),
		Notes:    slices.Clone(r.Notes),
		Tables: []factTable{
			{"Messages", r.facts()},
			{"Settings", r.Settings.rows()},
			{"Environment", r.environmentRows()},
		},
	}
	for _, d := range r.distributions() {
		if t := d.times; t.Count > 0 {
			p.Times = append(p.Times, timesRow{d.name, []string{
				duration(t.Min), duration(t.P50), duration(t.P90), duration(t.P99), duration(t.P999), duration(t.Max), duration(t.Mean), fmt.Sprint(t.Count),
			}})
		}
	}
	for _, text := range slices.Sorted(maps.Keys(r.Errors)) {
		p.Notes = append(p.Notes, fmt.Sprintf("%d × %s", r.Errors[text], text))
	}
	return reportTemplate.Execute(w, p)
}

// tiles are the figures that are looked for first.
func (r *Result) tiles() (tiles []tile) {
	m := &r.Messages
	detail := "messages per second"
	if r.Rates.Offered > 0 {
		detail = "messages per second of " + short(r.Rates.Offered) + " offered"
	}
	tiles = append(tiles, tile{"Published", short(r.Rates.Published), detail})
	if r.Settings.Subscribers == 0 {
		t := &r.Latency.Acknowledged
		return append(tiles,
			tile{"Acknowledgement, median", duration(t.P50), "99 % within " + duration(t.P99)},
			tile{"Failed", fmt.Sprint(m.Failed + m.Unanswered), fmt.Sprintf("of %d messages", m.Published)})
	}
	t := &r.Latency.EndToEnd
	return append(tiles,
		tile{"Received", short(r.Rates.Received), "messages per second, " + dataRate(r.Rates.ReceivedData)},
		tile{"Latency, median", duration(t.P50), "99 % within " + duration(t.P99)},
		tile{"Lost", fmt.Sprint(m.Lost), fmt.Sprintf("of %d; %d twice, %d out of order", m.Expected, m.Duplicates, m.Disordered)})
}

func (r *Result) figures() (figures []figure) {
	add := func(title, explanation string, c chart.Chart) {
		c.Title = title
		if svg := c.SVG(); svg != "" {
			figures = append(figures, figure{title, explanation, template.HTML(svg)})
		}
	}
	add("Rate", "Messages per second in each interval. Received counts each message once for each receiver.", r.rateChart())
	add("Latency over time", "From the time at which a message was due to its arrival, in each interval.", r.latencyChart())
	add("Latency by percentile", "How long that part of the messages took at most. From each line to the next, a tenth as many take longer.", r.percentileChart())
	return figures
}

func (r *Result) rateChart() chart.Chart {
	var published, received, acknowledged chart.Series
	published.Name, received.Name, acknowledged.Name = "published", "received", "acknowledged"
	for _, i := range r.Intervals {
		if i.Seconds < r.longest()/2 {
			continue // the rest at the end: a rate would be noise
		}
		rate := func(n uint64) chart.Point { return chart.Point{X: i.At, Y: float64(n) / i.Seconds} }
		published.Points = append(published.Points, rate(i.Sent))
		received.Points = append(received.Points, rate(i.Received))
		acknowledged.Points = append(acknowledged.Points, rate(i.Acknowledged))
	}
	lines := []chart.Series{published}
	if r.Settings.Subscribers > 0 {
		lines = append(lines, received)
	}
	if r.Settings.QoS > 0 {
		lines = append(lines, acknowledged)
	}
	return chart.Chart{X: secondsAxis, Y: chart.Axis{Name: "messages/s", Zero: true, Label: short}, Series: lines}
}

func (r *Result) longest() (seconds float64) {
	for _, i := range r.Intervals {
		seconds = max(seconds, i.Seconds)
	}
	return seconds
}

var secondsAxis = chart.Axis{Name: "seconds after the warm-up", Zero: true}

var latencyAxis = chart.Axis{Name: "latency", Log: true, Label: duration}

func (r *Result) latencyChart() chart.Chart {
	lines := []chart.Series{{Name: "median"}, {Name: "p99"}, {Name: "max"}}
	for _, i := range r.Intervals {
		for k, v := range []float64{i.P50, i.P99, i.Max} {
			if i.Received == 0 {
				v = math.NaN()
			}
			lines[k].Points = append(lines[k].Points, chart.Point{X: i.At, Y: v})
		}
	}
	return chart.Chart{X: secondsAxis, Y: latencyAxis, Series: lines}
}

func (r *Result) percentileChart() chart.Chart {
	x := chart.Axis{Name: "part of the messages", Log: true, Ticks: []chart.Tick{{Value: 1, Label: "0 %"}, {Value: 2, Label: "50 %"}}}
	for k, v := 1, 10.0; v <= 1e9; k, v = k+1, v*10 {
		text := "9" + strings.Repeat("9", max(0, k-1))
		switch {
		case k == 1:
			text = "90"
		case k > 2:
			text = "99." + strings.Repeat("9", k-2)
		}
		x.Ticks = append(x.Ticks, chart.Tick{Value: v, Label: text + " %"})
	}
	var lines []chart.Series
	for _, d := range r.distributions()[:2] {
		if len(d.times.Curve) > 0 {
			lines = append(lines, chart.Series{Name: d.name, Points: d.times.curve()})
		}
	}
	return chart.Chart{X: x, Y: latencyAxis, Series: lines}
}

// curve puts the part q at 1/(1-q), and the largest time at the number of times.
func (t *Times) curve() (points []chart.Point) {
	for _, p := range t.Curve {
		points = append(points, chart.Point{X: min(1/(1-p.Part), float64(t.Count)), Y: max(p.Time, 0.1)})
	}
	return points
}

func (s *Setup) rows() [][2]string {
	rows := [][2]string{
		{"publishers", fmt.Sprint(s.Publishers)},
		{"subscribers", fmt.Sprint(s.Subscribers)},
		{"topics", fmt.Sprint(s.Topics)},
		{"messages go to", s.spread()},
		{"QoS", fmt.Sprintf("%d, subscribed with %d", s.QoS, s.SubscribeQoS)},
		{"payload", fmt.Sprintf("%d bytes", s.Size)},
		{"retained", map[bool]string{true: "yes", false: "no"}[s.Retain]},
	}
	switch {
	case s.Rate > 0:
		rows = append(rows, [2]string{"loop", fmt.Sprintf("open, %g messages/s", s.Rate)})
	case s.Window > 0:
		rows = append(rows, [2]string{"loop", fmt.Sprintf("closed, window of %d", s.Window)})
	default:
		rows = append(rows, [2]string{"loop", "closed, no window"})
	}
	if s.Duration > 0 {
		rows = append(rows, [2]string{"duration", fmt.Sprintf("%g s", s.Duration)})
	}
	if s.Count > 0 {
		rows = append(rows, [2]string{"messages", fmt.Sprint(s.Count)})
	}
	return append(rows, [2]string{"warm-up", fmt.Sprintf("%g s", s.Warmup)})
}

func (s *Setup) spread() string {
	switch s.Spread {
	case SpreadShared:
		return "one member of each of " + count(s.Groups, "group")
	case SpreadDivided:
		return "the subscribers of their topic"
	}
	return "all subscribers"
}

func (r *Result) environmentRows() [][2]string {
	server := r.Server.URL
	if r.Server.Embedded {
		server = "embedded broker, in the process of the generator"
	}
	rows := [][2]string{
		{"server", server},
		{"MQTT", r.Server.Version},
		{"system", r.Environment.System},
		{"processor", r.Environment.CPU},
		{"cores", fmt.Sprint(r.Environment.Cores)},
		{"Go", r.Environment.Go},
		{"library", r.Environment.Library},
	}
	return slices.DeleteFunc(rows, func(row [2]string) bool { return row[1] == "" })
}
