package bench

import (
	"context"
	"time"
)

// coarse is how early the timers of the runtime wake a publisher, which then waits for
// the rest with its own clock.
const coarse = 5 * time.Millisecond

// until waits until the time that start and d name. It reports false when ctx ends first.
func (c *clock) until(ctx context.Context, start time.Time, d time.Duration) bool {
	rest := d - time.Since(start)
	if rest > coarse {
		timer := time.NewTimer(rest - coarse)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
		rest = d - time.Since(start)
	}
	if ctx.Err() != nil {
		return false
	}
	if rest <= 0 {
		return true
	}
	return c.nap(rest) == nil
}
