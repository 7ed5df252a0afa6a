package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/perf/benchfmt"
)

// writeBenchstat writes a file that benchstat reads, a line for each sample.
func (r *result) writeBenchstat(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(r.benchstat(f), f.Close())
}

// lower are the units of which less is better and benchstat does not know it. Of msg/s
// more is.
var lower = []string{"cpu-ns/op", "reads/op", "writes/op", "p50-ns", "p99-ns", "p99.9-ns", "B/client", "goroutines/client",
	"connect-ns", "subscribe-ns", "open-ns", "start-ns", "heap-B", "anonymous-B"}

// benchstat leaves out samples that failed.
func (r *result) benchstat(w io.Writer) error {
	// Were these settings, benchstat would not compare runs that differ in them.
	fmt.Fprintf(w, "# commit %s, %s, %v s a sample\n", r.Commit, r.Time.Format(time.RFC3339), r.Duration)
	out := benchfmt.NewWriter(w)
	records := []benchfmt.Record{better("msg/s", "higher")}
	for _, unit := range lower {
		records = append(records, better(unit, "lower"))
	}
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.Error == "" {
			records = append(records, s.benchmark(r.Host))
		}
	}
	for _, record := range records {
		if err := out.Write(record); err != nil {
			return err
		}
	}
	return nil
}

func better(unit, direction string) *benchfmt.UnitMetadata {
	return &benchfmt.UnitMetadata{UnitMetadataKey: benchfmt.UnitMetadataKey{Unit: unit, Key: "better"}, OrigUnit: unit, Value: direction}
}

// benchmark is s as the run of a benchmark. The number of processors ends the name, as it
// does with go test: without it the end of the name of a client could be taken for one.
func (s *sample) benchmark(h host) *benchfmt.Result {
	return &benchfmt.Result{
		Config: []benchfmt.Config{
			{Key: "pkg", Value: []byte("github.com/seed65a45251/mqtt/bench"), File: true},
			{Key: "cpu", Value: []byte(h.CPU), File: true},
		},
		Name:   fmt.Appendf(nil, "MQTT/scenario=%s/client=%s-%d", s.Scenario, s.Client, h.Cores),
		Iters:  int(max(1, s.Messages)),
		Values: s.values(),
	}
}

// values are what is known of s, the one that the scenario is about first.
func (s *sample) values() (v []benchfmt.Value) {
	add := func(value float64, unit string) { v = append(v, benchfmt.Value{Value: value, Unit: unit}) }
	if l := s.Latency; l != nil {
		add(1e3*l.P50, "p50-ns")
		add(1e3*l.P99, "p99-ns")
		add(1e3*l.P999, "p99.9-ns")
	}
	if i := s.Idle; i != nil {
		add(i.Heap+i.Stack, "B/client")
		add(i.Goroutines, "goroutines/client")
	}
	if c := s.Comeback; c != nil {
		add(1e6*c.Subscribe, "subscribe-ns")
		add(1e6*c.Connect, "connect-ns")
	}
	if x := s.Start; x != nil {
		add(1e6*x.Open, "open-ns")
		add(1e6*x.Start, "start-ns")
		add(1e6*x.Connect, "connect-ns")
		add(x.Heap, "heap-B")
		add(x.Anonymous, "anonymous-B")
	}
	if s.Messages > 0 {
		s.addConsumption(add)
	}
	return v
}

// addConsumption adds what a message took. With a load the rate is given, not measured.
func (s *sample) addConsumption(add func(value float64, unit string)) {
	if s.Load == nil {
		add(s.rate(), "msg/s")
	}
	add(s.per(s.CPU*1e9), "cpu-ns/op")
	if s.Version == "" { // of clients in C and JavaScript they are not known
		add(s.per(float64(s.Bytes)), "B/op")
		add(s.per(float64(s.Mallocs)), "allocs/op")
	}
	add(s.per(float64(s.Reads)), "reads/op")
	add(s.per(float64(s.Writes)), "writes/op")
}
