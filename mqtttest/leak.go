package mqtttest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const labelKey = "mqtttest"

var brokers atomic.Uint64

// mark labels the calling goroutine, which is the test's. Goroutines that it starts
// from now on inherit the label, and so do those that they start. This distinguishes
// them from goroutines of other tests that run at the same time.
func (r *recorder) mark() (unmark func()) {
	r.label = strconv.FormatUint(brokers.Add(1), 10)
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(labelKey, r.label)))
	return func() { pprof.SetGoroutineLabels(context.Background()) }
}

// WantNoLeak waits until the clients have left nothing behind: no connection, no QoS
// 1 or 2 message that its sender does not know to be received, and no goroutine that
// the test has started since it made the broker, directly or indirectly. Call it at
// the end, after closing the clients.
//
// It finds the goroutines by a profiler label that NewBroker sets on the goroutine
// that calls it.
func (b *Broker) WantNoLeak() {
	b.t.Helper()
	start := time.Now()
	r := &b.recorder
	if !r.wait(b.cfg.Patience, func() bool { return len(r.state.open) == 0 }) {
		b.t.Fatalf("mqtttest: connections are left: %s", r.connections())
	}
	if !r.wait(b.cfg.Patience, func() bool { return len(r.state.flights) == 0 }) {
		b.t.Fatalf("mqtttest: messages are not acknowledged: %s", r.unfinished())
	}
	// Nothing tells when a goroutine ends, so this loop has to poll. In a bubble each
	// pause lasts until everything else waits.
	for wait := time.Millisecond; ; wait = min(2*wait, b.cfg.Patience/50) {
		left := goroutines(r.label)
		if len(left) == 0 {
			return
		}
		if time.Since(start) > b.cfg.Patience {
			b.t.Fatalf("mqtttest: goroutines are left:\n%s", strings.Join(left, "\n"))
		}
		<-time.After(wait)
	}
}

// goroutines returns the stacks of the goroutines with a label, except those of
// tests.
func goroutines(label string) []string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return []string{err.Error()}
	}
	wanted := fmt.Sprintf("# labels: {%q:%q}", labelKey, label)
	var left []string
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, wanted) && !strings.Contains(stack, "\ttesting.") {
			left = append(left, stack)
		}
	}
	return left
}

func (r *recorder) connections() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s strings.Builder
	for _, n := range slices.Sorted(maps.Keys(r.state.open)) {
		fmt.Fprintf(&s, "\n\t#%d %q", n, r.state.open[n])
	}
	return s.String()
}

func (r *recorder) unfinished() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s strings.Builder
	for _, e := range r.state.flights {
		fmt.Fprintf(&s, "\n\t%v", e)
	}
	return s.String()
}
