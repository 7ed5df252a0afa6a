package main

import (
	"cmp"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
)

// spread is the median of some values, one of each round, and their range.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	// Low and High are the interval in which the median of all rounds that there could be
	// lies, with a confidence of 95 %. Zero: there were fewer than fewestRounds.
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
}

const confidence = 0.95

// fewestRounds is how many values an interval of that confidence needs: with five, all
// lie on one side of the median in one of sixteen cases.
const fewestRounds = 6

// spreadOf returns zeros for no values. It sorts values.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	n := len(values)
	median := values[n/2]
	if n%2 == 0 {
		median = (values[n/2-1] + values[n/2]) / 2
	}
	s := spread{Median: median, Min: values[0], Max: values[n-1]}
	s.Low, s.High = medianInterval(values)
	return s
}

// medianInterval lies between two of the sorted values, and assumes nothing about their
// distribution.
func medianInterval(sorted []float64) (low, high float64) {
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(sorted, &benchmath.DefaultThresholds), confidence)
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) {
		return 0, 0
	}
	return s.Lo, s.Hi
}

// in returns s in another unit.
func (s spread) in(unit float64) spread {
	return spread{s.Median / unit, s.Min / unit, s.Max / unit, s.Low / unit, s.High / unit}
}

// percentile returns the smallest of the sorted values that at least the part p
// of them does not exceed.
func percentile[T cmp.Ordered](sorted []T, p float64) (v T) {
	if len(sorted) == 0 {
		return v
	}
	rank := int(p * float64(len(sorted)))
	if float64(rank) < p*float64(len(sorted)) {
		rank++
	}
	return sorted[min(max(rank, 1), len(sorted))-1]
}
