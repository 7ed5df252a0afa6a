package reconnect_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/reconnect"
)

var start = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// highest draws the upper bound of every delay.
func highest() float64 { return math.Nextafter(1, 0) }

// next returns the delay of an attempt that must be allowed.
func next(t *testing.T, b *reconnect.Backoff) time.Duration {
	t.Helper()
	delay, ok := b.Next()
	require.True(t, ok)
	return delay
}

// requireNext checks a delay to the nanosecond that rounding may take.
func requireNext(t *testing.T, want time.Duration, b *reconnect.Backoff) {
	t.Helper()
	require.InDelta(t, want, next(t, b), 1)
}

func TestDelaysAreDrawnEvenlyBelowTheCeiling(t *testing.T) {
	p := reconnect.Policy{Min: time.Second, Max: 8 * time.Second}
	random := rand.New(rand.NewPCG(1, 2))
	const clients = 20_000
	for attempt, ceiling := range []time.Duration{1, 2, 4, 8, 8, 8} {
		ceiling *= time.Second
		var tenths [10]int
		for range clients {
			b := reconnect.New(p, random.Float64)
			for range attempt {
				next(t, b)
			}
			delay := next(t, b)
			require.GreaterOrEqual(t, delay, time.Duration(0))
			require.Less(t, delay, ceiling)
			tenths[10*delay/ceiling]++
		}
		// Six standard deviations of a binomial distribution are 255.
		for _, n := range tenths {
			require.InDelta(t, clients/10, n, 255)
		}
	}
}

func TestWithoutARandomFunctionDelaysDiffer(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		delay := next(t, reconnect.New(reconnect.Policy{Min: time.Second}, nil))
		require.LessOrEqual(t, delay, time.Second)
		seen[delay] = true
	}
	require.Greater(t, len(seen), 90)
}

func TestDelaysStayWithinTheirBoundsForAnyRandomNumber(t *testing.T) {
	for _, draw := range []float64{0, 0.5, highest(), 1} {
		for _, p := range []reconnect.Policy{{}, {Min: 1, Max: 1}, {Min: math.MaxInt64}} {
			b := reconnect.New(p, func() float64 { return draw })
			for attempt := range 100 {
				delay := next(t, b)
				require.GreaterOrEqual(t, delay, time.Duration(0))
				require.LessOrEqual(t, delay, p.Ceiling(attempt))
			}
		}
	}
}

func TestServerThatAcceptsAndDropsIsTriedEverMoreSeldom(t *testing.T) {
	p := reconnect.Policy{Min: time.Second, Max: time.Minute, HealthyAfter: 30 * time.Second}
	b, now := reconnect.New(p, highest), start
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		requireNext(t, want*time.Second, b)
		now = now.Add(want * time.Second)
		b.Connected(now)
		now = now.Add(30*time.Second - 1)
		b.Lost(now)
	}
	require.Equal(t, 8, b.Attempts())
}

func TestFirstRetryAfterAHealthyConnectionIsQuick(t *testing.T) {
	p := reconnect.Policy{Min: time.Second, Max: time.Minute, HealthyAfter: 30 * time.Second}
	b := reconnect.New(p, highest)
	for range 20 {
		next(t, b)
	}
	b.Connected(start)
	requireNext(t, time.Minute, b) // not before the connection has ended
	b.Lost(start.Add(30 * time.Second))
	require.Zero(t, b.Attempts())
	requireNext(t, time.Second, b)
	requireNext(t, 2*time.Second, b)
}

func TestLostWithoutConnectedChangesNothing(t *testing.T) {
	b := reconnect.New(reconnect.Policy{Min: time.Second}, highest)
	requireNext(t, time.Second, b)
	b.Lost(start)
	requireNext(t, 2*time.Second, b)

	b.Connected(start)
	b.Lost(start.Add(time.Second))
	b.Lost(start.Add(time.Hour)) // a second time for the same connection
	requireNext(t, 4*time.Second, b)
}

func TestClockThatGoesBackIsNotHealthyTime(t *testing.T) {
	b := reconnect.New(reconnect.Policy{Min: time.Second}, highest)
	requireNext(t, time.Second, b)
	b.Connected(start)
	b.Lost(start.Add(-time.Hour))
	requireNext(t, 2*time.Second, b)
}

func TestHealthyAfterIsTheCapByDefault(t *testing.T) {
	b := reconnect.New(reconnect.Policy{Min: time.Second, Max: 10 * time.Second}, highest)
	next(t, b)
	b.Connected(start)
	b.Lost(start.Add(10*time.Second - 1))
	require.Equal(t, 1, b.Attempts())
	b.Connected(start)
	b.Lost(start.Add(10 * time.Second))
	require.Zero(t, b.Attempts())
}

// Two clients with one client id take the connection from each other. Neither
// may take the short life between two take-overs for health.
func TestClientsThatTakeOverFromEachOtherSlowDown(t *testing.T) {
	p := reconnect.Policy{Min: 100 * time.Millisecond, Max: 30 * time.Second}
	random := rand.New(rand.NewPCG(3, 4))
	clients := [2]*reconnect.Backoff{reconnect.New(p, random.Float64), reconnect.New(p, random.Float64)}
	now := start
	takeOvers := 0
	for ; now.Before(start.Add(time.Hour)); takeOvers++ {
		out, in := clients[takeOvers%2], clients[(takeOvers+1)%2]
		out.Lost(now)
		in.Connected(now)
		now = now.Add(next(t, out))
	}
	// An hour at fifteen seconds on average makes 240.
	require.InDelta(t, 250, takeOvers, 60)
}

func TestMaxAttempts(t *testing.T) {
	b := reconnect.New(reconnect.Policy{MaxAttempts: 3, HealthyAfter: time.Second}, nil)
	giveUpAfterThree := func() {
		for range 3 {
			next(t, b)
		}
		for range 2 {
			delay, ok := b.Next()
			require.False(t, ok)
			require.Zero(t, delay)
		}
	}
	giveUpAfterThree()

	b.Connected(start)
	b.Lost(start.Add(time.Second - 1))
	_, ok := b.Next()
	require.False(t, ok, "an unhealthy connection is an attempt like any other")

	b.Connected(start)
	b.Lost(start.Add(time.Second))
	giveUpAfterThree()

	b.Reset()
	giveUpAfterThree()
}

func TestResetStartsOver(t *testing.T) {
	b := reconnect.New(reconnect.Policy{Min: time.Second}, highest)
	requireNext(t, time.Second, b)
	requireNext(t, 2*time.Second, b)
	b.Reset()
	require.Zero(t, b.Attempts())
	requireNext(t, time.Second, b)
}
