// Package reconnect decides how long to wait before the next attempt to connect.
// It is arithmetic over attempts and times: it has no clock, no timer and no
// goroutine, and it does not know why a connection ended.
//
// The bound of the delays grows exponentially up to a cap. Each delay is drawn at random
// between zero and the bound (full jitter), so that clients that lost their server at
// the same moment do not come back at the same moment. The bound starts over only after
// a connection has stayed up for a while: a server that accepts and then drops is tried
// less and less often.
package reconnect

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Defaults of [Policy].
const (
	DefaultMin    = 100 * time.Millisecond
	DefaultMax    = 30 * time.Second
	DefaultFactor = 2.0
)

// Policy says how long to wait between attempts. The zero value is a good
// policy for services.
type Policy struct {
	// Min bounds the first delay, the one after a healthy connection: it is
	// drawn from zero to Min. Zero means [DefaultMin], or Max if that is
	// shorter.
	Min time.Duration

	// Max bounds every delay. Zero means [DefaultMax], or Min if that is longer.
	Max time.Duration

	// Factor is what the bound is multiplied by from one delay to the next, at
	// least 1. Zero means [DefaultFactor].
	Factor float64

	// HealthyAfter is how long a connection must have stayed up for the delays to
	// start over. Zero means the same as Max: a connection that ended sooner than the
	// longest delay has proved nothing. Two clients that take over each other's
	// session then retry at the pace of Max.
	HealthyAfter time.Duration

	// MaxAttempts is how many attempts in a row may go without a healthy
	// connection before [Backoff.Next] gives up. Zero means no limit.
	MaxAttempts int
}

// Validate returns nil, or an error that names every field that makes no sense.
func (p Policy) Validate() error {
	var errs []error
	for _, field := range []struct {
		name  string
		value time.Duration
	}{{"Min", p.Min}, {"Max", p.Max}, {"HealthyAfter", p.HealthyAfter}} {
		if field.value < 0 {
			errs = append(errs, fmt.Errorf("reconnect policy: %s is negative: %v", field.name, field.value))
		}
	}
	if p.Max > 0 && p.Min > p.Max {
		errs = append(errs, fmt.Errorf("reconnect policy: Min %v is longer than Max %v", p.Min, p.Max))
	}
	// Written so that NaN is refused too.
	if p.Factor != 0 && !(p.Factor >= 1 && p.Factor <= math.MaxFloat64) {
		errs = append(errs, fmt.Errorf("reconnect policy: Factor is not a number from 1: %v", p.Factor))
	}
	if p.MaxAttempts < 0 {
		errs = append(errs, fmt.Errorf("reconnect policy: MaxAttempts is negative: %d", p.MaxAttempts))
	}
	return errors.Join(errs...)
}

// Ceiling returns the longest delay that the given attempt can have; the first
// attempt is 0.
func (p Policy) Ceiling(attempt int) time.Duration {
	p = p.withDefaults()
	// As floats, because the product soon leaves the range of a Duration;
	// infinity is still in order.
	ceiling := float64(p.Min) * math.Pow(p.Factor, float64(max(attempt, 0)))
	if ceiling < float64(p.Max) {
		return time.Duration(ceiling)
	}
	return p.Max
}

func (p Policy) withDefaults() Policy {
	if p.Max == 0 {
		p.Max = max(DefaultMax, p.Min)
	}
	if p.Min == 0 {
		p.Min = min(DefaultMin, p.Max)
	}
	if p.Factor == 0 {
		p.Factor = DefaultFactor
	}
	if p.HealthyAfter == 0 {
		p.HealthyAfter = p.Max
	}
	return p
}
