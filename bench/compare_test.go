package main

import (
	"math"
	"strings"
	"testing"
)

func TestRatiosPairRounds(t *testing.T) {
	got := spreadOf(ratios(
		map[int]float64{0: 10, 1: 30, 2: 50, 3: 70},
		map[int]float64{0: 5, 1: 10, 2: 0}, // round 2 failed, round 3 is missing
	))
	if want := (spread{Median: 2.5, Min: 2, Max: 3}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// ratiosOf makes ratios whose logarithms are the differences.
func ratiosOf(differences ...float64) []float64 {
	ratios := make([]float64, len(differences))
	for i, d := range differences {
		ratios[i] = math.Exp(d)
	}
	return ratios
}

func TestSignedRankOfKnownData(t *testing.T) {
	for _, c := range []struct {
		what   string
		ratios []float64
		want   float64
	}{
		{"nothing", nil, 1},
		{"one", ratiosOf(1), 1},
		{"five above", ratiosOf(1, 2, 3, 4, 5), 2. / 32},
		{"six above", ratiosOf(1, 2, 3, 4, 5, 6), 2. / 64},
		{"six below", ratiosOf(-1, -2, -3, -4, -5, -6), 2. / 64},
		{"the smallest on the other side", ratiosOf(-1, 2, 3, 4, 5, 6), 4. / 64},
		{"a ratio of 1", append(ratiosOf(1, 2, 3, 4, 5, 6), 1), 2. / 64},
		// Depression scores of nine patients at two visits (Hollander and Wolfe, 1973).
		{"textbook", ratiosOf(0.952, -0.147, 1.022, 0.430, 0.620, 0.590, 0.490, -0.080, 0.010), 20. / 512},
		// Of three equal differences, each has the rank 2: sums are 0, 2, 4, 6.
		{"equal ones", []float64{2, 2, 0.5}, 1},
		{"all equal", []float64{2, 2, 2, 2}, 2. / 16},
	} {
		if got := signedRank(c.ratios); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: p = %v, want %v", c.what, got, c.want)
		}
	}
}

// Sums of ranks at or below which a difference counts at 5 %, from printed tables.
func TestSignedRankAgreesWithTables(t *testing.T) {
	for n, critical := range map[int]int{6: 0, 7: 2, 8: 3, 9: 5, 10: 8, 12: 13, 15: 25, 20: 52, 25: 89} {
		if p := signedRank(ranked(n, critical)); p > 0.05 {
			t.Errorf("%d pairs, sum %d: p = %v", n, critical, p)
		}
		if p := signedRank(ranked(n, critical+1)); p <= 0.05 {
			t.Errorf("%d pairs, sum %d: p = %v", n, critical+1, p)
		}
	}
}

// ranked makes n ratios of different size; the ranks of those below 1 have the sum.
func ranked(n, sum int) []float64 {
	d := make([]float64, n)
	for rank := n; rank > 0; rank-- {
		d[rank-1] = float64(rank)
		if rank <= sum {
			d[rank-1] = -d[rank-1]
			sum -= rank
		}
	}
	return ratiosOf(d...)
}

func TestComparisonIsTheSameFromBothSides(t *testing.T) {
	a := map[int]float64{0: 10, 1: 30, 2: 50, 3: 70, 4: 20, 5: 25}
	b := map[int]float64{0: 11, 1: 22, 2: 49, 3: 35, 4: 21, 5: 10}
	of, by := ratioOf(a, b), ratioOf(b, a)
	if of.P != by.P || of.P <= 0 || of.P > 1 {
		t.Errorf("p = %v and %v", of.P, by.P)
	}
	if math.Abs(of.Low*by.High-1) > 1e-12 || math.Abs(of.High*by.Low-1) > 1e-12 {
		t.Errorf("intervals %v and %v", of.spread, by.spread)
	}
	if self := ratioOf(a, a); self.P != 0 || self.Median != 1 {
		t.Errorf("a client differs from itself: %+v", self)
	}
}

func TestTableHasIntervalsFromSixRoundsOn(t *testing.T) {
	rates := map[string][]uint64{"raw64k": {1000, 1000, 2000, 1000, 1000}, "mqtt": {500, 800, 1400, 600, 700}}
	roles := map[string]role{"raw64k": limit, "mqtt": ours}
	var b strings.Builder
	table(&b, resultOf("pub0-256", roles, rates).Summary)
	if !strings.Contains(b.String(), "no intervals: they need 6 rounds") {
		t.Errorf("five rounds are enough in\n%s", b.String())
	}
	rates["raw64k"] = append(rates["raw64k"], 1000)
	rates["mqtt"] = append(rates["mqtt"], 900)
	b.Reset()
	table(&b, resultOf("pub0-256", roles, rates).Summary)
	if !strings.Contains(strings.Join(strings.Fields(b.String()), " "), "mqtt 0.5-1.4 0.50-0.90 0.031 - - - -") {
		t.Errorf("no interval of mqtt in\n%s", b.String())
	}
}
