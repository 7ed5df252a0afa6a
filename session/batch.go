package session

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Batch is packets that were decoded and wait for [Client.HandleBatch]. Decoding needs
// nothing of a Client, so whoever guards one with a lock decodes before taking it: what
// the server sends may be large. The zero value is ready and can be used for one
// connection after another.
type Batch struct {
	arrivals []arrival
	received []Received // of the PUBLISHes among them, in order
	next     int        // of received
	err      error      // of the reader, behind them
}

// arrival is a packet that came.
type arrival struct {
	header wire.Header
	body   []byte
	ahead  *ahead // nil: there is nothing to know that takes time
}

// ahead is what was found out about a packet before its turn.
type ahead struct {
	packet wire.Packet // decoded; nil for a PUBLISH
	err    error       // why it can not be decoded
	sum    uint64      // of a large payload; 0: not known
}

const (
	// batchPackets is how many packets one batch holds at most, so that those who wait
	// for a lock around HandleBatch get it soon.
	batchPackets = 1024
	// shortBody is up to which size a body is decoded when its turn comes.
	shortBody = 128
	// largePayload is from which size on a payload is hashed ahead.
	largePayload = 16 << 10
)

// Decoder returns a decoder for the packets of the connection that [Client.Connect]
// has begun.
func (c *Client) Decoder() wire.Decoder {
	return wire.Decoder{Version: c.link.Version, Tolerate: c.settings.Tolerate}
}

// Decode takes packets that r has buffered, up to a number that one lock can bear, and
// decodes them with d. It returns false if there are none. What Received returned before
// is no longer valid.
func (b *Batch) Decode(d *wire.Decoder, r *wire.Reader) bool {
	b.err, b.next = nil, 0
	for len(b.arrivals) < batchPackets {
		h, body, ok, err := r.Next()
		if err != nil {
			b.err = err
			break
		}
		if !ok {
			break
		}
		a := arrival{header: h, body: body}
		switch {
		case h.Type == wire.TypePublish:
			b.received = append(b.received, Received{})
			a.ahead = b.decodePublish(d, &b.received[len(b.received)-1].Publish, h, body)
		case len(body) > shortBody && h.Type != wire.TypeConnack:
			packet, err := d.Decode(h, body)
			a.ahead = &ahead{packet: packet, err: err}
		}
		b.arrivals = append(b.arrivals, a)
	}
	return len(b.arrivals) > 0 || b.err != nil
}

func (b *Batch) decodePublish(d *wire.Decoder, p *wire.Publish, h wire.Header, body []byte) *ahead {
	switch err := d.Publish(p, h, body); {
	case err != nil:
		return &ahead{err: err}
	case p.QoS > wire.AtMostOnce && len(p.Payload) >= largePayload:
		return &ahead{sum: inMemory.bytes(p.Payload)}
	}
	return nil
}

// Received returns the messages that HandleBatch has brought. They are valid until
// Recycle or the next Decode, and what they alias until the decoder and the reader go on.
func (b *Batch) Received() []Received { return b.received }

// Recycle drops what the batch holds, but not the memory for as much again.
func (b *Batch) Recycle() {
	clear(b.arrivals)
	clear(b.received)
	b.arrivals, b.received, b.err = b.arrivals[:0], b.received[:0], nil
}

// HandleBatch takes the packets of b, one after the other. It is HandleBuffered for
// packets that are decoded; the messages among them are in b.
func (c *Client) HandleBatch(b *Batch, now time.Time) (err error) {
	c.keepAlive.alive(now)
	c.Sender.now = now
	kept := 0
	for i := range b.arrivals {
		a := &b.arrivals[i]
		if a.header.Type != wire.TypePublish {
			err = c.handleArrival(a, now)
		} else if r := b.take(); c.phase == connected {
			var deliver bool
			if deliver, err = c.handleMessage(r, a); err != nil {
				c.fail(err)
			}
			if deliver {
				if &b.received[kept] != r {
					b.received[kept] = *r
				}
				kept++
			}
		} else {
			err = c.Handle(a.header, a.body, now) // too early or too late
		}
		if err != nil {
			break
		}
	}
	clear(b.received[kept:])
	b.received = b.received[:kept]
	if err == nil {
		err = b.err
	}
	return err
}

// take returns the next PUBLISH.
func (b *Batch) take() *Received {
	r := &b.received[b.next]
	b.next++
	return r
}

// handleArrival takes a packet that is no PUBLISH.
func (c *Client) handleArrival(a *arrival, now time.Time) error {
	if a.ahead == nil || c.phase != connected {
		return c.Handle(a.header, a.body, now)
	}
	err := c.checkSize(a.header)
	if err == nil {
		err = a.ahead.err
	}
	if err == nil {
		c.keepAlive.alive(now)
		err = c.takePacket(a.ahead.packet)
	}
	if err != nil {
		c.fail(err)
		return err
	}
	c.retryRequests()
	return nil
}

// handleMessage takes a PUBLISH that was decoded into r, and says whether somebody gets it.
func (c *Client) handleMessage(r *Received, a *arrival) (deliver bool, err error) {
	if err := c.checkSize(a.header); err != nil {
		return false, c.refuse(a.header, a.body, err)
	}
	if a.ahead != nil {
		err = a.ahead.err
		c.Receiver.sums = payloadSum{r.Publish.Payload, a.ahead.sum}
	}
	return c.takeMessage(r, a.header, a.body, err)
}

// takeMessage takes the PUBLISH of r. err is what the decoder says of it.
func (c *Client) takeMessage(r *Received, h wire.Header, body []byte, err error) (deliver bool, failed error) {
	refused := err != nil
	switch {
	case errors.Is(err, wire.QuotaExceeded):
		return false, c.excessive(&r.Publish, err)
	case err == nil:
		deliver, r.Token, err = c.Receiver.Publish(&r.Publish)
		refused = err != nil && isAliased(&r.Publish)
	}
	c.Receiver.sums = payloadSum{}
	c.refusals.brought = c.refusals.brought || deliver
	if refused {
		return false, c.refuse(h, body, err)
	}
	return deliver, err
}

// excessive refuses a PUBLISH that breaks no rule, but is more than we take, because of
// fault. The connection goes on.
func (c *Client) excessive(p *wire.Publish, fault error) error {
	deliver, token, err := c.Receiver.Publish(p)
	if err != nil || !deliver {
		return err
	}
	if len(c.refusals.list) < maxRefused {
		c.refusals.list = append(c.refusals.list, Refused{p.Topic, fault})
	}
	return c.Receiver.Ack(token, wire.QuotaExceeded)
}
