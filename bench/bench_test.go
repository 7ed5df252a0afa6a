package main

import (
	"encoding/binary"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{Median: 3, Min: 3, Max: 3}},
		{[]float64{5, 1, 3}, spread{Median: 3, Min: 1, Max: 5}},
		{[]float64{4, 1, 3, 2}, spread{Median: 2.5, Min: 1, Max: 4}},
		{[]float64{4, 1, 3, 2, 5}, spread{Median: 3, Min: 1, Max: 5}},
		// From six values on: all of them have 31 of 32, and of ten those without the first
		// and last 1002 of 1024.
		{[]float64{4, 1, 3, 2, 5, 6}, spread{3.5, 1, 6, 1, 6}},
		{[]float64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, spread{5.5, 1, 10, 2, 9}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("spreadOf(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var hundred []int
	for i := range 100 {
		hundred = append(hundred, i+1)
	}
	for _, c := range []struct {
		sorted []int
		p      float64
		want   int
	}{
		{nil, 0.5, 0},
		{[]int{7}, 0.999, 7},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 0.999, 100},
		{hundred, 0, 1},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("percentile of %d values at %v = %d, want %d", len(c.sorted), c.p, got, c.want)
		}
	}
}

func TestSummaryNamesBestOfEachRole(t *testing.T) {
	run := func(client string, round int, rate uint64, err string) sample {
		return sample{Scenario: "x", Client: client, Round: round, Messages: rate, Seconds: 1, Mallocs: 2 * rate, Error: err}
	}
	roles := map[string]role{"raw": limit, "mqtt": ours, "slow": peer, "fast": peer, "broken": peer}
	list := summarize([]sample{
		run("raw", 0, 1000, ""), run("mqtt", 0, 500, ""), run("slow", 0, 10, ""), run("fast", 0, 100, ""), run("broken", 0, 0, "hangs"),
		run("raw", 1, 2000, ""), run("mqtt", 1, 800, ""), run("slow", 1, 10, ""), run("fast", 1, 200, ""), run("broken", 1, 0, "hangs"),
	}, roles)
	if len(list) != 5 || list[1].Client != "mqtt" {
		t.Fatalf("order of the first round is lost: %+v", list)
	}
	m := list[1]
	if m.Limit != "raw" || m.Peer != "fast" {
		t.Errorf("compared with %q and %q", m.Limit, m.Peer)
	}
	if want := (spread{Median: 0.45, Min: 0.4, Max: 0.5}); m.OfLimit.spread != want {
		t.Errorf("of limit %v, want %v", m.OfLimit, want)
	}
	if want := (spread{Median: 4.5, Min: 4, Max: 5}); m.OfPeer.spread != want {
		t.Errorf("of peer %v, want %v", m.OfPeer, want)
	}
	if m.Mallocs.Median != 2 {
		t.Errorf("%v allocations per message, want 2", m.Mallocs)
	}
	if b := list[4]; b.Rounds != 0 || len(b.Errors) != 2 {
		t.Errorf("failures are not kept: %+v", b)
	}
}

func TestLatencyAndFootprintScoreLessAsMore(t *testing.T) {
	fast, slow := sample{Latency: &latency{P50: 50}}, sample{Latency: &latency{P50: 100}}
	if fast.score() != 2*slow.score() {
		t.Error("half the latency is not twice as good")
	}
	soon, late := sample{Comeback: &comeback{Subscribe: 100}}, sample{Comeback: &comeback{Subscribe: 200}}
	if soon.score() != 2*late.score() {
		t.Error("half the time to come back is not twice as good")
	}
	small, large := sample{Idle: &idle{Heap: 1, Stack: 1}}, sample{Idle: &idle{Heap: 3, Stack: 1}}
	if small.score() != 2*large.score() {
		t.Error("half the memory is not twice as good")
	}
}

func TestTallyNoticesGapsAndReordering(t *testing.T) {
	payload := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	c := tally{cycle: 4}
	for _, n := range []uint32{0, 1, 2, 3, 0, 2, 3, 0, 1, 3, 2, 3} {
		c.message(payload(n))
	}
	// 1 is missing once; then 3 comes before 2, which breaks the row at 3, 2 and 3.
	if got := c.gaps.Load(); got != 3 {
		t.Errorf("%d gaps", got)
	}
	if got := c.n.Load(); got != 12 {
		t.Errorf("%d messages", got)
	}
}

func TestCreditIsTakenWholeAndAwaited(t *testing.T) {
	c := newCredit(3)
	if got := c.take(2); got != 2 {
		t.Errorf("took %d", got)
	}
	if got := c.take(9); got != 1 {
		t.Errorf("took %d", got)
	}
	go c.add(3)
	if !c.await(3) {
		t.Error("closed")
	}
	c.close()
	if c.take(1) != 0 || c.await(9) {
		t.Error("a closed credit gives")
	}
}

func TestRingWaitsForOldestOnly(t *testing.T) {
	var waited []int
	r := ring[int]{wait: func(i int) error { waited = append(waited, i); return nil }}
	for i := range window + 2 {
		if err := r.make(); err != nil {
			t.Fatal(err)
		}
		r.push(i)
	}
	if len(waited) != 2 || waited[0] != 0 || waited[1] != 1 {
		t.Errorf("waited for %v", waited)
	}
	if _, err := r.flush(); err != nil || len(waited) != window+2 || waited[2] != 2 {
		t.Errorf("flush waited for %d futures, error %v", len(waited), err)
	}
}

func TestIOCalls(t *testing.T) {
	reads, writes := ioCalls([]byte("rchar: 1\nwchar: 2\nsyscr: 33\nsyscw: 44\n"))
	if reads != 33 || writes != 44 {
		t.Errorf("%d reads, %d writes", reads, writes)
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		12: "12", 999: "999", 1500: "1.5k", 63_000: "63k", 999_400: "999k", 999_999: "1000k", 1.26e6: "1.26M", 67.8e6: "67.8M",
	} {
		if got := short(v); got != want {
			t.Errorf("short(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestEveryScenarioHasOursAndUniqueClients(t *testing.T) {
	for _, s := range scenarios {
		seen := make(map[string]bool)
		for _, e := range clients() {
			if !e.takesPart(&s) {
				continue
			}
			if seen[e.name] {
				t.Errorf("%s: two clients named %s", s.name, e.name)
			}
			seen[e.name] = true
		}
		if !seen["mqtt"] {
			t.Errorf("%s: our client is missing", s.name)
		}
	}
}

func TestSummaryComparesWithSketchOfSameKind(t *testing.T) {
	run := func(client string, rate uint64) sample {
		return sample{Scenario: "x", Client: client, Messages: rate, Seconds: 1}
	}
	roles := map[string]role{"raw": limit, "sketch": sketch, "sketch-lent": sketch, "mqtt": ours, "mqtt-lent-v311": ours, "slow": peer}
	list := summarize([]sample{run("raw", 1000), run("sketch", 400), run("sketch-lent", 800), run("mqtt", 200), run("mqtt-lent-v311", 600), run("slow", 100)}, roles)
	got := make(map[string]summary)
	for _, s := range list {
		got[s.Client] = s
	}
	if m := got["mqtt"]; m.Sketch != "sketch" || m.OfSketch.Median != 0.5 {
		t.Errorf("owned: %v of %s", m.OfSketch, m.Sketch)
	}
	if m := got["mqtt-lent-v311"]; m.Sketch != "sketch-lent" || m.OfSketch.Median != 0.75 {
		t.Errorf("lent: %v of %s", m.OfSketch, m.Sketch)
	}
	if m := got["mqtt"]; m.Limit != "raw" || m.Peer != "slow" {
		t.Errorf("a sketch counts as limit %q or peer %q", m.Limit, m.Peer)
	}
	list = summarize([]sample{run("mqtt", 200)}, roles)
	if list[0].Sketch != "" || list[0].OfSketch != (ratio{}) {
		t.Errorf("compared with a sketch that took no part: %+v", list[0])
	}
}
