package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"
)

// TestBenchstatReadsSamples reads what is written as benchstat does.
func TestBenchstatReadsSamples(t *testing.T) {
	r := result{Host: host{CPU: "Z80", Cores: 2}, Commit: "abc", Samples: []sample{
		{Scenario: "pub0-256", Client: "gomqtt-0", Messages: 4000, Seconds: 2, CPU: 1, Mallocs: 8000, Bytes: 16_000, Reads: 40, Writes: 400},
		{Scenario: "pub0-256", Client: "paho-c", Messages: 10, Seconds: 1, Version: "1.3"},
		{Scenario: "pub0-256", Client: "broken", Error: "hangs"},
		{Scenario: "seq1", Client: "mqtt", Messages: 10, Seconds: 1, Latency: &latency{P50: 40, P99: 50, P999: 60}},
		{Scenario: "load1-10", Client: "mqtt", Messages: 10, Seconds: 1, Latency: &latency{P50: 40}, Load: &load{}},
		{Scenario: "idle-2000", Client: "mqtt", Idle: &idle{Heap: 3, Stack: 4, Goroutines: 5}},
		{Scenario: "return", Client: "mqtt", Comeback: &comeback{Connect: 1, Subscribe: 2}},
		{Scenario: "start-0", Client: "mqtt", Start: &start{Open: 1, Start: 2}},
	}}
	var b bytes.Buffer
	if err := r.benchstat(&b); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]*benchfmt.Result)
	f := benchfmt.NewReader(bytes.NewReader(b.Bytes()), "test")
	for f.Scan() {
		switch x := f.Result().(type) {
		case *benchfmt.Result:
			got[x.Name.String()] = x.Clone()
		case *benchfmt.SyntaxError:
			t.Error(x)
		}
	}
	if f.Err() != nil || len(got) != 7 {
		t.Fatalf("error %v, %v in\n%s", f.Err(), slices.Collect(maps.Keys(got)), b.String())
	}
	x := got["MQTT/scenario=pub0-256/client=gomqtt-0-2"]
	for unit, want := range map[string]float64{"msg/s": 2000, "cpu-sec/op": 250e-6, "B/op": 4, "allocs/op": 2, "reads/op": 0.01, "writes/op": 0.1} {
		if v, ok := x.Value(unit); v != want || !ok {
			t.Errorf("%v %s, want %v", v, unit, want)
		}
	}
	if x.Iters != 4000 || x.GetConfig("cpu") != "Z80" {
		t.Errorf("%d iterations, cpu %q", x.Iters, x.GetConfig("cpu"))
	}
	if better := f.Units().GetBetter("msg/s"); better != 1 {
		t.Errorf("more messages are %d", better)
	}
	for _, unit := range lower {
		if f.Units().GetBetter(unit) != -1 {
			t.Errorf("less %s is not better", unit)
		}
		if !strings.Contains(strings.ReplaceAll(b.String(), "Unit "+unit, ""), " "+unit) {
			t.Errorf("no value in %s", unit)
		}
	}
	if _, ok := got["MQTT/scenario=pub0-256/client=paho-c-2"].Value("allocs/op"); ok {
		t.Error("allocations of a client in C")
	}
	if v, _ := got["MQTT/scenario=seq1/client=mqtt-2"].Value("p50-sec"); v != 40e-6 {
		t.Errorf("p50 is %v s", v)
	}
	if _, ok := got["MQTT/scenario=load1-10/client=mqtt-2"].Value("msg/s"); ok {
		t.Error("a rate that was given")
	}
}
