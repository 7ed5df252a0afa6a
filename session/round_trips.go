package session

import (
	"slices"
	"time"
)

// RoundTrips says how long the server took to answer.
type RoundTrips struct {
	Count uint64
	Sum   time.Duration // of all; divided by Count it is the mean
	Last  time.Duration // zero: there was none yet
	Min   time.Duration
	Max   time.Duration
	// Buckets are cumulative, their bounds increase and are always the same. Round trips
	// beyond the last bound are in Count only. If nil, there was no round trip.
	Buckets []RoundTripBucket
}

// RoundTripBucket counts the round trips that took at most so long.
type RoundTripBucket struct {
	AtMost time.Duration
	Count  uint64
}

// Add adds round trips that were measured elsewhere, after those of r.
func (r *RoundTrips) Add(o RoundTrips) {
	if o.Count == 0 {
		return
	}
	if r.Min == 0 || o.Min < r.Min {
		r.Min = o.Min
	}
	r.Count += o.Count
	r.Sum += o.Sum
	r.Last, r.Max = o.Last, max(r.Max, o.Max)
	r.Buckets = slices.Clone(r.Buckets)
	if r.Buckets == nil {
		r.Buckets = slices.Clone(o.Buckets)
		return
	}
	for i, b := range o.Buckets {
		r.Buckets[i].Count += b.Count
	}
}

// roundTripBounds are steps of 2 to 2.5 from a server in the same machine to one that is
// almost given up.
var roundTripBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	1 * time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	1 * time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 25 * time.Second, 50 * time.Second,
}

// roundTrips gathers what RoundTrips shows.
type roundTrips struct {
	sum, last, min, max time.Duration
	beyond              uint64
	within              [len(roundTripBounds)]uint64 // not cumulative
}

// note adds one to r, which it makes if it is nil: most clients measure nothing for long.
func (r *roundTrips) note(d time.Duration) *roundTrips {
	if r == nil {
		r = &roundTrips{min: d}
	}
	r.sum += d
	r.last, r.min, r.max = d, min(r.min, d), max(r.max, d)
	if i, _ := slices.BinarySearch(roundTripBounds[:], d); i < len(r.within) {
		r.within[i]++
	} else {
		r.beyond++
	}
	return r
}

// show returns what r has.
func (r *roundTrips) show() RoundTrips {
	if r == nil {
		return RoundTrips{}
	}
	s := RoundTrips{Sum: r.sum, Last: r.last, Min: r.min, Max: r.max, Buckets: make([]RoundTripBucket, len(r.within))}
	for i, n := range r.within {
		s.Count += n
		s.Buckets[i] = RoundTripBucket{roundTripBounds[i], s.Count}
	}
	s.Count += r.beyond
	return s
}
