package session

import "time"

// Rate bounds what a [Sender] sends in time: in any period no more than the period and
// Burst together allow, and one message. PUBLISH packets count, repeats among them, and
// nothing else.
type Rate struct {
	Messages float64       // a second; 0: any number
	Bytes    float64       // of whole packets, a second; 0: any number
	Burst    time.Duration // 0: 10 ms
}

// defaultBurst is longer than a timer is late, so that nothing of the rate gets lost.
const defaultBurst = 10 * time.Millisecond

// pacer keeps a Rate. What was sent is paid for with time: a message goes when all before
// it are paid for, up to the burst.
type pacer struct {
	perMessage, perByte float64 // nanoseconds
	burst               time.Duration
	messages, bytes     time.Time // when what was sent is paid for
	waits               bool      // something waits for that
}

// newPacer returns nil for a Rate without limits.
func newPacer(r Rate) *pacer {
	if r.Messages <= 0 && r.Bytes <= 0 {
		return nil
	}
	p := &pacer{burst: r.Burst}
	if p.burst <= 0 {
		p.burst = defaultBurst
	}
	if r.Messages > 0 {
		p.perMessage = float64(time.Second) / r.Messages
	}
	if r.Bytes > 0 {
		p.perByte = float64(time.Second) / r.Bytes
	}
	return p
}

// paid is when all that was sent is paid for.
func (p *pacer) paid() time.Time {
	if p.bytes.After(p.messages) {
		return p.bytes
	}
	return p.messages
}

// lets reports whether a message may go at now. If it may not, it waits until due.
func (p *pacer) lets(now time.Time) bool {
	if p == nil || !now.Before(p.paid().Add(-p.burst)) {
		return true
	}
	p.waits = true
	return false
}

// sent notes that a PUBLISH of so many bytes goes at now.
func (p *pacer) sent(size int, now time.Time) {
	p.messages = pay(p.messages, p.perMessage, now)
	p.bytes = pay(p.bytes, p.perByte*float64(size), now)
}

func pay(paid time.Time, nanoseconds float64, now time.Time) time.Time {
	if paid.Before(now) {
		paid = now
	}
	return paid.Add(time.Duration(min(nanoseconds, float64(longestDebt))))
}

// longestDebt bounds what one message may cost.
const longestDebt = 24 * time.Hour

// due is when what waits is to be tried again; zero: nothing waits. By then half of the
// burst has gathered: to wake for each message would cost too much, and what a timer is
// late by is not lost.
func (p *pacer) due() time.Time {
	if p == nil || !p.waits {
		return time.Time{}
	}
	return p.paid().Add(-p.burst / 2)
}
