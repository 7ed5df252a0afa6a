package bench

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Interval is a part of the measured time. Times are in microseconds.
type Interval struct {
	At           float64 `json:"at_seconds"` // its end, after the warm-up
	Seconds      float64 `json:"seconds"`    // its length
	Sent         uint64  `json:"sent"`       // measured messages handed to the clients
	Acknowledged uint64  `json:"acknowledged"`
	Received     uint64  `json:"received"` // measured copies, without repeats

	P50 float64 `json:"p50_us"` // of the latency of what was received
	P99 float64 `json:"p99_us"`
	Max float64 `json:"max_us"`
}

// intervals cuts the measured time into parts, and each of them into steps, whose figures
// are shown while the load runs. Its fields belong to the goroutine that keeps the time,
// except for those behind the lock.
type intervals struct {
	load *load
	sent func() uint64

	latency  *hdrhistogram.Histogram // of the interval so far
	current  Interval                // of the interval so far
	stepped  time.Duration           // when the last step ended
	sentThen uint64                  // by the end of the last step

	mu   sync.Mutex
	list []Interval // guarded by mu
	step Interval   // guarded by mu: the last one
}

// maxIntervals bounds the list: a long run gets longer intervals.
const maxIntervals = 600

// shownEvery is how long a step is at most.
const shownEvery = 500 * time.Millisecond

// length chooses how long an interval is, by what is known of the length of the run, and
// how many steps it has.
func (s *Settings) length() (step time.Duration, steps int) {
	expected := s.Duration
	if expected == 0 && s.Rate > 0 {
		expected = time.Duration(min(float64(s.Count)/s.Rate*float64(time.Second), float64(24*time.Hour)))
	}
	length := min(max(expected/120, 100*time.Millisecond), time.Minute)
	steps = int((length + shownEvery - 1) / shownEvery)
	return length / time.Duration(steps), steps
}

// cut ends a step at the time now, and the interval with it if that is asked.
func (i *intervals) cut(now time.Duration, interval bool) {
	l := i.load
	received, acknowledged := l.latency.turn(), l.acknowledged.turn()
	l.behind.turn()
	l.generator.turn()
	begin := max(i.stepped, l.Warmup)
	if now <= begin {
		return // warming up
	}
	sent := i.sent()
	step := Interval{
		At:           (now - l.Warmup).Seconds(),
		Seconds:      (now - begin).Seconds(),
		Sent:         sent - i.sentThen,
		Acknowledged: uint64(acknowledged.TotalCount()),
	}
	step.times(received)
	i.stepped, i.sentThen = now, sent

	i.current.At = step.At
	i.current.Seconds += step.Seconds
	i.current.Sent += step.Sent
	i.current.Acknowledged += step.Acknowledged
	i.latency.Merge(received)

	i.mu.Lock()
	defer i.mu.Unlock()
	i.step = step
	if !interval {
		return
	}
	i.current.times(i.latency)
	if i.list = append(i.list, i.current); len(i.list) > maxIntervals {
		i.list = merged(i.list)
	}
	i.current = Interval{}
	i.latency.Reset()
}

// times sets what is known of latencies.
func (i *Interval) times(h *hdrhistogram.Histogram) {
	if i.Received = uint64(h.TotalCount()); i.Received == 0 {
		return
	}
	i.P50 = microseconds(h.ValueAtPercentile(50))
	i.P99 = microseconds(h.ValueAtPercentile(99))
	i.Max = microseconds(h.Max())
}

// merged joins intervals in pairs. The median and p99 of a pair are those of the part
// with more messages: the histograms are gone.
func merged(list []Interval) []Interval {
	short := list[:0]
	for k := 0; k < len(list); k += 2 {
		a := list[k]
		if k+1 < len(list) {
			b := list[k+1]
			a.At = b.At
			a.Seconds += b.Seconds
			a.Sent += b.Sent
			a.Acknowledged += b.Acknowledged
			if b.Received > a.Received {
				a.P50, a.P99 = b.P50, b.P99
			}
			a.Received += b.Received
			a.Max = max(a.Max, b.Max)
		}
		short = append(short, a)
	}
	return short
}

func (i *intervals) all() []Interval {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.list
}

// last returns the latest step. Its length is zero if there is none.
func (i *intervals) last() Interval {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.step
}

func microseconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e3 }
