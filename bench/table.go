package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table prints what a person wants to see of one scenario.
func table(w io.Writer, list []summary) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s   limit: %s, best peer: %s\n", list[0].Scenario, orNone(list[0].Limit), orNone(list[0].Peer))
	if list[0].Idle == nil {
		rates(w, list)
	}
	for _, s := range list {
		remarks(w, &s)
	}
}

// rates prints a line for each client, per message from the sixth column on.
func rates(w io.Writer, list []summary) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "client\tk msg/s\tmin\tmax\tof limit\tof peer\tns CPU\tallocs\tB\treads\twrites\t")
	for _, s := range list {
		if s.Rounds == 0 {
			fmt.Fprintf(t, "%s\t-\t\t\t\t\t\t\t\t\t\t\n", s.Client)
			continue
		}
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t%s\t%s\t%.0f\t%.2f\t%.0f\t%.3f\t%.3f\t\n", s.Client,
			s.Rate.Median/1e3, s.Rate.Min/1e3, s.Rate.Max/1e3, times(s.OfLimit), times(s.OfPeer),
			s.CPU, s.Mallocs, s.Bytes, s.Reads, s.Writes)
	}
	t.Flush()
}

// remarks are what a table has no column for.
func remarks(w io.Writer, s *summary) {
	if l := s.Latency; l != nil {
		fmt.Fprintf(w, "  %s: p50 %.1f µs, p99 %.1f µs, p99.9 %.1f µs\n", s.Client, l.P50, l.P99, l.P999)
	}
	if i := s.Idle; i != nil {
		fmt.Fprintf(w, "  %s: %.1f KiB heap, %.1f KiB stack, %.1f goroutines for each client, %.2f times as small as the best peer\n",
			s.Client, i.Heap/1024, i.Stack/1024, i.Goroutines, s.OfPeer.Median)
	}
	if s.Lost != 0 {
		fmt.Fprintf(w, "  %s: LOST %d messages\n", s.Client, s.Lost)
	}
	if s.Disorder != 0 {
		fmt.Fprintf(w, "  %s: %d acknowledgements out of order\n", s.Client, s.Disorder)
	}
	for _, e := range s.Errors {
		line, _, _ := strings.Cut(e, "\n")
		fmt.Fprintf(w, "  %s: FAILED: %.300s\n", s.Client, line)
	}
}

func times(r spread) string {
	if r.Median == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", r.Median, r.Min, r.Max)
}

func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}
