//go:build !linux

package bench

import "time"

// clock waits as exactly as the timers of the runtime do. What it is late counts as
// lateness of the generator.
type clock struct{}

func newClock() (*clock, error) { return &clock{}, nil }

// nap waits for a short time.
func (*clock) nap(d time.Duration) error {
	time.Sleep(d)
	return nil
}

func (*clock) close() {}
