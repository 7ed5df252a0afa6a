package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the result for people.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.headline())

	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "latency\tp50\tp90\tp99\tp99.9\tmax\tcount\t")
	for _, row := range r.distributions() {
		if row.times.Count == 0 {
			continue
		}
		d := row.times
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", row.name, duration(d.P50), duration(d.P90), duration(d.P99), duration(d.P999), duration(d.Max), d.Count)
	}
	t.Flush() // into memory
	fmt.Fprintln(&b)

	t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range r.facts() {
		fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
	}
	t.Flush()
	if len(r.Notes) > 0 || len(r.Errors) > 0 {
		fmt.Fprintln(&b)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "! %s\n", note)
	}
	for _, text := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(&b, "! %d × %s\n", r.Errors[text], text)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// headline says in a line what was done.
func (r *Result) headline() string {
	s := r.Settings
	loop := "as fast as possible"
	switch {
	case s.Rate > 0:
		loop = short(s.Rate) + " messages/s"
	case s.Window > 0:
		loop = fmt.Sprintf("window %d", s.Window)
	}
	spread := ""
	switch {
	case s.Subscribers == 0:
	case s.Spread == SpreadShared:
		spread = fmt.Sprintf(" in %s", count(s.Groups, "group"))
	case s.Spread == SpreadDivided:
		spread = " with topics divided"
	}
	return fmt.Sprintf("%s (MQTT %s): %s, %s%s, %s, QoS %d, %d bytes, %s",
		r.Server.URL, r.Server.Version, count(s.Publishers, "publisher"), count(s.Subscribers, "subscriber"), spread,
		count(s.Topics, "topic"), s.QoS, s.Size, loop)
}

// distribution is a row of times.
type distribution struct {
	name  string
	times *Times
}

func (r *Result) distributions() []distribution {
	return []distribution{
		{"publisher to subscriber", &r.Latency.EndToEnd},
		{"acknowledgement", &r.Latency.Acknowledged},
		{"connect", &r.Latency.Connect},
		{"behind schedule", &r.Load.Behind},
		{"of it, the generator", &r.Load.Own},
	}
}

// facts are names and values of what was counted.
func (r *Result) facts() (rows [][2]string) {
	row := func(name, format string, args ...any) {
		rows = append(rows, [2]string{name, fmt.Sprintf(format, args...)})
	}
	m := &r.Messages
	offered := ""
	if r.Rates.Offered > 0 {
		offered = fmt.Sprintf(" (offered %s/s)", short(r.Rates.Offered))
	}
	row("published", "%d, %s/s%s", m.Published, short(r.Rates.Published), offered)
	if r.Settings.QoS > 0 {
		row("acknowledged", "%d", m.Acknowledged)
	}
	if r.Settings.Subscribers > 0 {
		row("received", "%d of %d, %s/s, %s", m.Received-m.Duplicates, m.Expected, short(r.Rates.Received), dataRate(r.Rates.ReceivedData))
		row("lost", "%d", m.Lost)
		row("duplicates", "%d", m.Duplicates)
		row("out of order", "%d", m.Disordered)
	}
	for _, rare := range []struct {
		name string
		n    uint64
	}{
		{"failed", m.Failed}, {"unanswered", m.Unanswered}, {"not sent", m.Unsent},
		{"without subscribers", m.Unmatched}, {"dropped by the generator", m.Dropped},
		{"of other runs", m.Foreign}, {"connections lost", r.Load.Lost},
	} {
		if rare.n > 0 && !(rare.name == "without subscribers" && r.Settings.Subscribers == 0) {
			row(rare.name, "%d", rare.n)
		}
	}
	row("measured", "%.1f s", r.Rates.Seconds)
	if r.Load.Processors > 0 {
		row("processors", "%.1f of %d", r.Load.Processors, r.Environment.Cores)
	}
	return rows
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
