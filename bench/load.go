package main

import (
	"fmt"
	"math"
	"runtime"
	"time"
)

// measureLoaded first finds out how fast the client can be when every
// acknowledgement is waited for, then publishes at a part of that rate. It is an
// open loop: the times at which messages are due are fixed in advance, and a
// latency counts from there. A client that falls behind is late for all that
// wait meanwhile, not only for the one that it is busy with.
func measureLoaded(c client, j *job, s *sample) error {
	t := trackerOf(c, j)
	warm, err := newFlight(t).flood(after(j.warmup))
	if err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	start := time.Now()
	most, err := newFlight(t).flood(after(j.duration))
	if err != nil {
		return fmt.Errorf("maximum: %w", err)
	}
	maximum := float64(most) / time.Since(start).Seconds()
	schedule := newSchedule(maximum*j.load, j.duration)
	clock, err := newClock()
	if err != nil {
		return err
	}
	runtime.GC()
	if err := j.measured(); err != nil {
		return err
	}
	before := readUsage()
	times, err := newFlight(t).follow(schedule, clock)
	if err != nil {
		return err
	}
	s.since(before, uint64(len(times)))
	s.Latency = latencyOf(times)
	s.Load = &load{Maximum: maximum, Offered: schedule.rate()}
	s.Total = warm + most + uint64(len(times))
	return nil
}

// load is in messages per second.
type load struct {
	Maximum float64 `json:"maximum"`
	Offered float64 `json:"offered"`
}

// schedule says when messages are due: evenly spaced, or, at high rates, in bursts
// that are. To wake up for each message would leave no time for the messages.
type schedule struct {
	interval time.Duration
	burst    int
	total    int
}

// shortest is the interval below which messages come in bursts.
const shortest = 100 * time.Microsecond

func newSchedule(rate float64, d time.Duration) schedule {
	burst := max(1, int(math.Round(rate*shortest.Seconds())))
	interval := time.Duration(math.Round(float64(burst) / rate * float64(time.Second)))
	return schedule{interval, burst, int(d/interval+1) * burst}
}

func (s schedule) rate() float64 { return float64(s.burst) / s.interval.Seconds() }

// at is when message n is due after the start.
func (s schedule) at(n int) time.Duration { return time.Duration(n/s.burst) * s.interval }

// due is how many messages should have been sent after d.
func (s schedule) due(d time.Duration) int { return min(int(d/s.interval+1)*s.burst, s.total) }
