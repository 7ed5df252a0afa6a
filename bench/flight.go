package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// flight is a window of messages on their way: one goroutine sends and one
// waits for acknowledgements.
type flight struct {
	tracker
	free, sent *credit
	due        [window]time.Time
	next       int // slot
}

func newFlight(t tracker) *flight {
	return &flight{tracker: t, free: newCredit(window), sent: newCredit(0)}
}

// batchTracker writes what is due together.
type batchTracker interface {
	submitAll(from, to int) error
}

// send submits up to n messages and returns how many. It waits for a free slot.
func (f *flight) send(n int, due func(i int) time.Time) (int, error) {
	n = f.free.take(min(n, window-f.next))
	from := f.next
	f.next = (f.next + n) % window
	for i := range n {
		f.due[from+i] = due(i)
	}
	if b, ok := f.tracker.(batchTracker); ok {
		err := b.submitAll(from, from+n)
		f.sent.add(n)
		return n, err
	}
	for i := range n {
		if err := f.submit(from + i); err != nil {
			return n, err
		}
		f.sent.add(1)
	}
	return n, nil
}

// collect awaits messages in order, until sent is closed, and tells of each.
func (f *flight) collect(done func(due time.Time)) (err error) {
	defer f.free.close()
	for slot := 0; ; {
		n := f.sent.take(window)
		if n == 0 {
			return err
		}
		for range n {
			if err := f.await(slot); err != nil {
				return err
			}
			done(f.due[slot])
			f.free.add(1)
			slot = (slot + 1) % window
		}
	}
}

// run sends with loop while a goroutine collects, and ends when all is
// acknowledged.
func (f *flight) run(loop func() error, done func(due time.Time)) error {
	var collected error
	var wg sync.WaitGroup
	wg.Go(func() { collected = f.collect(done) })
	if err := loop(); err != nil {
		return err // the process ends, and with it whatever collect still waits for
	}
	f.free.await(window)
	f.sent.close()
	wg.Wait()
	return collected
}

// flood publishes as fast as it goes.
func (f *flight) flood(stop *atomic.Bool) (n uint64, err error) {
	now := func(int) time.Time { return time.Time{} }
	err = f.run(func() error {
		for !stop.Load() {
			if n, err := f.send(window, now); n == 0 || err != nil {
				return err
			}
		}
		return nil
	}, func(time.Time) { n++ })
	return n, err
}

// follow publishes when the schedule says so and returns the latencies. A
// message that is late is sent all the same.
func (f *flight) follow(s schedule, c *clock) (times []time.Duration, err error) {
	times = make([]time.Duration, 0, s.total)
	start := time.Now()
	err = f.run(func() error {
		for sent := 0; sent < s.total; {
			due := s.due(time.Since(start)) - sent
			if due <= 0 {
				if err := c.wait(s.at(sent) - time.Since(start)); err != nil {
					return err
				}
				continue
			}
			n, err := f.send(due, func(i int) time.Time { return start.Add(s.at(sent + i)) })
			if n == 0 || err != nil {
				return err // without one, collect says why
			}
			sent += n
		}
		return nil
	}, func(due time.Time) { times = append(times, time.Since(due)) })
	return times, err
}

// trackerOf returns c, or for a library that can only block, c with a goroutine
// for each slot.
func trackerOf(c client, j *job) tracker {
	if t, ok := c.(tracker); ok {
		return t
	}
	w := &workers{client: c, qos: j.qos}
	for slot := range window {
		w.begin[slot], w.done[slot] = make(chan struct{}, 1), make(chan error, 1)
		go w.work(slot)
	}
	return w
}

// workers block in the place of the sender.
type workers struct {
	client
	qos   byte
	begin [window]chan struct{}
	done  [window]chan error
}

func (w *workers) work(slot int) {
	for range w.begin[slot] {
		w.done[slot] <- w.publish(w.qos)
	}
}

func (w *workers) submit(slot int) error {
	w.begin[slot] <- struct{}{}
	return nil
}

func (w *workers) await(slot int) error { return <-w.done[slot] }
