package chaostest

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

// TestNothingIsLostHoweverTheNetworkBreaks plays schedules of faults in fake time, ten
// minutes each.
func TestNothingIsLostHoweverTheNetworkBreaks(t *testing.T) {
	t.Parallel()
	seed := newSeed(t)
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		made := map[string]int{}
		for i := range *schedules {
			synctest.Test(t, func(t *testing.T) { playSchedule(t, v, seed+uint64(i), made) })
			if t.Failed() {
				t.Fatalf("play it alone: -seed %d -schedules 1", seed+uint64(i))
			}
		}
		t.Log(made)
		for _, f := range (&line{}).faults() {
			require.NotZero(t, made[f.name], f.name)
		}
	})
}

func playSchedule(t *testing.T, v mqtt.Version, seed uint64, made map[string]int) {
	b := newBroker(t)
	lines := [2]*line{inMemory(t, b), inMemory(t, b)}
	r := &traffic{version: v, publisher: lines[0].address, receiver: lines[1].address, size: 200, pace: 2 * time.Second}
	r.run(t, seed, func(ctx context.Context, publisher, receiver *mqtt.Client) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
		defer cancel()
		breakBoth(ctx, seed, lines, 4*keepAlive, made)
	})
}

// breakBoth disturbs both lines until ctx ends, and notes in made how often in each way.
func breakBoth(ctx context.Context, seed uint64, lines [2]*line, longest time.Duration, made map[string]int) {
	var disturbing sync.WaitGroup
	var mu sync.Mutex
	for i, l := range lines {
		disturbing.Go(func() {
			of := disturb(ctx, draw(seed, uint64(i)), l.faults(), longest)
			mu.Lock()
			defer mu.Unlock()
			for name, n := range of {
				made[name] += n
			}
		})
	}
	disturbing.Wait()
}

// TestNothingIsLostOnSockets does the same in real time with real servers.
func TestNothingIsLostOnSockets(t *testing.T) {
	eachServer(t, func(t *testing.T, server string, v mqtt.Version) {
		seed := newSeed(t)
		lines := [2]*line{onSockets(t, server), onSockets(t, server)}
		r := &traffic{version: v, publisher: lines[0].address, receiver: lines[1].address, size: 2000,
			pace: 20 * time.Millisecond, late: 20 * time.Second}
		made := map[string]int{}
		r.run(t, seed, func(ctx context.Context, publisher, receiver *mqtt.Client) {
			ctx, cancel := context.WithTimeout(ctx, *onSocketsFor)
			defer cancel()
			breakBoth(ctx, seed, lines, keepAlive, made)
		})
		t.Logf("%d messages, %d have come, %v", len(r.ledger.fate), len(r.ledger.count), made)
	})
}
