package chaostest

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// reading is what the process holds when it has settled.
type reading struct {
	heap        int // bytes, after a collection
	goroutines  int
	descriptors int
}

// settled waits until no more is held than ever before, or, at first, until nothing has
// changed for a while; for half a minute at most. It returns what is held then.
func settled(readings []reading) reading {
	end, changed, last := time.Now().Add(30*time.Second), time.Now(), reading{}
	for {
		now := read()
		if now.goroutines != last.goroutines || now.descriptors != last.descriptors {
			changed, last = time.Now(), now
		}
		before := len(readings) > 0 && now.goroutines <= most(readings, goroutines) && now.descriptors <= most(readings, descriptors)
		if before || time.Since(changed) > 3*time.Second || time.Now().After(end) {
			return now
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func read() reading {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools have let go
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		files = nil // a system that does not tell
	}
	return reading{int(m.HeapAlloc), runtime.NumGoroutine(), len(files)}
}

// requireFlat requires that nothing grows: the last third of the readings is as the first.
// The first readings of all are left out: buffers and pools fill then.
func requireFlat(t *testing.T, readings []reading) {
	t.Helper()
	require.GreaterOrEqual(t, len(readings), 6)
	readings = readings[len(readings)/4:]
	third := len(readings) / 3
	first, last := readings[:third], readings[len(readings)-third:]
	heap := func(r reading) int { return r.heap }
	grown := median(last, heap) - median(first, heap)
	t.Logf("heap %d kB at first, %d kB at last; goroutines %d and %d; descriptors %d and %d",
		median(first, heap)>>10, median(last, heap)>>10, most(first, goroutines), most(last, goroutines),
		most(first, descriptors), most(last, descriptors))
	if most(last, goroutines) > most(first, goroutines) {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		require.Fail(t, "goroutines are left", stacks.String())
	}
	require.LessOrEqual(t, most(last, descriptors), most(first, descriptors), "descriptors")
	require.LessOrEqual(t, grown, heapTolerance+median(first, heap)/10, "bytes of heap")
}

// heapTolerance is what the heap may have more, beside a tenth, without anything being
// left: it has pools, and maps that have grown.
const heapTolerance = 1 << 20

func goroutines(r reading) int  { return r.goroutines }
func descriptors(r reading) int { return r.descriptors }

func median(of []reading, what func(reading) int) int {
	var values []int
	for _, r := range of {
		values = append(values, what(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func most(of []reading, what func(reading) int) int {
	n := 0
	for _, r := range of {
		n = max(n, what(r))
	}
	return n
}

func (r reading) String() string {
	return fmt.Sprintf("%d kB of heap, %d goroutines, %d descriptors", r.heap>>10, r.goroutines, r.descriptors)
}

// slope is how much a figure grows in an hour, by least squares, if a reading is taken
// each interval.
func slope(readings []reading, interval time.Duration, what func(reading) int) float64 {
	var sx, sy, sxx, sxy float64
	n := float64(len(readings))
	for i, r := range readings {
		x, y := float64(i)*interval.Hours(), float64(what(r))
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}
