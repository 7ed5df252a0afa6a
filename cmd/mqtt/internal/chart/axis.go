package chart

import (
	"fmt"
	"math"
	"slices"
)

// Axis is one direction of a Chart.
type Axis struct {
	Name string
	// Log makes the axis logarithmic. What is not above zero is then left out of the
	// choice of its ends.
	Log bool
	// Zero makes a linear axis begin at zero.
	Zero bool
	// Label writes the value of a tick. If nil, it is written as a number.
	Label func(float64) string
	// Ticks are used in place of chosen ones, those within the ends.
	Ticks []Tick
}

// Tick is a marked place of an axis.
type Tick struct {
	Value float64
	Label string
}

// scale maps values to places.
type scale struct {
	log        bool
	low, high  float64 // of the values, or of their logarithms
	begin, end float64 // of the places
	ticks      []Tick
}

// scale returns false if there is nothing to scale.
func (a *Axis) scale(values []float64, begin, end float64) (scale, bool) {
	if a.Log {
		values = slices.DeleteFunc(values, func(v float64) bool { return v <= 0 })
	}
	if len(values) == 0 {
		return scale{}, false
	}
	s := scale{log: a.Log, low: slices.Min(values), high: slices.Max(values), begin: begin, end: end}
	if a.Zero && !a.Log {
		s.low = min(s.low, 0)
		if begin > end {
			s.high += (s.high - s.low) / 20 // space above the lines
		}
	}
	if s.low == s.high {
		if a.Log {
			s.low, s.high = s.low/2, s.high*2
		} else {
			s.high = s.low + 1
		}
	}
	switch {
	case a.Ticks != nil:
		for _, t := range a.Ticks {
			if t.Value >= s.low && t.Value <= s.high {
				s.ticks = append(s.ticks, t)
			}
		}
	case a.Log:
		s.low, s.high = down(s.low), up(s.high)
		s.ticks = a.logTicks(s.low, s.high)
	default:
		s.ticks = a.linearTicks(s.low, s.high)
	}
	if a.Log {
		s.low, s.high = math.Log10(s.low), math.Log10(s.high)
	}
	return s, true
}

func (s scale) place(v float64) float64 {
	if s.log {
		v = math.Log10(max(v, math.SmallestNonzeroFloat64))
	}
	part := min(max((v-s.low)/(s.high-s.low), 0), 1)
	return s.begin + part*(s.end-s.begin)
}

func (a *Axis) write(v float64) string {
	if a.Label != nil {
		return a.Label(v)
	}
	return fmt.Sprintf("%.6g", v) // 0.6 and not 0.6000000000000001
}

// linearTicks are four to ten round numbers.
func (a *Axis) linearTicks(low, high float64) (ticks []Tick) {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/4)))
	for _, factor := range []float64{5, 2} {
		if (high-low)/(step*factor) >= 4 {
			step *= factor
			break
		}
	}
	for k := math.Ceil(low/step - 1e-9); k*step <= high*(1+1e-9); k++ {
		v := k*step + 0 // no negative zero
		ticks = append(ticks, Tick{v, a.write(v)})
	}
	return ticks
}

// logTicks are 1, 2 and 5 of each decade, or only 1 where there are many.
func (a *Axis) logTicks(low, high float64) (ticks []Tick) {
	factors := []float64{1, 2, 5}
	if high/low > 2000 {
		factors = factors[:1]
	}
	for decade := math.Pow(10, math.Floor(math.Log10(low)+1e-9)); decade <= high*(1+1e-9); decade *= 10 {
		for _, f := range factors {
			if v := decade * f; v >= low*(1-1e-9) && v <= high*(1+1e-9) {
				ticks = append(ticks, Tick{v, a.write(v)})
			}
		}
	}
	return ticks
}

// down and up return the next of 1, 2 and 5 times a power of ten.
func down(v float64) float64 {
	decade := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, f := range []float64{5, 2} {
		if decade*f <= v*(1+1e-9) {
			return decade * f
		}
	}
	return decade
}

func up(v float64) float64 {
	d := down(v)
	if d >= v*(1-1e-9) {
		return d
	}
	decade := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, f := range []float64{2, 5} {
		if decade*f >= v*(1-1e-9) {
			return decade * f
		}
	}
	return decade * 10
}
