package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// target is what this library wants to reach in a scenario.
type target struct {
	what     string
	scenario string
	clients  []string // ways to use this library; the best of them counts
	value    yardstick
	want     float64
	unit     string
	atMost   bool // instead of at least
}

// yardstick finds a value of a client in a scenario. A zero spread says that it
// was not measured.
type yardstick func(r *result, scenario, client string) spread

// ofClient is the ratio to another client, round by round.
func ofClient(other string) yardstick {
	return func(r *result, scenario, client string) spread {
		return spreadOf(ratios(r.scores(scenario, client), r.scores(scenario, other)))
	}
}

func ofPeer(r *result, scenario, client string) spread { return r.find(scenario, client).OfPeer.spread }

// ofSketch compares with the sketch that receives in the same way.
func ofSketch(r *result, scenario, client string) spread {
	return r.find(scenario, client).OfSketch.spread
}

// roundTrip is in microseconds.
func roundTrip(r *result, scenario, client string) spread {
	if l := r.find(scenario, client).Latency; l != nil {
		return l.P50
	}
	return spread{}
}

func allocations(r *result, scenario, client string) spread { return r.find(scenario, client).Mallocs }

func allocated(r *result, scenario, client string) spread { return r.find(scenario, client).Bytes }

func memory(r *result, scenario, client string) spread {
	if i := r.find(scenario, client).Idle; i != nil {
		return i.Both.in(1024)
	}
	return spread{}
}

func goroutines(r *result, scenario, client string) spread {
	if i := r.find(scenario, client).Idle; i != nil {
		return i.Goroutines
	}
	return spread{}
}

// met says whether a value, the median, is what the target wants.
func (t *target) met(v spread) bool {
	if t.atMost {
		return v.Median <= t.want
	}
	return v.Median >= t.want
}

// best returns the value of the best of the clients; measured is false when none
// took part or finished.
func (t *target) best(r *result) (client string, v spread, measured bool) {
	for _, name := range t.clients {
		if r.find(t.scenario, name).Rounds == 0 {
			continue
		}
		got := t.value(r, t.scenario, name)
		better := got.Median > v.Median
		if t.atMost {
			better = got.Median < v.Median
		}
		// A ratio is zero when what it compares with is missing; an allocation may be.
		if got.Median == 0 && !t.atMost {
			continue
		}
		if !measured || better {
			client, v, measured = name, got, true
		}
	}
	return client, v, measured
}

// printTargets prints a line for each target, and how many are not met.
func printTargets(w io.Writer, r *result) {
	fmt.Fprintln(w, "\ntargets")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "scenario\twhat\tclient\ttarget\tmeasured (min-max)\t95 %\t\t")
	missed, unmeasured := 0, 0
	for _, x := range targets() {
		sign := "≥"
		if x.atMost {
			sign = "≤"
		}
		client, v, measured := x.best(r)
		measuredText, verdict := "-", "not measured"
		interval := between(v, "%.2f")
		switch {
		case !measured:
			unmeasured++
		case x.met(v):
			measuredText, verdict = precisely(v), "met"
		default:
			measuredText, verdict = precisely(v), "NOT MET"
			missed++
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s %.4g %s\t%s\t%s\t%s\t\n",
			x.scenario, x.what, client, sign, x.want, x.unit, measuredText, interval, verdict)
	}
	t.Flush()
	fmt.Fprintf(w, "%d targets, %d not met, %d not measured\n", len(targets()), missed, unmeasured)
}

func precisely(v spread) string {
	return fmt.Sprintf("%.2f (%.2f-%.2f)", v.Median, v.Min, v.Max)
}
