package mqtttest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// limit bounds a timeline.
type limit struct{ events, bytes int }

var defaultLimit = limit{events: 20_000, bytes: 64 << 20}

// dumpMaximum is how many events a failed test prints.
const dumpMaximum = 400

// Event is something that happened between a client and the broker: a packet, or
// something that Note describes.
type Event struct {
	Time      time.Time     // when it was sent or happened
	Passed    time.Time     // when the packet was passed on; zero: it was not, or not yet, passed on
	Conn      int           // number of the connection in the order of their opening, from 1; 0: none
	ClientID  string        // empty: not known then
	Version   wire.Version  // zero: not known then
	Direction Direction     // Both: not a packet
	Packet    wire.Packet   // nil: no packet. It must not be changed
	Size      int           // bytes of the packet
	Note      string        // what the test did to the packet, or what happened
	Latency   time.Duration // from Time to Passed

	missed bool // it will never be passed on
}

// String returns a line that says which side sent what to which client, and whether it
// was passed on.
func (e *Event) String() string {
	var s strings.Builder
	if e.Conn > 0 {
		fmt.Fprintf(&s, "#%d %-12s ", e.Conn, e.ClientID)
	}
	switch e.Direction {
	case Up:
		s.WriteString("→ ")
	case Down:
		s.WriteString("← ")
	default:
		s.WriteString("  ")
	}
	if e.Packet == nil {
		s.WriteString(e.Note)
		return s.String()
	}
	s.WriteString(show(e.Packet))
	fate := e.Note
	switch {
	case e.Latency > 0:
		fate = join(fate, "took "+e.Latency.String())
	case e.Passed.IsZero() && e.missed && e.Note == "":
		fate = "lost"
	case e.Passed.IsZero() && !e.missed:
		fate = join(fate, "has not arrived")
	}
	if fate != "" {
		s.WriteString("   [" + fate + "]")
	}
	return s.String()
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}

// Timeline returns the events so far, oldest first. Beyond 20,000 events, or packets
// of 64 MiB in sum, the oldest are forgotten.
func (b *Broker) Timeline() []Event {
	r := &b.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	events := make([]Event, len(r.events))
	for i, e := range r.events {
		events[i] = *e
	}
	return events
}

// recorder records events and wakes the goroutines that wait for them.
type recorder struct {
	start time.Time
	label string // of the goroutines of the test, see mark
	plain bool   // events are recorded only, without a state
	limit limit  // of the events that are kept

	mu        sync.Mutex // guards what follows
	changed   chan struct{}
	events    []*Event
	bytes     int
	forgotten int
	state     state
}

func (r *recorder) init() {
	r.start = time.Now()
	r.limit = defaultLimit
	r.changed = make(chan struct{})
	r.state.init()
}

// add records an event that happens now.
func (r *recorder) add(e *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Time = time.Now()
	r.events = append(r.events, e)
	r.bytes += e.Size
	if len(r.events) > r.limit.events || r.bytes > r.limit.bytes {
		r.forget()
	}
	if !r.plain {
		r.state.sent(e)
	}
	r.notify()
}

// forget drops the oldest quarter of the events.
func (r *recorder) forget() {
	n := max(1, len(r.events)/4)
	for _, e := range r.events[:n] {
		r.bytes -= e.Size
	}
	r.events = slices.Clone(r.events[n:])
	r.forgotten += n
}

// passed records that a packet is passed on now.
func (r *recorder) passed(e *Event) {
	if e == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Passed = time.Now()
	e.Latency = e.Passed.Sub(e.Time).Truncate(time.Microsecond)
	if e.Latency < 10*time.Millisecond {
		e.Latency = 0 // this latency comes from the machine, not from the test
	}
	if !r.plain {
		r.state.passed(e)
	}
	r.notify()
}

// lost records that a packet will not be passed on, and why.
func (r *recorder) lost(e *Event, why string) {
	if e == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.missed = true
	e.Passed, e.Latency = time.Time{}, 0
	e.Note = join(e.Note, why)
	r.notify()
}

// connected and gone record the beginning and the end of connections.
func (r *recorder) connected(conn int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.open[conn] = ""
	r.notify()
}

func (r *recorder) gone(conn int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.gone(conn)
	r.notify()
}

// notify wakes all goroutines that wait. The caller holds r.mu.
func (r *recorder) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait calls done, with r.mu held, until it returns true. wait then returns true, or
// false if that takes longer than patience.
func (r *recorder) wait(patience time.Duration, done func() bool) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		r.mu.Lock()
		ok, changed := done(), r.changed
		r.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

// dump returns the timeline as text.
func (r *recorder) dump() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s strings.Builder
	s.WriteString("mqtttest: what happened between clients (→) and broker (←), in seconds since it was made:\n")
	events := r.events
	if skipped := r.forgotten + len(events) - dumpMaximum; skipped > 0 {
		fmt.Fprintf(&s, "    … %d earlier events …\n", skipped)
		events = events[max(0, len(events)-dumpMaximum):]
	}
	for _, e := range events {
		fmt.Fprintf(&s, "%12.6f  %s\n", e.Time.Sub(r.start).Seconds(), e)
	}
	return s.String()
}
