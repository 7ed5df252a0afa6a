package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// intervals prints what the medians of a scenario are good for: for each client the
// intervals of its median and of its ratios, and whether it differs from what it is compared
// with.
func intervals(w io.Writer, list []summary) {
	enough := slices.IndexFunc(list, func(s summary) bool { return s.Rounds >= fewestRounds })
	if enough < 0 {
		fmt.Fprintf(w, "  no intervals: they need %d rounds\n", fewestRounds)
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, unit := list[enough].main()
	fmt.Fprintf(t, "95 %%\t%s\tof limit\tp\tof sketch\tp\tof peer\tp\t\n", unit)
	for _, s := range list {
		v, _ := s.main()
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", s.Client, between(v, "%.1f"),
			between(s.OfLimit.spread, "%.2f"), likely(s.OfLimit.P), between(s.OfSketch.spread, "%.2f"), likely(s.OfSketch.P),
			between(s.OfPeer.spread, "%.2f"), likely(s.OfPeer.P))
	}
	t.Flush()
}

// main is what the scenario is about, and in what unit.
func (s *summary) main() (v spread, unit string) {
	switch {
	case s.Idle != nil:
		return s.Idle.Both.in(1024), "KiB together"
	case s.Comeback != nil:
		return s.Comeback.Subscribe, "ms until SUBSCRIBE"
	case s.Start != nil:
		return s.Start.Start, "ms start"
	case s.Latency != nil:
		return s.Latency.P50, "µs p50"
	}
	return s.Rate.in(1e3), "k msg/s"
}

// between writes an interval.
func between(s spread, format string) string {
	if s.High == 0 {
		return "-"
	}
	return fmt.Sprintf(format+"-"+format, s.Low, s.High)
}

// likely writes a p-value.
func likely(p float64) string {
	switch {
	case p == 0:
		return "-"
	case p < 0.001:
		return "<0.001"
	}
	return fmt.Sprintf("%.3f", p)
}
