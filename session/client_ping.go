package session

import (
	"slices"
	"time"
)

// Ping is a wait for a PINGRESP.
type Ping struct {
	// Done is called once, within a method of the Client, which it must not call. It gets
	// how long the answer took, or why there is none.
	Done func(roundTrip time.Duration, err error)
}

// Ping sends PINGREQ, and calls p.Done when it is answered. A PINGRESP does not say to
// which PINGREQ it belongs, so there is one at a time: what is called while one is
// queued shares it, be it one of keep-alive's. What is called while one is under way
// waits for its answer and shares the next. To keep-alive it is a PINGREQ like its own: a
// server that leaves it without a sign of life is given up.
//
// The round trip begins when the PINGREQ is taken to be written. ErrConnectionLost says
// that the connection ended first.
func (c *Client) Ping(p *Ping, now time.Time) error {
	if c.phase != connected {
		return ErrNotConnected
	}
	c.pings.waiting = append(c.pings.waiting, p)
	c.sendPing(now)
	return nil
}

// ForgetPing takes p back. Its Done is not called any more.
func (c *Client) ForgetPing(p *Ping) {
	same := func(o *Ping) bool { return o == p }
	c.pings.waiting = slices.DeleteFunc(c.pings.waiting, same)
	c.pings.sharing = slices.DeleteFunc(c.pings.sharing, same)
}

// pings measures round trips of PINGREQ. That it has no answer is not what keepAlive
// looks at: there any packet is a sign of life.
type pings struct {
	waiting    []*Ping   // for a PINGREQ that is not taken yet
	sharing    []*Ping   // the one that is under way
	began      time.Time // when that was taken; zero: none is under way
	roundTrips *roundTrips
}

// sendPing sends a PINGREQ if somebody waits for one and none is in the way. One that has
// had no answer for the ping timeout is not in the way any more: the server has lost it,
// or its answer, although it sends other packets.
func (c *Client) sendPing(now time.Time) {
	p := &c.pings
	if len(p.waiting) == 0 || c.phase != connected || c.keepAlive.ping != pingNone {
		return
	}
	if due := c.pingDue(); !p.began.IsZero() && (due.IsZero() || now.Before(due)) {
		return
	}
	c.keepAlive.begin(now)
	c.link.appendPing()
}

// pingDue returns when the PINGREQ under way is not in the way of the next any more; zero:
// nobody waits for the next, or nothing but an answer makes way. While keepAlive waits for
// a sign of life, that is the end of the connection.
func (c *Client) pingDue() time.Time {
	p, k := &c.pings, &c.keepAlive
	if len(p.waiting) == 0 || p.began.IsZero() || k.ping != pingNone || k.timeout == 0 {
		return time.Time{}
	}
	return p.began.Add(k.timeout)
}

// writing notes that a PINGREQ is about to be written.
func (p *pings) writing(now time.Time) {
	p.began = now
	p.sharing = append(p.sharing, p.waiting...)
	p.waiting = nil
}

// takePingresp takes the answer to the PINGREQ that is under way. One that nobody asked
// for is harmless.
func (c *Client) takePingresp(now time.Time) {
	p := &c.pings
	if p.began.IsZero() {
		return
	}
	d := max(0, now.Sub(p.began))
	sharing := p.sharing
	p.roundTrips, p.began, p.sharing = p.roundTrips.note(d), time.Time{}, nil
	for _, q := range sharing {
		q.Done(d, nil)
	}
	c.keepAlive.answered()
	c.sendPing(now)
}

// endPings ends all waits with err.
func (c *Client) endPings(err error) {
	p := &c.pings
	all := append(p.sharing, p.waiting...)
	p.waiting, p.sharing, p.began = nil, nil, time.Time{}
	for _, q := range all {
		q.Done(0, err)
	}
}
