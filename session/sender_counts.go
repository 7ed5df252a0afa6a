package session

import "time"

// senderCounts are the figures of a Sender.
type senderCounts struct {
	repeated, retried uint64
	roundTrips        *roundTrips // nil: none was measured
	sample            sample
}

// sample is the message whose round trip is measured, one at a time and on one connection:
// that costs nothing for the others.
type sample struct {
	message *Outgoing // nil: the next that is sent
	began   time.Time // when its PUBLISH was taken to be written; zero: it was not yet
}

// take makes o the sample if there is none.
func (c *senderCounts) take(o *Outgoing) {
	if c.sample.message == nil {
		c.sample.message = o
	}
}

// writing notes that all that was sent is about to be written.
func (c *senderCounts) writing(now time.Time) {
	if c.sample.message != nil && c.sample.began.IsZero() {
		c.sample.began = now
	}
}

// answered notes that the PUBLISH of o was answered.
func (c *senderCounts) answered(o *Outgoing, now time.Time) {
	if c.sample.message != o {
		return
	}
	if !c.sample.began.IsZero() && !now.Before(c.sample.began) {
		c.roundTrips = c.roundTrips.note(now.Sub(c.sample.began))
	}
	c.sample = sample{}
}

// drop measures another message than o.
func (c *senderCounts) drop(o *Outgoing) {
	if c.sample.message == o {
		c.sample = sample{}
	}
}
