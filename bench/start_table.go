package main

import (
	"fmt"
	"io"
)

// starts are in milliseconds, bytes, and messages a second.
type starts struct {
	File      spread `json:"file"`
	Open      spread `json:"open"`
	Start     spread `json:"start"`
	Connect   spread `json:"connect"`
	Drain     spread `json:"drain"`
	Heap      spread `json:"heap"`
	Anonymous spread `json:"anonymous"`
	Resident  spread `json:"resident"`
	Peak      spread `json:"peak"`
}

func startsOf(good []sample) *starts {
	of := func(f func(*start) float64) spread {
		return over(good, func(x *sample) float64 { return f(x.Start) })
	}
	return &starts{
		File:      of(func(s *start) float64 { return s.File }),
		Open:      of(func(s *start) float64 { return s.Open }),
		Start:     of(func(s *start) float64 { return s.Start }),
		Connect:   of(func(s *start) float64 { return s.Connect }),
		Drain:     of(func(s *start) float64 { return s.Drain }),
		Heap:      of(func(s *start) float64 { return s.Heap }),
		Anonymous: of(func(s *start) float64 { return s.Anonymous }),
		Resident:  of(func(s *start) float64 { return s.Resident }),
		Peak:      of(func(s *start) float64 { return s.Peak }),
	}
}

func starters(w io.Writer, list []summary) {
	const mib = 1 << 20
	fmt.Fprintln(w, "client\tms open\tms start\tms connect\tk msg/s sent\tMiB heap\tanonymous\tresident\tanonymous, sending\tfile\t")
	for _, s := range list {
		if x := s.Start; x != nil {
			fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", s.Client, ranged(x.Open, 1), ranged(x.Start, 1),
				x.Connect.Median, x.Drain.Median/1e3, x.Heap.Median/mib, x.Anonymous.Median/mib, x.Resident.Median/mib,
				x.Peak.Median/mib, x.File.Median/mib)
		}
	}
}
