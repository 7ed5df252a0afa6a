package session

import (
	"maps"

	"github.com/seed65a45251/mqtt/wire"
)

// requests are the SUBSCRIBEs and UNSUBSCRIBEs of one connection.
type requests struct {
	waiting  []*Request // waiting for a packet identifier
	answered []*Request
}

// Request sends r. It fails at once if there is no connection, or if r breaks one of
// the server's limits; nothing was sent then. A request that makes the server end one
// connection after another ends with an error that is [ErrUndeliverable]. Split it
// with SplitSubscribe or SplitUnsubscribe of Client, so that the error concerns one
// filter only.
func (c *Client) Request(r *Request) error {
	if c.phase != connected {
		return ErrNotConnected
	}
	if err := r.check(&c.link.Limits); err != nil {
		return err
	}
	if s := &c.Sender.suspicion; s.pending() && (s.asked || !s.mayBegin(s.isSuspect(r.filterKeys))) {
		s.asked = true
		c.link.holdQoS0 = c.link.holdQoS0 || !s.lenient
		c.queueRequest(r)
		return nil
	}
	return c.writeRequest(r)
}

// writeRequest sends r as soon as there is a packet identifier.
func (c *Client) writeRequest(r *Request) error {
	id := c.Sender.ids.take()
	if id == 0 {
		c.queueRequest(r)
		return nil
	}
	r.begin = c.link.position()
	if err := c.appendRequest(r, id); err != nil {
		c.Sender.ids.used--
		return err
	}
	r.end = c.link.position()
	c.Sender.ids.setRequest(id, r)
	s := &c.Sender.suspicion
	s.sent(s.isSuspect(r.filterKeys))
	c.link.holdQoS0 = c.link.holdQoS0 || s.alone
	return nil
}

func (c *Client) queueRequest(r *Request) {
	c.requests.waiting = append(c.requests.waiting, r)
	c.Sender.ids.waiting++
}

func (c *Client) appendRequest(r *Request, id uint16) error {
	if r.Subscribe != nil {
		r.Subscribe.PacketID = id
		return c.link.Append(r.Subscribe)
	}
	r.Unsubscribe.PacketID = id
	return c.link.Append(r.Unsubscribe)
}

// takeRequestAnswer handles a SUBACK or UNSUBACK. If no request waits for it, it changes
// nothing.
func (c *Client) takeRequestAnswer(t wire.PacketType, id uint16, codes []wire.ReasonCode, text string, props []wire.UserProperty) error {
	r := c.Sender.ids.requests[id]
	if r == nil {
		return nil
	}
	want := 0
	switch {
	case r.Subscribe != nil && t == wire.TypeSuback:
		want = len(r.Subscribe.Filters)
	case r.Unsubscribe != nil && t == wire.TypeUnsuback:
		if c.link.Version == wire.V5 {
			want = len(r.Unsubscribe.Filters)
		}
	default:
		return protocolError(t, wire.ProtocolError, "%v for packet %d, which is another request", t, id)
	}
	if codes == nil && t == wire.TypeUnsuback && want > 0 {
		codes = make([]wire.ReasonCode, want) // of the tolerant decoder: that of 3.1.1
	}
	// [MQTT-3.8.4-6], [MQTT-3.11.3-1] one code per filter.
	if len(codes) != want {
		return protocolError(t, wire.ProtocolError, "%d reason codes for %d filters", len(codes), want)
	}
	c.Sender.ids.freeRequest(id)
	s := &c.Sender.suspicion
	suspect := s.isSuspect(r.filterKeys)
	s.forget(r.filterKeys)
	c.Sender.answered(suspect)
	c.retryRequests()
	r.ReasonCodes, r.ReasonString, r.UserProperties = codes, text, props
	c.reportRequest(r)
	c.Sender.Pump(c.Sender.now) // a message may have waited for the identifier
	return nil
}

// retryRequests sends the requests that waited for an identifier or for their turn.
func (c *Client) retryRequests() {
	s := &c.Sender.suspicion
	for len(c.requests.waiting) > 0 {
		r := c.requests.waiting[0]
		if c.Sender.ids.used >= maxIDTable-1 || s.pending() && !s.mayBegin(s.isSuspect(r.filterKeys)) {
			return
		}
		c.requests.waiting = c.requests.waiting[1:]
		c.Sender.ids.waiting--
		if err := c.writeRequest(r); err != nil {
			r.Err = err
			c.reportRequest(r)
		}
	}
	if s.asked {
		s.asked = false
		if !s.alone {
			c.link.unholdQoS0()
		}
		c.Sender.Pump(c.Sender.now) // messages have waited behind them
	}
}

// reportRequest returns r to its sender.
func (c *Client) reportRequest(r *Request) {
	if r.sender != nil {
		r.sender.requestEnded(r)
		return
	}
	c.requests.answered = append(c.requests.answered, r)
}

// reportUndeliverable ends the requests that were given up; see Sender.giveUpSuspect.
func (c *Client) reportUndeliverable() {
	for id, r := range c.Sender.ids.requests {
		if r.Err != nil {
			c.Sender.ids.freeRequest(id)
			c.reportRequest(r)
		}
	}
}

// endRequests ends the requests whose answer can no longer come.
func (c *Client) endRequests() {
	for id, r := range c.Sender.ids.requests {
		c.Sender.ids.freeRequest(id)
		c.lostRequest(r)
	}
	for _, r := range c.requests.waiting {
		c.lostRequest(r)
	}
	c.requests.waiting = nil
	c.Sender.ids.waiting = 0
}

// lostRequest ends r. If Subscriptions sent it, Subscriptions asks for the filters
// again.
func (c *Client) lostRequest(r *Request) {
	if r.sender == nil {
		r.Err = ErrConnectionLost
		c.requests.answered = append(c.requests.answered, r)
	}
}

// forgetFilters forgets the blame of filters that are no longer asked for. It is
// called before endRequests.
func (c *Client) forgetFilters() {
	s := &c.Sender.suspicion
	if len(s.filters) == 0 {
		return
	}
	wanted := make(map[string]bool)
	for _, r := range c.Sender.ids.requests {
		for key := range r.filterKeys {
			wanted[key] = true
		}
	}
	for _, r := range c.requests.waiting {
		for key := range r.filterKeys {
			wanted[key] = true
		}
	}
	maps.DeleteFunc(s.filters, func(key string, _ *blame) bool { return !wanted[key] })
}
