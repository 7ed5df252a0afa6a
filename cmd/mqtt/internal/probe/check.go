package probe

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Answer is what a check has found.
type Answer string

const (
	Yes   Answer = "yes"
	No    Answer = "no"
	Wrong Answer = "wrong" // the server breaks the specification, or what it has announced
	Value Answer = "value" // neither: a figure or a text
	// NotTested comes with the reason as the note.
	NotTested Answer = "not tested"
)

// Check is one row of the result.
type Check struct {
	Group  string  `json:"group"`
	Name   string  `json:"name"`
	Answer Answer  `json:"answer"`
	Value  string  `json:"value,omitempty"`  // a figure or a text, for people
	Number *int64  `json:"number,omitempty"` // the figure
	Note   string  `json:"note,omitempty"`
	Took   float64 `json:"milliseconds"`
}

// finding is what a check returns.
type finding struct {
	answer Answer
	value  string
	number *int64
	note   string
}

func yes(value string) finding { return finding{answer: Yes, value: value} }

func no(note string) finding { return finding{answer: No, note: note} }

func wrong(format string, args ...any) finding {
	return finding{answer: Wrong, note: fmt.Sprintf(format, args...)}
}

func text(value string) finding { return finding{answer: Value, value: value} }

func figure(n int64, unit string) finding {
	f := finding{answer: Value, value: fmt.Sprint(n), number: &n}
	if unit != "" {
		f.value += " " + unit
	}
	return f
}

// with adds a note.
func (f finding) with(format string, args ...any) finding {
	f.note = fmt.Sprintf(format, args...)
	return f
}

// untestedError says why a check cannot be made.
type untestedError string

// Error returns the reason.
func (e untestedError) Error() string { return string(e) }

// errSlow is the cause of the context of a check that has taken too long.
var errSlow = errors.New("no answer in time")

// test is a check that can be run.
type test struct {
	group, name string
	deep        bool                  // only with --deep
	long        int                   // how many times the usual time it may take; zero means once
	unless      func(s *suite) string // why it cannot be run; nil or "": it can
	run         func(ctx context.Context, s *suite) (finding, error)
}

// perform runs a test within its time.
func (s *suite) perform(ctx context.Context, t *test) Check {
	c := Check{Group: t.group, Name: t.name}
	reason := ""
	if t.deep && !s.options.Deep {
		reason = "needs --deep"
	} else if t.unless != nil {
		reason = t.unless(s)
	}
	if reason != "" {
		c.Answer, c.Note = NotTested, reason
		return c
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(max(1, t.long))*s.options.Timeout, errSlow)
	defer cancel()
	start := time.Now()
	f, err := t.run(ctx, s)
	s.closePeers()
	c.Took = float64(time.Since(start).Microseconds()) / 1000
	if err != nil {
		// A check that knows what an error means has made a finding of it.
		c.Answer, c.Note = NotTested, err.Error()
		return c
	}
	c.Answer, c.Value, c.Number, c.Note = f.answer, f.value, f.number, f.note
	return c
}
