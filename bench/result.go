package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// result is what -json writes.
type result struct {
	Time     time.Time         `json:"time"`
	Host     host              `json:"host"`
	Commit   string            `json:"commit"` // of the repository; a + means changed since
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	Duration float64           `json:"duration_seconds"`
	Notes    []string          `json:"notes,omitempty"`
	Summary  []summary         `json:"summary"`
	Samples  []sample          `json:"samples"`
}

type host struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"`
	Memory    string `json:"memory"`
	Kernel    string `json:"kernel"`
	GoVersion string `json:"go"`
}

func goVersion() string { return runtime.Version() }

func cores() int { return runtime.GOMAXPROCS(0) }

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
	OfLimit spread `json:"of_limit"`
	Peer    string `json:"peer,omitempty"`
	OfPeer  spread `json:"of_peer"`

	CPU     float64 `json:"cpu_ns"` // these are medians per message
	Mallocs float64 `json:"mallocs"`
	Bytes   float64 `json:"bytes"`
	Reads   float64 `json:"reads"`
	Writes  float64 `json:"writes"`

	Latency  *latency `json:"latency,omitempty"` // medians
	Idle     *idle    `json:"idle,omitempty"`
	Lost     int64    `json:"lost,omitempty"` // sum
	Disorder uint64   `json:"disorder,omitempty"`
	Errors   []string `json:"errors,omitempty"`
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
		s.OfLimit = spreadOf(ratios(scores[name], scores[s.Limit]))
		s.OfPeer = spreadOf(ratios(scores[name], scores[s.Peer]))
		list = append(list, s)
	}
	return list
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
	over := func(f func(*sample) float64) spread {
		var values []float64
		for i := range good {
			values = append(values, f(&good[i]))
		}
		return spreadOf(values)
	}
	s.Rate = over((*sample).rate)
	s.CPU = over(func(x *sample) float64 { return x.per(x.CPU * 1e9) }).Median
	s.Mallocs = over(func(x *sample) float64 { return x.per(float64(x.Mallocs)) }).Median
	s.Bytes = over(func(x *sample) float64 { return x.per(float64(x.Bytes)) }).Median
	s.Reads = over(func(x *sample) float64 { return x.per(float64(x.Reads)) }).Median
	s.Writes = over(func(x *sample) float64 { return x.per(float64(x.Writes)) }).Median
	if good[0].Latency != nil {
		s.Latency = &latency{
			P50:  over(func(x *sample) float64 { return x.Latency.P50 }).Median,
			P99:  over(func(x *sample) float64 { return x.Latency.P99 }).Median,
			P999: over(func(x *sample) float64 { return x.Latency.P999 }).Median,
		}
	}
	if good[0].Idle != nil {
		s.Idle = &idle{
			Heap:       over(func(x *sample) float64 { return x.Idle.Heap }).Median,
			Stack:      over(func(x *sample) float64 { return x.Idle.Stack }).Median,
			Goroutines: over(func(x *sample) float64 { return x.Idle.Goroutines }).Median,
		}
	}
	return s
}

// versions of what is measured, as far as it can be known.
func versions(samples []sample) map[string]string {
	v := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if libraries[m.Path] {
				v[m.Path] = m.Version
			}
		}
	}
	for _, s := range samples {
		if s.Version != "" {
			v[s.Client] = s.Version
		}
	}
	if m := mosquittoVersion(); m != "" {
		v["mosquitto"] = m
	}
	return v
}

// commit of the repository around this module, if there is one.
func commit() string {
	hash, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	name := strings.TrimSpace(string(hash))
	if changes, err := exec.Command("git", "status", "--porcelain").Output(); err != nil || len(changes) > 0 {
		name += "+"
	}
	return name
}

func (r *result) write(file string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// of returns the summaries of a scenario.
func (r *result) of(scenario string) []summary {
	var list []summary
	for _, s := range r.Summary {
		if s.Scenario == scenario {
			list = append(list, s)
		}
	}
	return list
}

// scenarios returns the names in the order in which they were measured.
func (r *result) scenarios() []string {
	var names []string
	for _, s := range r.Summary {
		if !slices.Contains(names, s.Scenario) {
			names = append(names, s.Scenario)
		}
	}
	return names
}
