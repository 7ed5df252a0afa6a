package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// trial is one run of a check: the script's side of its connections.
type trial struct {
	ctx     context.Context
	s       *subject
	version wire.Version
	prefix  string // of client identifiers and topics, which no other trial uses

	callers  []*caller
	sessions map[string]bool // client identifiers whose sessions the trial has to end
	retained []string        // topics that the trial has to clear
	remarks  []string
	step     string // what the script is at, for the text of a failure; often ""
	departs  bool   // from what the text advises
}

// verdict is how a trial ends early, by a panic.
type verdict struct {
	outcome Outcome
	seen    string
}

func (t *trial) fail(format string, args ...any) {
	seen := fmt.Sprintf(format, args...)
	if t.step != "" {
		seen += " (" + t.step + ")"
	}
	panic(verdict{Fails, seen})
}

// cannot ends a trial of something that the server does not have.
func (t *trial) cannot(format string, args ...any) {
	panic(verdict{Cannot, fmt.Sprintf(format, args...)})
}

// unobserved ends a trial that would need what this server does not offer.
func (t *trial) unobserved(format string, args ...any) {
	panic(verdict{NotObserved, fmt.Sprintf(format, args...)})
}

// remark adds what was seen to the result of a trial that passes.
func (t *trial) remark(format string, args ...any) {
	t.remarks = append(t.remarks, fmt.Sprintf(format, args...))
}

// id returns a client identifier of at most 23 letters and digits.
func (t *trial) id(suffix string) string { return t.prefix + suffix }

// topic returns a topic below the trial's own prefix.
func (t *trial) topic(suffix string) string { return "conformance/" + t.prefix + "/" + suffix }

// short replaces the trial's prefix in a text for people.
func (t *trial) short(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "conformance/"+t.prefix+"/", ""), t.prefix, "")
}

// depart is remark about something that the text advises against.
func (t *trial) depart(format string, args ...any) {
	t.departs = true
	t.remark(format, args...)
}

// wait lets time pass, where a statement is about time.
func (t *trial) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
		t.unobserved("%v", context.Cause(t.ctx))
	}
}

// end closes what the trial has opened, and removes what it has left with the server.
func (t *trial) end() {
	for _, p := range t.callers {
		p.conn.Close()
	}
	t.callers = nil
	defer func() {
		if v := recover(); v != nil {
			if _, ours := v.(verdict); !ours {
				panic(v)
			}
		}
		for _, p := range t.callers {
			p.conn.Close()
		}
	}()
	for _, topic := range t.retained {
		p := t.joinAs("clear")
		p.send(&wire.Publish{Topic: topic, Retain: true})
		p.leave()
	}
	for id := range t.sessions {
		c := t.connect(id)
		c.CleanStart, c.SessionExpiryInterval = true, 0
		if p, _ := t.open(c); p != nil {
			p.leave()
		}
	}
}
