package simulation

import (
	"fmt"
	"slices"
	"strings"
)

// Shrink returns a shorter schedule that fails in the same way: its error begins with the same
// words. A schedule that does not fail comes back as it is.
func Shrink(s Schedule) Schedule {
	_, err := Run(&s)
	if err == nil {
		return s
	}
	kind := kindOf(err)
	fails := func(of *Schedule) bool {
		_, err := Run(of)
		return err != nil && kindOf(err) == kind
	}
	for before := -1; before != len(s.Steps); {
		before = len(s.Steps)
		s = fewerSteps(s, fails)
		s = simplerSetup(s, fails)
	}
	return s
}

// kindOf is the part of an error that is the same for different messages.
func kindOf(err error) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
}

// fewerSteps leaves out parts of the steps, first large ones.
func fewerSteps(s Schedule, fails func(*Schedule) bool) Schedule {
	for size := max(1, len(s.Steps)/2); size > 0; size /= 2 {
		for at := 0; at < len(s.Steps); {
			shorter := s
			shorter.Steps = slices.Delete(slices.Clone(s.Steps), at, min(at+size, len(s.Steps)))
			if fails(&shorter) {
				s = shorter
			} else {
				at += size
			}
		}
	}
	return s
}

// simplerSetup tries the simplest value of each setting.
func simplerSetup(s Schedule, fails func(*Schedule) bool) Schedule {
	try := func(change func(*Setup)) {
		simpler := s
		simpler.Setup.Servers = slices.Clone(s.Setup.Servers)
		change(&simpler.Setup)
		if fails(&simpler) {
			s = simpler
		}
	}
	for len(s.Setup.Servers) > 1 {
		n := len(s.Setup.Servers)
		try(func(of *Setup) { of.Servers = of.Servers[:n-1] })
		if len(s.Setup.Servers) == n {
			break
		}
	}
	try(func(of *Setup) { of.Clients = 1 })
	try(func(of *Setup) { of.Store = false })
	try(func(of *Setup) { of.Resume = false })
	try(func(of *Setup) { of.Window = 1000 })
	try(func(of *Setup) { of.Inflight = 0 })
	try(func(of *Setup) { of.TopicAliases, of.AliasMax = 0, 0 })
	try(func(of *Setup) { of.KeepAlive = 0 })
	try(func(of *Setup) { of.ReceiveMax = 0 })
	for i := range s.Setup.Servers {
		try(func(of *Setup) { of.Servers[i] = ServerSetup{MaximumQoS: 2} })
		try(func(of *Setup) { of.Servers[i].Engine = false })
		try(func(of *Setup) { of.Servers[i].Lazy = false })
		try(func(of *Setup) { of.Servers[i].Late = false })
		try(func(of *Setup) { of.Servers[i].Silent = false })
		try(func(of *Setup) { of.Servers[i].NoDup = false })
		try(func(of *Setup) { of.Servers[i].Poison = false })
		try(func(of *Setup) { of.Servers[i].Refuses = false })
		try(func(of *Setup) { of.Servers[i].Stride = 0 })
		try(func(of *Setup) { of.Servers[i].ReceiveMax = 0 })
		try(func(of *Setup) { of.Servers[i].AliasMax = 0 })
	}
	return s
}

// Script prints a schedule as Go source.
func Script(s *Schedule) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Schedule{Seed: %d, Setup: %+v, Steps: []Step{\n", s.Seed, s.Setup)
	for _, step := range s.Steps {
		fmt.Fprintf(&b, "\t{%s, %d, %d, %d},\n", names[step.Kind], step.A, step.B, step.C)
	}
	b.WriteString("}}\n")
	return b.String()
}
