//go:build !linux

package main

import "time"

// clock waits as well as the runtime can.
type clock struct{}

func newClock() (*clock, error) { return new(clock), nil }

func (c *clock) wait(d time.Duration) error {
	time.Sleep(d)
	return nil
}
