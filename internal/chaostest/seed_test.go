package chaostest

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

var (
	seedFlag     = flag.Uint64("seed", 0, "draw everything from this; zero: from a new one, which is logged")
	everywhere   = flag.Bool("everywhere", false, "cut at every byte where it takes long, too")
	soakFor      = flag.Duration("soak", 6*time.Second, "how long clients do everything at random")
	schedules    = flag.Int("schedules", fewer(6, 1), "how many schedules of faults are played in fake time, for each version")
	onSocketsFor = flag.Duration("sockets", 6*time.Second, "how long the lines to real servers are broken")
)

// fewer returns how much of something that costs time is done: n, or less with the race
// detector.
func fewer(n, race int) int {
	if raceDetector {
		return race
	}
	return n
}

// TestMain runs many tests at the same time: on sockets they wait more than they work.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// newSeed returns the seed of a test, and logs it.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	return seed
}

// draw returns the numbers of one of the goroutines of a test.
func draw(seed, goroutine uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, goroutine)) }
