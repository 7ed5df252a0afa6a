package bench

import (
	"fmt"
	"math"
	"time"
)

// What makes a figure doubtful.
const (
	lateEnough    = 1000.0 // microseconds of own lateness at p99
	busyEnough    = 0.9    // of all processors
	blockedEnough = 0.5    // of the time
	slowEnough    = 0.98   // of the offered rate
)

// judge says in words what limits the worth of the figures, the generator first.
func (r *Result) judge() {
	note := func(format string, args ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, args...)) }
	if r.Interrupted {
		note("The run was interrupted. The figures are those until then.")
	}
	if p99 := r.Load.Own.P99; p99 >= lateEnough {
		note("The generator itself was late: %s at p99, %s at most. Latencies of this size may be its own.",
			duration(p99), duration(r.Load.Own.Max))
	}
	switch cores := float64(r.Environment.Cores); {
	case r.Load.Processors >= busyEnough*cores:
		what := "the generator"
		if r.Server.Embedded {
			what = "the generator and the embedded broker"
		}
		note("This process used %.1f of %d processors, so %s may be the limit.", r.Load.Processors, r.Environment.Cores, what)
	case r.Load.Machine >= busyEnough:
		note("The processors of this machine were busy for %.0f %% of the time, %.1f of %d with this process. The latencies contain waits for a processor.",
			100*r.Load.Machine, r.Load.Processors, r.Environment.Cores)
	}
	if r.Load.Blocked >= blockedEnough {
		note("Publishing took %.0f %% of the time of the publishers: the server, the network or the processors took messages no faster.", 100*r.Load.Blocked)
	}
	if r.Settings.Rate > 0 && r.Settings.Duration > 0 && r.Rates.Published < slowEnough*r.Rates.Offered && !r.Interrupted {
		note("The rate of %s messages a second was not reached: %s were published.", short(r.Rates.Offered), short(r.Rates.Published))
	}
	// An interruption finds each publisher with a message that has just become due.
	if n := r.Messages.Unsent; n > 0 && !(r.Interrupted && n <= uint64(r.Settings.Publishers)) {
		note("%s could not be sent in time. The latencies leave that out.", count(int(n), "message"))
	}
	if n := r.Messages.Lost; n > 0 {
		note("%d copies of messages that the server had taken did not arrive.", n)
	}
	if n := r.Messages.Dropped; n > 0 {
		note("The generator's own clients dropped %s.", count(int(n), "message"))
	}
	if n := r.Load.Lost; n > 0 {
		note("Connections lost and made again: %d.", n)
	}
	if time.Duration(r.Latency.EndToEnd.Max*1e3) >= time.Duration(highest) {
		note("Latencies above an hour count as an hour.")
	}
}

// duration shows microseconds with three digits.
func duration(us float64) string {
	switch {
	case us == 0:
		return "0"
	case us < 1000:
		return digitsOf(us) + " µs"
	case us < 1e6:
		return digitsOf(us/1e3) + " ms"
	}
	return digitsOf(us/1e6) + " s"
}

// short shows a number with three digits: 1.26M.
func short(v float64) string {
	digits, prefix := scaled(v)
	return digits + prefix
}

// dataRate shows bytes a second with three digits: 1.26 MB/s.
func dataRate(v float64) string {
	digits, prefix := scaled(v)
	return digits + " " + prefix + "B/s"
}

// scaled returns three digits of v and the prefix of their unit.
func scaled(v float64) (digits, prefix string) {
	switch {
	case v >= 1e9:
		return digitsOf(v / 1e9), "G"
	case v >= 1e6:
		return digitsOf(v / 1e6), "M"
	case v >= 1e4:
		return digitsOf(v / 1e3), "k"
	}
	return digitsOf(v), ""
}

func digitsOf(v float64) string {
	switch {
	case v >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
