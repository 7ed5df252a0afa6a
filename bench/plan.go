package main

import (
	"fmt"
	"regexp"
	"slices"
)

// plan is the scenarios of a run with the clients that take part in each.
type plan struct {
	scenario
	entries []entry
}

// choose makes the plans of a run, with notes about what cannot take part.
func choose(scenarioExpr, clientExpr string) (plans []plan, notes []string, err error) {
	wanted, err := regexp.Compile(scenarioExpr)
	if err != nil {
		return nil, nil, err
	}
	measured, err := regexp.Compile(clientExpr)
	if err != nil {
		return nil, nil, err
	}
	entries, notes := available(slices.DeleteFunc(clients(), func(e entry) bool { return !measured.MatchString(e.name) }))
	_, missing := findMosquitto()
	for _, s := range scenarios {
		if !wanted.MatchString(s.name) {
			continue
		}
		if s.server == "mosquitto" && missing != nil {
			notes = append(notes, s.name+" is skipped: mosquitto is missing")
			continue
		}
		p := plan{scenario: s}
		for _, e := range entries {
			if e.takesPart(&s) {
				p.entries = append(p.entries, e)
			}
		}
		plans = append(plans, p)
	}
	return plans, notes, nil
}

func (p *plan) roles() map[string]role {
	roles := make(map[string]role)
	for _, e := range p.entries {
		roles[e.name] = e.role
	}
	return roles
}

// available splits the clients of a run into those that can run and notes about
// the others.
func available(entries []entry) (run []entry, notes []string) {
	for _, e := range entries {
		if e.external != nil {
			if _, err := e.external.prepare(); err != nil {
				notes = append(notes, fmt.Sprintf("%s is skipped: %v", e.name, err))
				continue
			}
		}
		run = append(run, e)
	}
	return run, notes
}
