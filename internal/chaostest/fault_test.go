package chaostest

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/seed65a45251/mqtt/internal/faultproxy"
)

// fault is something that happens to a network.
type fault struct {
	name  string
	begin func(*rand.Rand)
	end   func() // nil: it is over at once
}

// faults are those that the proxy of a line can make.
func (l *line) faults() []fault {
	return []fault{
		{"reset", func(*rand.Rand) { l.Drop() }, nil},
		{"hang up", func(*rand.Rand) { l.Hangup() }, nil},
		{"cut", l.cutAtRandom, l.Heal},
		{"silence", func(rng *rand.Rand) { l.Blackhole(faultproxy.Direction(1 + rng.IntN(3))) }, l.Heal},
		{"refuse", func(*rand.Rand) { l.Refuse(true); l.Drop() }, l.Heal},
		{"10 kB/s", func(*rand.Rand) { l.Throttle(10_000) }, l.Heal},
		{"latency and jitter", func(rng *rand.Rand) {
			l.Delay(time.Duration(rng.IntN(int(keepAlive / 4))))
			l.Jitter(rng.Uint64(), keepAlive/4)
		}, l.Heal},
	}
}

// cutAtRandom ends the connections and makes the next ones end, or fall silent in one or
// both directions, after some bytes, in the handshake or later.
//
// More than a few in a row must not end at the same packet: the client would take it for
// one that the server cannot bear, and give it up.
func (l *line) cutAtRandom(rng *rand.Rand) {
	ways := []func(up, down int){l.CutAfter, l.ResetAfter, l.SilenceAfter}
	for range 1 + rng.IntN(10) {
		ways[rng.IntN(len(ways))](rng.IntN(100<<rng.IntN(8)), rng.IntN(100<<rng.IntN(8)))
	}
	l.Drop()
}

// disturb makes one fault after the other until ctx ends, each for up to longest, and
// mends the last. It returns how often it made each.
func disturb(ctx context.Context, rng *rand.Rand, faults []fault, longest time.Duration) map[string]int {
	made := map[string]int{}
	for {
		pause(ctx, rng, longest)
		if ctx.Err() != nil {
			return made
		}
		f := faults[rng.IntN(len(faults))]
		made[f.name]++
		if f.begin(rng); f.end != nil {
			pause(ctx, rng, longest)
			f.end()
		}
	}
}

// pause waits up to d, or until ctx ends.
func pause(ctx context.Context, rng *rand.Rand, d time.Duration) {
	timer := time.NewTimer(time.Duration(rng.Int64N(int64(d))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
