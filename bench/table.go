package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// table prints what a person wants to see of one scenario: medians, with the
// range of the rounds in brackets where it matters.
func table(w io.Writer, list []summary) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s   limit: %s, best peer: %s\n", list[0].Scenario, orNone(list[0].Limit), orNone(list[0].Peer))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	switch about(list) {
	case idling:
		footprints(t, list)
	case returning:
		returns(t, list)
	case starting:
		starters(t, list)
	case sequential:
		rates(t, list)
		t.Flush()
		delays(t, list)
	default:
		rates(t, list)
	}
	t.Flush()
	if about(list) != starting && slices.ContainsFunc(list, func(s summary) bool { return s.usesDisk() }) {
		disks(t, list)
		t.Flush()
	}
	intervals(w, list)
	for _, s := range list {
		remarks(w, &s)
	}
}

// about says what the scenario measures: latency (sequential), footprint, return,
// start, or a rate. Clients that failed do not know.
func about(list []summary) kind {
	for _, s := range list {
		switch {
		case s.Idle != nil:
			return idling
		case s.Comeback != nil:
			return returning
		case s.Start != nil:
			return starting
		case s.Latency != nil:
			return sequential
		}
	}
	return publishing0
}

// rates prints a line for each client, per message from the sixth column on.
func rates(w io.Writer, list []summary) {
	fmt.Fprintln(w, "client\tk msg/s\tmin\tmax\tof limit\tof sketch\tof peer\tns CPU\tallocs\tB\treads\twrites\t")
	for _, s := range list {
		if s.Rounds == 0 {
			fmt.Fprintf(w, "%s\t-\t\t\t\t\t\t\t\t\t\t\t\n", s.Client)
			continue
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%s\t%s\t%s\t%.0f\t%.2f\t%.0f\t%.3f\t%.3f\t\n", s.Client,
			s.Rate.Median/1e3, s.Rate.Min/1e3, s.Rate.Max/1e3, times(s.OfLimit.spread), times(s.OfSketch.spread), times(s.OfPeer.spread),
			s.CPU.Median, s.Mallocs.Median, s.Bytes.Median, s.Reads.Median, s.Writes.Median)
	}
}

func delays(w io.Writer, list []summary) {
	fmt.Fprintln(w, "µs\tp50\tp99\tp99.9\tk msg/s offered\tmaximum\t")
	for _, s := range list {
		l := s.Latency
		if l == nil {
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t", s.Client, ranged(l.P50, 1), ranged(l.P99, 1), ranged(l.P999, 1))
		if l.Offered.Median > 0 {
			fmt.Fprintf(w, "%.1f\t%.1f\t\n", l.Offered.Median/1e3, l.Maximum.Median/1e3)
		} else {
			fmt.Fprint(w, "\t\t\n")
		}
	}
}

func footprints(w io.Writer, list []summary) {
	fmt.Fprintln(w, "per client\tKiB heap\tKiB stack\tKiB together\tgoroutines\tof peer\t")
	for _, s := range list {
		if i := s.Idle; i != nil {
			fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%s\t%.1f\t%s\t\n", s.Client,
				i.Heap.Median/1024, i.Stack.Median/1024, ranged(i.Both, 1024), i.Goroutines.Median, times(s.OfPeer.spread))
		}
	}
}

func returns(w io.Writer, list []summary) {
	fmt.Fprintln(w, "ms\tuntil CONNECT\tuntil SUBSCRIBE\tof peer\t")
	for _, s := range list {
		if c := s.Comeback; c != nil {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", s.Client, ranged(c.Connect, 1), ranged(c.Subscribe, 1), times(s.OfPeer.spread))
		}
	}
}

// remarks are what a table has no column for.
func remarks(w io.Writer, s *summary) {
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

// times writes a ratio.
func times(r spread) string {
	if r.Median == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", r.Median, r.Min, r.Max)
}

// ranged writes values in another unit.
func ranged(s spread, unit float64) string {
	return fmt.Sprintf("%.1f (%.1f-%.1f)", s.Median/unit, s.Min/unit, s.Max/unit)
}

func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}
