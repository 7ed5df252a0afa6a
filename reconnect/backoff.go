package reconnect

import (
	"math/rand/v2"
	"time"
)

// Backoff counts the attempts of one client under a [Policy]. It is made by
// [New] and not safe for concurrent use.
type Backoff struct {
	policy   Policy
	random   func() float64
	attempts int       // since the last healthy connection
	up       time.Time // when the connection came up; zero when there is none
}

// New returns a Backoff that begins with the first delay after a healthy connection.
// It does not validate the policy, see [Policy.Validate]. The function random returns
// numbers from 0 up to, but not including, 1. If nil, it is [rand.Float64].
func New(p Policy, random func() float64) *Backoff {
	if random == nil {
		random = rand.Float64
	}
	return &Backoff{policy: p.withDefaults(), random: random}
}

// Next counts an attempt and returns how long to wait before it. It returns false
// when [Policy.MaxAttempts] have been made and the caller should give up.
func (b *Backoff) Next() (delay time.Duration, ok bool) {
	if b.policy.MaxAttempts > 0 && b.attempts >= b.policy.MaxAttempts {
		return 0, false
	}
	ceiling := b.policy.Ceiling(b.attempts)
	b.attempts++
	if drawn := b.random() * float64(ceiling); drawn < float64(ceiling) {
		return time.Duration(drawn), true
	}
	// The product is rounded, and the largest Duration is not a float.
	return ceiling, true
}

// Connected says that the server has accepted a connection. That alone changes
// no delay.
func (b *Backoff) Connected(now time.Time) { b.up = now }

// Lost says that the connection has ended. If it has stayed up for
// [Policy.HealthyAfter], it was healthy: the delays and the count of attempts start
// over, and Lost returns true. Without a call of Connected before, Lost does nothing.
func (b *Backoff) Lost(now time.Time) (healthy bool) {
	healthy = !b.up.IsZero() && now.Sub(b.up) >= b.policy.HealthyAfter
	if healthy {
		b.attempts = 0
	}
	b.up = time.Time{}
	return healthy
}

// Attempts returns how many attempts Next has counted since the count started over.
func (b *Backoff) Attempts() int { return b.attempts }

// Reset makes the delays and the count of attempts start over. Call it when there is
// a new reason to expect success: a user asked for an attempt, or a network came up.
func (b *Backoff) Reset() { b.attempts = 0 }
