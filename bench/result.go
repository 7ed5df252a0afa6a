package main

import (
	"encoding/json"
	"os"
	"slices"
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

func (r *result) write(file string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

func readResult(file string) (*result, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(result)
	return r, json.Unmarshal(b, r)
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

// find returns an empty summary for what was not measured.
func (r *result) find(scenario, client string) summary {
	for _, s := range r.Summary {
		if s.Scenario == scenario && s.Client == client {
			return s
		}
	}
	return summary{}
}

// scores returns what a client reached in each round.
func (r *result) scores(scenario, client string) map[int]float64 {
	scores := make(map[int]float64)
	for i := range r.Samples {
		if s := &r.Samples[i]; s.Scenario == scenario && s.Client == client {
			scores[s.Round] = s.score()
		}
	}
	return scores
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
