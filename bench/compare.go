package main

import (
	"cmp"
	"math"
	"slices"
)

// ratio is how the scores of a client compare with those of another.
type ratio struct {
	spread
	// P is how likely ratios as far from 1 would be if the two were alike. Zero: they are
	// the same client, or there is nothing to compare.
	P float64 `json:"p,omitempty"`
}

func ratioOf(of, by map[int]float64) ratio {
	list := ratios(of, by)
	r := ratio{spread: spreadOf(list)}
	if slices.ContainsFunc(list, func(v float64) bool { return v != 1 }) {
		r.P = signedRank(list)
	}
	return r
}

// signedRank is the exact p-value, of both sides, of Wilcoxon's signed-rank test of the
// logarithms of ratios. If the two clients were alike, each logarithm could as well have the
// other sign: p is the part of all signs that gives a sum of ranks at least as far from
// the middle. Equal logarithms share their ranks. A ratio of 1 does not count.
func signedRank(ratios []float64) float64 {
	var logs []float64
	for _, r := range ratios {
		if r != 1 {
			logs = append(logs, math.Log(r))
		}
	}
	slices.SortFunc(logs, func(a, b float64) int { return cmp.Compare(math.Abs(a), math.Abs(b)) })
	ranks := doubleRanks(logs)
	above, total := 0, 0
	for i, r := range ranks {
		total += r
		if logs[i] > 0 {
			above += r
		}
	}
	chance := make([]float64, total+1) // of each sum, over the ranks so far
	chance[0] = 1
	for _, r := range ranks {
		for sum := total; sum >= 0; sum-- {
			chance[sum] /= 2
			if sum >= r {
				chance[sum] += chance[sum-r] / 2
			}
		}
	}
	p := 0.0
	for sum, c := range chance {
		if distance(sum, total) >= distance(above, total) {
			p += c
		}
	}
	return p
}

// distance is twice how far a sum is from the middle.
func distance(sum, total int) int { return max(2*sum-total, total-2*sum) }

// doubleRanks returns the ranks of values that are sorted without their signs, from 2 on:
// doubled, because those that share a rank have the mean of theirs.
func doubleRanks(sorted []float64) []int {
	ranks := make([]int, len(sorted))
	for i := 0; i < len(sorted); {
		end := i + 1
		for end < len(sorted) && math.Abs(sorted[end]) == math.Abs(sorted[i]) {
			end++
		}
		for k := i; k < end; k++ {
			ranks[k] = i + 1 + end
		}
		i = end
	}
	return ranks
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
