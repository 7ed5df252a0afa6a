package main

import (
	"math"
	"strings"
	"testing"
)

// resultOf makes a result of rounds for each client of a scenario.
func resultOf(scenario string, roles map[string]role, rates map[string][]uint64) *result {
	r := &result{}
	for client, list := range rates {
		for round, rate := range list {
			r.Samples = append(r.Samples, sample{Scenario: scenario, Client: client, Round: round, Messages: rate, Seconds: 1, Mallocs: rate / 2})
		}
	}
	r.Summary = summarize(r.Samples, roles)
	return r
}

func TestTargetsJudgeMedians(t *testing.T) {
	r := resultOf("pub0-256", map[string]role{"sketch": sketch, "mqtt": ours, "fast": peer},
		map[string][]uint64{"sketch": {500, 800, 1400}, "mqtt": {500, 800, 1400}, "fast": {100, 200, 200}})
	var b strings.Builder
	printTargets(&b, r)
	lines := make(map[string]string)
	for line := range strings.Lines(b.String()) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == "pub0-256" {
			lines[strings.Join(f[1:], " ")] = line
		}
	}
	for _, want := range []string{
		"QoS 0 publish mqtt ≥ 1 of sketch 1.00 (1.00-1.00) - met",
		"QoS 0 publish mqtt ≥ 6 of best peer 5.00 (4.00-7.00) - NOT MET",
		"allocations, QoS 0 publish mqtt ≤ 0.01 per message 0.50 (0.50-0.50) - NOT MET",
	} {
		if lines[want] == "" {
			t.Errorf("no line %q in\n%s", want, b.String())
		}
	}
	if !strings.Contains(b.String(), "2 not met, ") {
		t.Errorf("no count in\n%s", b.String())
	}
}

func TestTargetTakesBestOfSeveralWays(t *testing.T) {
	r := resultOf("recv0-256", map[string]role{"raw64k": limit, "mqtt-all": ours, "mqtt-handle": ours},
		map[string][]uint64{"raw64k": {100}, "mqtt-all": {40}, "mqtt-handle": {50}})
	x := target{scenario: "recv0-256", clients: []string{"mqtt-all", "mqtt-handle", "mqtt-lent"}, value: ofClient("raw64k"), want: 0.45}
	if client, v, measured := x.best(r); client != "mqtt-handle" || v.Median != 0.5 || !measured || !x.met(v) {
		t.Errorf("%s %v %v", client, v, measured)
	}
	x.clients = []string{"mqtt-lent"}
	if _, _, measured := x.best(r); measured {
		t.Error("a client that took no part is measured")
	}
}

func TestTargetsNameWhatExists(t *testing.T) {
	for _, x := range targets() {
		s, err := findScenario(x.scenario)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, name := range x.clients {
			if !takesPart(name, &s) {
				t.Errorf("%s takes no part in %s", name, x.scenario)
			}
			if strings.HasPrefix(x.unit, "of sketch") && !takesPart(sketchFor(name), &s) {
				t.Errorf("%s has no sketch in %s", name, x.scenario)
			}
		}
	}
}

func takesPart(name string, s *scenario) bool {
	for _, e := range clients() {
		if e.name == name && e.takesPart(s) {
			return true
		}
	}
	return false
}

// TestStandInsFollowFromFigures has the figures of README.md.
func TestStandInsFollowFromFigures(t *testing.T) {
	for _, c := range []struct{ got, ofSketch, ofPeer, want float64 }{
		{forPascaldekloe, 0.47, 0.75, 1.2},
		{forPascaldekloe16, 0.22, 0.44, 1.2},
		{forMQ3, 0.40, 1.8, 3},
		{forMQ3, 0.56, 2.5, 3},
		{forMQ5, 0.62, 4.1, 5},
		{forMQ3Blocking, 0.98, 2.2, 3},
	} {
		if want := c.ofSketch / c.ofPeer * c.want; math.Abs(c.got-want) > 0.01 {
			t.Errorf("%v of the sketch, want %v", c.got, want)
		}
	}
}

func TestTargetOfRoundTripIsInMicroseconds(t *testing.T) {
	r := &result{Samples: []sample{{Scenario: "seq1", Client: "mqtt", Messages: 1, Seconds: 1, Latency: &latency{P50: 44}}}}
	r.Summary = summarize(r.Samples, map[string]role{"mqtt": ours})
	x := target{scenario: "seq1", clients: usual, value: roundTrip, want: 45, atMost: true}
	if _, v, measured := x.best(r); !measured || v.Median != 44 || !x.met(v) {
		t.Errorf("%v", v)
	}
}
