package main

import (
	"cmp"
	"slices"
)

// spread is the median of some values and their range.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

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
	return spread{median, values[0], values[n-1]}
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

// ratios divides the scores of a client by those of another, round by round:
// rounds that a noisy machine slowed down slow down both. Rounds that one of
// them did not finish do not count.
func ratios(of, by map[int]float64) []float64 {
	var r []float64
	for round, score := range of {
		if base := by[round]; base > 0 && score > 0 {
			r = append(r, score/base)
		}
	}
	return r
}
