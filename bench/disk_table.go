package main

import (
	"fmt"
	"io"
)

// disk fills in what was written to files.
func (s *summary) disk(good []sample) {
	s.Written = over(good, func(x *sample) float64 { return x.per(float64(x.Written)) })
	s.Cancelled = over(good, func(x *sample) float64 { return x.per(float64(x.Cancelled)) })
	s.Syncs = over(good, func(x *sample) float64 { return x.per(float64(x.Syncs)) })
	s.Commits = over(good, func(x *sample) float64 { return x.per(float64(x.Commits)) })
	s.Synced = over(good, func(x *sample) float64 { return 1e3 * x.Synced / float64(max(1, x.Commits)) })
	s.Slowest = over(good, func(x *sample) float64 { return x.Slowest })
	s.Kept = over(good, func(x *sample) float64 { return float64(x.Kept) })
}

func (s *summary) usesDisk() bool { return s.Written.Max > 0 || s.Kept.Max > 0 }

// disks prints a line for each client that has files.
func disks(w io.Writer, list []summary) {
	fmt.Fprintln(w, "disk\tcommits/msg\tfsyncs/msg\tB/msg\tcancelled\tms a commit\tslowest\tKiB at the end\t")
	for _, s := range list {
		if s.usesDisk() {
			fmt.Fprintf(w, "%s\t%.3f\t%.3f\t%.0f\t%.0f\t%s\t%s\t%.0f\t\n", s.Client, s.Commits.Median, s.Syncs.Median,
				s.Written.Median, s.Cancelled.Median, times(s.Synced), times(s.Slowest), s.Kept.Median/1024)
		}
	}
}
