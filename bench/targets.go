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

func ofPeer(r *result, scenario, client string) spread { return r.find(scenario, client).OfPeer }

// ofScenario is the ratio to the same client's rate in another scenario.
func ofScenario(other string) yardstick {
	return func(r *result, scenario, client string) spread {
		return spreadOf(ratios(r.scores(scenario, client), r.scores(other, client)))
	}
}

// slower is how many times the latency of another client.
func slower(other string) yardstick {
	return func(r *result, scenario, client string) spread {
		return spreadOf(ratios(r.scores(scenario, other), r.scores(scenario, client)))
	}
}

func allocations(r *result, scenario, client string) spread { return r.find(scenario, client).Mallocs }

func allocated(r *result, scenario, client string) spread { return r.find(scenario, client).Bytes }

func memory(r *result, scenario, client string) spread {
	if i := r.find(scenario, client).Idle; i != nil {
		return spread{i.Both.Median / 1024, i.Both.Min / 1024, i.Both.Max / 1024}
	}
	return spread{}
}

func goroutines(r *result, scenario, client string) spread {
	if i := r.find(scenario, client).Idle; i != nil {
		return i.Goroutines
	}
	return spread{}
}

// targets are those that the project has set itself.
func targets() []target {
	client := []string{"mqtt"}
	anyOwned := []string{"mqtt-all", "mqtt-handle"}
	lent := []string{"mqtt-lent"}
	limit := ofClient("raw64k")
	list := []target{
		{"QoS 0 publish", "pub0-256", client, limit, 0.70, "of raw64k", false},
		{"QoS 0 publish", "pub0-256", client, ofPeer, 6, "of best peer", false},
		{"QoS 0 publish, 16 B", "pub0-16", client, limit, 0.50, "of raw64k", false},
		{"QoS 0 publish, 4 KiB", "pub0-4096", client, limit, 0.80, "of raw64k", false},
		{"QoS 1 asynchronous", "async1-256", client, limit, 0.70, "of raw64k", false},
		{"QoS 1 asynchronous", "async1-256", client, ofPeer, 3.5, "of best peer", false},
		{"QoS 2 asynchronous", "async2-256", client, limit, 0.90, "of raw64k", false},
		{"QoS 2 asynchronous", "async2-256", client, ofPeer, 4, "of best peer", false},
		{"QoS 1, 64 goroutines", "block1-64", client, ofPeer, 2.5, "of best peer", false},
		{"QoS 2, 64 goroutines", "block2-64", client, ofPeer, 3, "of best peer", false},
		{"QoS 1 one at a time, p50", "seq1", client, slower("raw1"), 1.05, "times raw1", true},
		{"QoS 1 one at a time, p50", "seq1", client, ofPeer, 1, "of best peer", false},
		{"receive QoS 0, Messages", "recv0-256", client, limit, 0.35, "of raw64k", false},
		{"receive QoS 0, Messages", "recv0-256", client, ofPeer, 1.5, "of best peer", false},
		{"receive QoS 0, All or Handle", "recv0-256", anyOwned, limit, 0.45, "of raw64k", false},
		{"receive QoS 0, All or Handle", "recv0-256", anyOwned, ofPeer, 2, "of best peer", false},
		{"receive QoS 0, lent", "recv0-256", lent, limit, 0.80, "of raw64k", false},
		{"receive QoS 0, lent", "recv0-256", lent, ofPeer, 1, "of best peer", false},
		{"receive QoS 1, owned", "recv1-256", anyOwned, limit, 0.55, "of raw64k", false},
		{"receive QoS 1, owned", "recv1-256", anyOwned, ofPeer, 3.5, "of best peer", false},
		{"receive QoS 1, lent", "recv1-256", lent, limit, 0.75, "of raw64k", false},
		{"receive QoS 1, lent", "recv1-256", lent, ofPeer, 4.5, "of best peer", false},
		{"10,000 filters", "filters-10000", client, ofScenario("filters-1"), 0.90, "of one filter", false},
		{"10,000 filters", "filters-10000", client, ofPeer, 100, "of best peer", false},
	}
	list = append(list, transportTargets(client)...)
	return append(list, costTargets(client, anyOwned)...)
}

// transportTargets compare with a raw loop over the same library.
func transportTargets(client []string) (list []target) {
	for _, t := range []struct{ name, suffix string }{{"TLS", "-tls"}, {"WebSocket", "-ws"}} {
		for _, s := range []string{"pub0-256", "async1-256", "recv0-256", "recv1-256"} {
			list = append(list,
				target{t.name, s + t.suffix, client, ofClient("raw64k"), 0.90, "of raw64k", false},
				target{t.name, s + t.suffix, client, ofPeer, 1, "of best peer", false})
		}
	}
	return list
}

// costTargets leave a hundredth for what the harness and the runtime allocate.
func costTargets(client, anyOwned []string) []target {
	const none, one = 0.01, 1.01
	return []target{
		{"allocations, QoS 0 publish", "pub0-256", client, allocations, none, "per message", true},
		{"allocations, QoS 1 asynchronous", "async1-256", client, allocations, one, "per message", true},
		{"allocations, QoS 2 asynchronous", "async2-256", client, allocations, one, "per message", true},
		{"allocations, QoS 1 blocking", "block1-64", client, allocations, one, "per message", true},
		{"allocations, QoS 2 blocking", "block2-64", client, allocations, one, "per message", true},
		{"allocations, receive, Messages", "recv0-256", client, allocations, one, "per message", true},
		{"allocations, receive, All or Handle", "recv0-256", anyOwned, allocations, one, "per message", true},
		{"1 MiB copied at most once", "pub0-1M", client, allocated, 1.01 * (1 << 20), "B per message", true},
		{"idle, 2,000 clients", "idle-2000", client, goroutines, 5, "goroutines", true},
		{"idle, 2,000 clients", "idle-2000", client, memory, 20, "KiB", true},
		{"idle, 10,000 clients", "idle-10000", client, goroutines, 5, "goroutines", true},
		{"idle, 10,000 clients", "idle-10000", client, memory, 20, "KiB", true},
	}
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
	fmt.Fprintln(t, "scenario\twhat\tclient\ttarget\tmeasured (min-max)\t\t")
	missed, unmeasured := 0, 0
	for _, x := range targets() {
		sign := "≥"
		if x.atMost {
			sign = "≤"
		}
		client, v, measured := x.best(r)
		measuredText, verdict := "-", "not measured"
		switch {
		case !measured:
			unmeasured++
		case x.met(v):
			measuredText, verdict = precisely(v), "met"
		default:
			measuredText, verdict = precisely(v), "NOT MET"
			missed++
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s %.4g %s\t%s\t%s\t\n", x.scenario, x.what, client, sign, x.want, x.unit, measuredText, verdict)
	}
	t.Flush()
	fmt.Fprintf(w, "%d targets, %d not met, %d not measured\n", len(targets()), missed, unmeasured)
}

func precisely(v spread) string {
	return fmt.Sprintf("%.2f (%.2f-%.2f)", v.Median, v.Min, v.Max)
}
