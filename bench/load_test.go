package main

import (
	"errors"
	"testing"
	"time"
)

func TestScheduleIsEvenAtLowRatesAndInBurstsAtHigh(t *testing.T) {
	for _, c := range []struct {
		rate         float64
		wantBurst    int
		wantInterval time.Duration
	}{
		{100, 1, 10 * time.Millisecond},
		{10_000, 1, 100 * time.Microsecond},
		{1e6, 100, 100 * time.Microsecond},
		{14_000, 1, 71429 * time.Nanosecond},
	} {
		s := newSchedule(c.rate, time.Second)
		if s.burst != c.wantBurst || s.interval != c.wantInterval {
			t.Errorf("%v per second: %d every %v", c.rate, s.burst, s.interval)
		}
		if off := s.rate()/c.rate - 1; off > 1e-4 || off < -1e-4 {
			t.Errorf("%v per second became %v", c.rate, s.rate())
		}
	}
}

func TestScheduleSaysWhatIsDue(t *testing.T) {
	s := schedule{interval: 10 * time.Millisecond, burst: 3, total: 7}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 3}, {9 * time.Millisecond, 3}, {10 * time.Millisecond, 6}, {time.Hour, 7}} {
		if got := s.due(c.after); got != c.want {
			t.Errorf("%d due after %v, want %d", got, c.after, c.want)
		}
	}
	for n := range s.total {
		if s.due(s.at(n)) <= n || n > 0 && s.at(n) > 0 && s.due(s.at(n)-1) > n {
			t.Errorf("message %d is due at %v, and the two disagree", n, s.at(n))
		}
	}
}

// stalling acknowledges at once, except that it holds up one submit.
type stalling struct {
	submits int
	stallAt int
	stall   time.Duration
	err     error
}

func (s *stalling) submit(int) error {
	s.submits++
	if s.submits == s.stallAt {
		<-time.After(s.stall)
	}
	return nil
}

func (s *stalling) await(int) error { return s.err }

// TestLatencyCountsFromDueTime is what makes an open loop: a single stall is
// seen by all messages that were due meanwhile.
func TestLatencyCountsFromDueTime(t *testing.T) {
	c, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	const stall = 50 * time.Millisecond
	s := schedule{interval: time.Millisecond, burst: 1, total: 60}
	times, err := newFlight(&stalling{stallAt: 1, stall: stall}).follow(s, c)
	if err != nil {
		t.Fatal(err)
	}
	if len(times) != s.total {
		t.Fatalf("%d of %d messages counted", len(times), s.total)
	}
	for n := range 40 {
		if least := stall - s.at(n); times[n] < least {
			t.Errorf("message %d, due %v into the stall, took %v", n, s.at(n), times[n])
		}
	}
}

func TestFlightEndsWithError(t *testing.T) {
	broken := errors.New("broken")
	c, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	s := schedule{interval: time.Microsecond, burst: window, total: 10 * window}
	if _, err := newFlight(&stalling{err: broken}).follow(s, c); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := newFlight(&stalling{err: broken}).flood(after(time.Hour)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// blockingOnly has no asynchronous publish.
type blockingOnly struct{ published chan byte }

func (b blockingOnly) publish(qos byte) error {
	b.published <- qos
	return nil
}

func TestWorkersBlockInPlaceOfSender(t *testing.T) {
	b := blockingOnly{make(chan byte)}
	tr := trackerOf(b, &job{scenario: scenario{qos: 1}})
	for slot := range 2 {
		if err := tr.submit(slot); err != nil {
			t.Fatal(err)
		}
	}
	for slot := range 2 {
		if qos := <-b.published; qos != 1 {
			t.Errorf("QoS %d", qos)
		}
		_ = slot
	}
	for slot := range 2 {
		if err := tr.await(slot); err != nil {
			t.Error(err)
		}
	}
}
