package bench

import (
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range and precision of all histograms: 3 digits from 100 ns to an hour. What takes
// longer counts as an hour.
const (
	lowest  = 100
	highest = int64(time.Hour)
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowest, highest, digits) }

// recorder takes times from many goroutines. Its shards keep these from waiting for each
// other.
type recorder struct {
	shards []shard
	total  *hdrhistogram.Histogram // of intervals that have ended; belongs to the caller of turn
	spare  *hdrhistogram.Histogram // empty
}

type shard struct {
	mu      sync.Mutex
	current *hdrhistogram.Histogram // guarded by mu
	_       [64]byte                // no two shards share a cache line
}

func newRecorder() *recorder {
	r := &recorder{shards: make([]shard, runtime.GOMAXPROCS(0)), total: newHistogram(), spare: newHistogram()}
	for i := range r.shards {
		r.shards[i].current = newHistogram()
	}
	return r
}

// record takes one time. owner spreads the goroutines over the shards.
func (r *recorder) record(owner int, d time.Duration) {
	s := &r.shards[owner%len(r.shards)]
	s.mu.Lock()
	_ = s.current.RecordValue(min(max(int64(d), 0), highest)) // in range
	s.mu.Unlock()
}

// turn ends an interval and returns what it had. The result is valid until the next call.
func (r *recorder) turn() *hdrhistogram.Histogram {
	interval := r.spare
	interval.Reset()
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		interval.Merge(s.current)
		s.current.Reset()
		s.mu.Unlock()
	}
	r.total.Merge(interval)
	return interval
}
