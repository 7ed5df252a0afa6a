package main

import (
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
	r := resultOf("pub0-256", map[string]role{"raw64k": limit, "mqtt": ours, "fast": peer},
		map[string][]uint64{"raw64k": {1000, 1000, 2000}, "mqtt": {500, 800, 1400}, "fast": {100, 200, 200}})
	var b strings.Builder
	printTargets(&b, r)
	lines := make(map[string]string)
	for line := range strings.Lines(b.String()) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == "pub0-256" {
			lines[strings.Join(f[1:], " ")] = line
		}
	}
	for _, want := range []string{
		"QoS 0 publish mqtt ≥ 0.7 of raw64k 0.70 (0.50-0.80) met",
		"QoS 0 publish mqtt ≥ 6 of best peer 5.00 (4.00-7.00) NOT MET",
		"allocations, QoS 0 publish mqtt ≤ 0.01 per message 0.50 (0.50-0.50) NOT MET",
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
		if x.clients[0] == "mqtt" && !takesPart("mqtt", &s) {
			t.Errorf("mqtt takes no part in %s", x.scenario)
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
