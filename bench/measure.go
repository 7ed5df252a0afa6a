package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// measure runs the job with a client and returns the sample.
func measure(e *entry, j *job) (s sample, err error) {
	s.Scenario, s.Client = j.name, e.name
	switch j.kind {
	case idling:
		err = measureIdle(e, j, &s)
		return s, err
	case returning:
		return s, waitForReturn(e, j)
	case starting:
		err = measureStart(j, &s)
		return s, err
	}
	c, err := e.open(j)
	if err != nil {
		return s, fmt.Errorf("connect: %w", err)
	}
	if w, ok := c.(syncer); ok && w.synced() != nil {
		begin := j.measured
		j.measured = func() error {
			w.synced().reset()
			return begin()
		}
		defer func() { w.synced().report(&s) }()
	}
	switch j.kind {
	case receiving, dispatching:
		err = measureReceive(c, j, &s)
	case sequential:
		err = measureLatency(c, j, &s)
	case loaded:
		err = measureLoaded(c, j, &s)
	default:
		err = measurePublish(c, j, &s)
	}
	return s, err
}

// after returns a flag that is set after d. To look at it is cheaper than to
// ask for the time.
func after(d time.Duration) *atomic.Bool {
	stop := new(atomic.Bool)
	time.AfterFunc(d, func() { stop.Store(true) })
	return stop
}

// measurePublish counts from an empty pipe until all is acknowledged.
func measurePublish(c client, j *job, s *sample) error {
	pump := pumpOf(c, j)
	warm, err := pump(after(j.warmup))
	if err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	runtime.GC()
	if err := j.measured(); err != nil {
		return err
	}
	start := readUsage()
	n, err := pump(after(j.duration))
	if err != nil {
		return err
	}
	s.since(start, n)
	if _, ok := c.(*fsyncLimit); !ok { // it has no server
		s.Total = warm + n
	}
	if j.qos == 0 {
		s.Total += 2 // the barriers
	}
	return nil
}

func pumpOf(c client, j *job) func(*atomic.Bool) (uint64, error) {
	if p, ok := c.(pumper); ok {
		return p.pump
	}
	switch j.kind {
	case durable:
		return func(stop *atomic.Bool) (uint64, error) { return pumpDurable(c, j, stop) }
	case async:
		return func(stop *atomic.Bool) (uint64, error) { return pumpAsync(c, j, stop) }
	case blocking:
		return func(stop *atomic.Bool) (uint64, error) { return pumpBlocking(c, j, stop) }
	}
	return func(stop *atomic.Bool) (uint64, error) { return pumpQoS0(c, stop) }
}

// pumpQoS0 ends with a barrier: when the server has acknowledged a message at
// QoS 1, it has what was sent before on the connection.
func pumpQoS0(c client, stop *atomic.Bool) (n uint64, err error) {
	for ; !stop.Load(); n++ {
		if err := c.publish(0); err != nil {
			return n, err
		}
	}
	return n, c.publish(1)
}

func pumpAsync(c client, j *job, stop *atomic.Bool) (n uint64, err error) {
	p := c.(asyncPublisher)
	for ; !stop.Load(); n++ {
		if err := p.publishAsync(j.qos); err != nil {
			return n, err
		}
	}
	extra, err := p.flush()
	return n + extra, err
}

func pumpBlocking(c client, j *job, stop *atomic.Bool) (uint64, error) {
	return together(j.goroutines, stop, func() error { return c.publish(j.qos) })
}

// pumpDurable has goroutines of which each waits until its message is accepted, and then
// waits until all are acknowledged.
func pumpDurable(c client, j *job, stop *atomic.Bool) (uint64, error) {
	p := c.(asyncPublisher)
	n, err := together(j.goroutines, stop, func() error { return p.publishAsync(j.qos) })
	if err != nil {
		return n, err
	}
	extra, err := p.flush()
	return n + extra, err
}

// together calls publish from goroutines until stop and returns how often that was.
func together(goroutines int, stop *atomic.Bool, publish func() error) (uint64, error) {
	var n atomic.Uint64
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			mine := uint64(0)
			for errs[i] == nil && !stop.Load() {
				errs[i] = publish()
				mine++
			}
			n.Add(mine)
		})
	}
	wg.Wait()
	return n.Load(), errors.Join(errs...)
}

func measureLatency(c client, j *job, s *sample) error {
	times := make([]time.Duration, 0, 1<<20)
	if _, err := pumpTimed(c, j, after(j.warmup), times); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	runtime.GC()
	if err := j.measured(); err != nil {
		return err
	}
	start := readUsage()
	times, err := pumpTimed(c, j, after(j.duration), times)
	if err != nil {
		return err
	}
	s.since(start, uint64(len(times)))
	s.Latency = latencyOf(times)
	return nil
}

func latencyOf(times []time.Duration) *latency {
	slices.Sort(times)
	return &latency{
		P50:  microseconds(percentile(times, 0.50)),
		P99:  microseconds(percentile(times, 0.99)),
		P999: microseconds(percentile(times, 0.999)),
	}
}

func pumpTimed(c client, j *job, stop *atomic.Bool, times []time.Duration) ([]time.Duration, error) {
	for !stop.Load() {
		start := time.Now()
		if err := c.publish(j.qos); err != nil {
			return times, err
		}
		times = append(times, time.Since(start))
	}
	return times, nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func measureReceive(c client, j *job, s *sample) error {
	t := new(tally)
	if j.filters == 1 && j.size >= 4 {
		t.cycle = uint32(cycle(j.qos, j.size, window, j.filters))
	}
	if err := c.(subscriber).subscribe(j.names(), j.qos, t); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if !t.begun(10 * time.Second) {
		return errors.New("no message came")
	}
	time.Sleep(j.warmup)
	if err := j.measured(); err != nil {
		return err
	}
	start, before := readUsage(), t.n.Load()
	time.Sleep(j.duration)
	s.since(start, t.n.Load()-before)
	s.Lost = int64(t.gaps.Load())
	return nil
}

// begun waits for the first message.
func (t *tally) begun(patience time.Duration) bool {
	for start := time.Now(); t.n.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Since(start) > patience {
			return false
		}
	}
	return true
}
