package simulation

import (
	"flag"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	seed      = flag.Uint64("seed", 0, "the one schedule to play, shrink and print")
	schedules = flag.Int("schedules", 10000, "how many schedules are played; SCHEDULES in the environment has the same meaning")
	shrink    = flag.Bool("shrink", true, "print the schedule that fails as a short script, with its packets")
	first     = flag.Uint64("first", 1, "the seed of the first one")
)

func TestSchedules(t *testing.T) {
	if *seed != 0 {
		report(t, *seed)
		return
	}
	n := *schedules
	if text := os.Getenv("SCHEDULES"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	var total Tally
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // the worlds are small and die young
	start := time.Now()
	for i := range uint64(n) {
		s := Generate(*first + i)
		tally, err := Run(&s)
		if err != nil {
			report(t, s.Seed)
		}
		total.Add(tally)
	}
	spent := time.Since(start)
	t.Logf("%d schedules, %.0f a second: %+v", n, float64(n)/spent.Seconds(), total)
	require.Greater(t, total.Connections, 3*n)
	require.Greater(t, total.Unproven, n/2)
	require.Greater(t, total.Handed, n)
}

// report shrinks the schedule of a seed that fails, and prints it.
func report(t *testing.T, seed uint64) {
	s := Generate(seed)
	_, err := Run(&s)
	if err == nil {
		t.Logf("seed %d does not fail", seed)
		return
	}
	if !*shrink {
		t.Fatalf("seed %d fails: %v", seed, err)
	}
	small := Shrink(s)
	log, small1 := Trace(&small)
	t.Fatalf("seed %d fails: %v\nplay it alone with -seed %d\n\n%s\nfails with: %v\n\n%s", seed, err, seed, Script(&small), small1, log)
}
