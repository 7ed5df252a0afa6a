package main

import "strings"

// summary is one client in one scenario over all rounds.
type summary struct {
	Scenario string `json:"scenario"`
	Client   string `json:"client"`
	Role     role   `json:"role"`
	Rounds   int    `json:"rounds"` // that it finished

	Rate spread `json:"rate"` // messages per second
	// OfLimit and OfPeer are ratios to the best limit and the best peer, round
	// by round, so that larger is better for rates, latencies and footprints.
	Limit   string `json:"limit,omitempty"`
	OfLimit ratio  `json:"of_limit"`
	Peer    string `json:"peer,omitempty"`
	OfPeer  ratio  `json:"of_peer"`
	// OfSketch is the ratio to the sketch that receives in the same way.
	Sketch   string `json:"sketch,omitempty"`
	OfSketch ratio  `json:"of_sketch"`

	CPU     spread `json:"cpu_ns"` // these are per message
	Mallocs spread `json:"mallocs"`
	Bytes   spread `json:"bytes"`
	Reads   spread `json:"reads"`
	Writes  spread `json:"writes"`

	Written   spread `json:"written"`
	Cancelled spread `json:"cancelled"`
	Syncs     spread `json:"syncs"`
	Commits   spread `json:"commits"`
	// Synced and Slowest are milliseconds of a commit or fsync, Kept bytes in all.
	Synced  spread `json:"synced_ms"`
	Slowest spread `json:"slowest_ms"`
	Kept    spread `json:"kept"`

	// Latency and what follows is there in the scenarios that are about it.
	Latency  *latencies `json:"latency,omitempty"`
	Idle     *idles     `json:"idle,omitempty"`
	Comeback *comebacks `json:"comeback,omitempty"`
	Start    *starts    `json:"start,omitempty"`

	Lost     int64    `json:"lost,omitempty"` // sum
	Disorder uint64   `json:"disorder,omitempty"`
	Errors   []string `json:"errors,omitempty"`
}

// latencies are in microseconds. Maximum and Offered are messages per second, and
// zero where no rate was given.
type latencies struct {
	P50     spread `json:"p50"`
	P99     spread `json:"p99"`
	P999    spread `json:"p999"`
	Maximum spread `json:"maximum"`
	Offered spread `json:"offered"`
}

// idles are per client.
type idles struct {
	Heap       spread `json:"heap"` // bytes
	Stack      spread `json:"stack"`
	Both       spread `json:"both"`
	Goroutines spread `json:"goroutines"`
}

// comebacks are in milliseconds.
type comebacks struct {
	Connect   spread `json:"connect"`
	Subscribe spread `json:"subscribe"`
}

// summarize compares the samples of one scenario. The order is that of the
// first round.
func summarize(samples []sample, roles map[string]role) []summary {
	var order []string
	byClient := make(map[string][]sample)
	for _, s := range samples {
		if byClient[s.Client] == nil {
			order = append(order, s.Client)
		}
		byClient[s.Client] = append(byClient[s.Client], s)
	}
	scores := make(map[string]map[int]float64)
	best := make(map[role]string)
	for _, name := range order {
		scores[name] = make(map[int]float64)
		for _, s := range byClient[name] {
			scores[name][s.Round] = s.score()
		}
		r := roles[name]
		if m := median(scores[name]); m > 0 && (best[r] == "" || m > median(scores[best[r]])) {
			best[r] = name
		}
	}
	list := make([]summary, 0, len(order))
	for _, name := range order {
		s := summaryOf(byClient[name])
		s.Role = roles[name]
		s.Limit, s.Peer = best[limit], best[peer]
		s.OfLimit = ratioOf(scores[name], scores[s.Limit])
		s.OfPeer = ratioOf(scores[name], scores[s.Peer])
		if counterpart := sketchFor(name); median(scores[counterpart]) > 0 {
			s.Sketch = counterpart
			s.OfSketch = ratioOf(scores[name], scores[counterpart])
		}
		list = append(list, s)
	}
	return list
}

// Names of the sketches: one copies payloads for its handlers, one lends them.
const (
	sketchOwned = "sketch"
	sketchLent  = "sketch-lent"
)

// sketchFor names the sketch that a client is compared with.
func sketchFor(client string) string {
	if strings.HasPrefix(client, "mqtt-lent") {
		return sketchLent
	}
	return sketchOwned
}

func median(scores map[int]float64) float64 {
	var values []float64
	for _, v := range scores {
		values = append(values, v)
	}
	return spreadOf(values).Median
}

// summaryOf takes the samples of one client in one scenario.
func summaryOf(samples []sample) summary {
	s := summary{Scenario: samples[0].Scenario, Client: samples[0].Client}
	var good []sample
	for _, x := range samples {
		s.Lost += x.Lost
		s.Disorder += x.Disorder
		if x.Error != "" {
			s.Errors = append(s.Errors, x.Error)
			continue
		}
		good = append(good, x)
	}
	s.Rounds = len(good)
	if len(good) == 0 {
		return s
	}
	s.Rate = over(good, (*sample).rate)
	s.CPU = over(good, func(x *sample) float64 { return x.per(x.CPU * 1e9) })
	s.Mallocs = over(good, func(x *sample) float64 { return x.per(float64(x.Mallocs)) })
	s.Bytes = over(good, func(x *sample) float64 { return x.per(float64(x.Bytes)) })
	s.Reads = over(good, func(x *sample) float64 { return x.per(float64(x.Reads)) })
	s.Writes = over(good, func(x *sample) float64 { return x.per(float64(x.Writes)) })
	s.disk(good)
	s.special(good)
	return s
}

// over returns the spread of a value of the samples.
func over(samples []sample, f func(*sample) float64) spread {
	var values []float64
	for i := range samples {
		values = append(values, f(&samples[i]))
	}
	return spreadOf(values)
}

// special fills in what only some scenarios are about.
func (s *summary) special(good []sample) {
	if good[0].Latency != nil {
		s.Latency = &latencies{
			P50:  over(good, func(x *sample) float64 { return x.Latency.P50 }),
			P99:  over(good, func(x *sample) float64 { return x.Latency.P99 }),
			P999: over(good, func(x *sample) float64 { return x.Latency.P999 }),
		}
	}
	if good[0].Load != nil {
		s.Latency.Maximum = over(good, func(x *sample) float64 { return x.Load.Maximum })
		s.Latency.Offered = over(good, func(x *sample) float64 { return x.Load.Offered })
	}
	if good[0].Idle != nil {
		s.Idle = &idles{
			Heap:       over(good, func(x *sample) float64 { return x.Idle.Heap }),
			Stack:      over(good, func(x *sample) float64 { return x.Idle.Stack }),
			Both:       over(good, func(x *sample) float64 { return x.Idle.Heap + x.Idle.Stack }),
			Goroutines: over(good, func(x *sample) float64 { return x.Idle.Goroutines }),
		}
	}
	if good[0].Comeback != nil {
		s.Comeback = &comebacks{
			Connect:   over(good, func(x *sample) float64 { return x.Comeback.Connect }),
			Subscribe: over(good, func(x *sample) float64 { return x.Comeback.Subscribe }),
		}
	}
	if good[0].Start != nil {
		s.Start = startsOf(good)
	}
}
