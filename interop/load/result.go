package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"text/tabwriter"
)

// figures are measurements by name.
type figures map[string]float64

// result is what -json writes.
type result struct {
	Go          string
	Processors  int
	Sessions    int
	Connected   int // sessions that had a connection at the same time
	Subscribers int
	Messages    int
	Payload     int
	Churn       int
	Clients     int
	Servers     []string
	Rounds      map[string]map[string][]float64 // figure, server, round
}

func newResult(s *settings, kinds []serverKind) *result {
	r := &result{
		Go: runtime.Version(), Processors: runtime.NumCPU(), Sessions: s.sessions, Connected: s.connected, Subscribers: s.subscribers,
		Messages: s.messages, Payload: s.payload, Churn: s.churn, Clients: s.clients,
		Rounds: make(map[string]map[string][]float64),
	}
	for _, k := range kinds {
		r.Servers = append(r.Servers, k.name)
	}
	return r
}

func (r *result) add(server string, f figures) {
	for name, value := range f {
		if r.Rounds[name] == nil {
			r.Rounds[name] = make(map[string][]float64)
		}
		r.Rounds[name][server] = append(r.Rounds[name][server], value)
	}
}

// print prints the median of the rounds, and their range.
func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "%d sessions, %d of them connected at the same time, %d subscribers × %d messages of %d bytes, %d connections by %d clients; %s, %d processors\n\n",
		r.Sessions, r.Connected, r.Subscribers, r.Messages, r.Payload, r.Churn, r.Clients, r.Go, r.Processors)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprint(table, "median (range)")
	for _, server := range r.Servers {
		fmt.Fprintf(table, "\t%s", server)
	}
	fmt.Fprintln(table)
	for _, name := range slices.Sorted(maps.Keys(r.Rounds)) {
		fmt.Fprint(table, name)
		for _, server := range r.Servers {
			values := r.Rounds[name][server]
			fmt.Fprintf(table, "\t%s (%s to %s)", short(median(values)), short(slices.Min(values)), short(slices.Max(values)))
		}
		fmt.Fprintln(table)
	}
	table.Flush()
}

// short prints three digits or the whole number.
func short(v float64) string {
	if math.Abs(v) >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
