package main

import (
	"runtime"
	"slices"
	"syscall"
	"time"
)

// figure is what one more costs when there are N.
type figure struct {
	Kind  string
	What  string
	N     int
	Value float64
	Bytes bool // Value is bytes of heap and stacks; otherwise nanoseconds
}

// kind is one thing of which there may be many.
type kind struct {
	name    string // client/… or broker/…
	title   string
	ends    []int  // the sizes; nil: 100, 10,000 and 1,000,000
	why     string // no larger size is measured
	measure func(*run) error
}

func (k *kind) sizes() []int {
	if k.ends != nil {
		return k.ends
	}
	return []int{100, 10_000, 1_000_000}
}

var kinds = slices.Concat(clientKinds, brokerKinds)

// enough is how long a small size is measured again.
const enough = 500 * time.Millisecond

// figures measures k until the time is over, at least once, and returns the medians.
// The first of several measurements does not count: everything is new in it.
func (k *kind) figures(n int, long time.Duration) ([]figure, error) {
	var all []*run
	for start := time.Now(); len(all) == 0 || time.Since(start) < long; {
		r := &run{n: n}
		if err := k.measure(r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	if len(all) > 1 {
		all = all[1:]
	}
	figures := all[0].figures
	for i := range figures {
		var values []float64
		for _, r := range all {
			values = append(values, r.figures[i].Value)
		}
		slices.Sort(values)
		figures[i].Kind, figures[i].N, figures[i].Value = k.name, n, values[len(values)/2]
	}
	return figures, nil
}

// run is one measurement of one kind and size.
type run struct {
	n       int
	figures []figure
	base    float64 // see begin
}

// time notes how much processor time f took, for each of n. It is that of all goroutines,
// at both ends, and of the garbage collector. Other programs on the machine do not
// change it much, and neither does the time in which one end waits for the other.
func (r *run) time(what string, f func() error) error { return r.timeOf(r.n, what, f) }

// timeOf is time for another number than n.
func (r *run) timeOf(n int, what string, f func() error) error {
	start := processorTime()
	err := f()
	r.figures = append(r.figures, figure{What: what, Value: float64(processorTime()-start) / float64(max(n, 1))})
	return err
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// begin notes what memory is in use without any of what is measured.
func (r *run) begin() { r.base = inUse() }

// memory notes what memory is in use since begin, for each of n.
func (r *run) memory(what string) {
	r.figures = append(r.figures, figure{What: what, Bytes: true, Value: max(inUse()-r.base, 0) / float64(r.n)})
}

// some is how many are tried out of n.
func (r *run) some() int { return min(r.n, 1000) }

// each calls f for some of n, spread over all of them.
func (r *run) each(f func(i int) error) error {
	for j := range r.some() {
		if err := f(j * (r.n / r.some())); err != nil {
			return err
		}
	}
	return nil
}

// inUse returns the bytes of live heap and of stacks.
func inUse() float64 {
	runtime.GC() // twice: pools take two collections
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

// inOrder runs steps until one fails.
func inOrder(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
