package bench

import (
	"math"
	"time"
)

// schedule says when the messages of one publisher are due: evenly spaced, or, at high
// rates, in bursts that are. To wake up for each message would leave no time for the
// messages.
type schedule struct {
	interval time.Duration
	burst    int
	offset   time.Duration
}

// shortest is the interval below which messages come in bursts.
const shortest = 100 * time.Microsecond

// newSchedule divides rate among publishers. They take turns, so that all messages
// together are evenly spaced, too.
func newSchedule(rate float64, publisher, publishers int) schedule {
	own := rate / float64(publishers)
	burst := max(1, int(math.Round(own*shortest.Seconds())))
	interval := float64(burst) / own * float64(time.Second)
	return schedule{
		interval: time.Duration(min(math.Round(interval), math.MaxInt64/4)),
		burst:    burst,
		offset:   time.Duration(min(interval*float64(publisher)/float64(publishers), math.MaxInt64/4)),
	}
}

// at is when message n is due after the start.
func (s schedule) at(n int) time.Duration {
	k := time.Duration(n / s.burst)
	if k > (math.MaxInt64/2)/s.interval {
		return math.MaxInt64 / 2 // never
	}
	return s.offset + k*s.interval
}

// before is how many messages are due before d.
func (s schedule) before(d time.Duration) uint64 {
	if d <= s.offset {
		return 0
	}
	return uint64((d-s.offset-1)/s.interval+1) * uint64(s.burst)
}
