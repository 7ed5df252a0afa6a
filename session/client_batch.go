package session

import (
	"errors"
	"math"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Batch holds decoded packets for [Client.HandleBatch]. Decoding needs no state of a
// Client, and the packets may be large. A caller that guards a Client with a lock
// therefore decodes before it takes the lock. A caller without a lock uses
// [Client.HandleBuffered], which costs less and handles CONNACK as well. The zero value
// is ready, and can be used for one connection after another.
type Batch struct {
	received []Received // the messages of all PUBLISHes, in order
	arrivals []arrival  // the other packets, and PUBLISHes that need a closer look
	acks     []uint16   // the identifiers of all short acknowledgements
	err      error      // the reader's error, which comes after the packets
	packets  int        // in all
}

// arrival is a packet other than PUBLISH, or a PUBLISH that needs a closer look.
type arrival struct {
	header wire.Header
	body   []byte
	after  int         // number of PUBLISHes before it
	acks   int         // how many of Batch.acks it stands for, if it is a run of them
	packet wire.Packet // decoded; nil: a PUBLISH, or one that is decoded when it is handled
	err    error       // why it cannot be decoded
	sum    uint64      // hash of a large payload; 0: not known
}

const (
	// batchPackets is how many packets one batch holds at most, so that a lock around
	// HandleBatch is held only briefly.
	batchPackets = 256
	// shortBody is the size up to which a body is decoded only when it is handled.
	shortBody = 128
	// largePayload is the size from which a payload is hashed in advance.
	largePayload = 16 << 10
)

// Decoder decodes the packets of one connection ahead of their handling.
type Decoder struct {
	wire  wire.Decoder
	limit int // the maximum packet size that we have announced
}

// Decoder returns a decoder for the packets that follow CONNACK on the connection that
// [Client.Connect] has begun.
func (c *Client) Decoder() Decoder {
	d := Decoder{wire: wire.Decoder{Version: c.link.Version, Tolerate: c.settings.Tolerate}, limit: math.MaxInt}
	if most := c.announced.maximumPacketSize; most > 0 {
		d.limit = int(most)
	}
	return d
}

// Recycle is [wire.Decoder.Recycle].
func (d *Decoder) Recycle() { d.wire.Recycle() }

// Decode decodes packets that r has buffered, up to batchPackets. It returns false if r
// has neither a packet nor an error. The batch must be empty.
func (b *Batch) Decode(d *Decoder, r *wire.Reader) bool {
	n := 0
	for ; n < batchPackets; n++ {
		h, body, ok, err := r.Next()
		if err != nil || !ok {
			b.err = err
			break
		}
		switch {
		case h.Type == wire.TypePublish:
			b.decodePublish(d, h, body)
		case h.Size == shortAck && isAnswer(h.Type) && b.addAck(h, body):
		default:
			b.decode(d, h, body)
		}
	}
	b.packets = n
	return n > 0 || b.err != nil
}

func (b *Batch) decodePublish(d *Decoder, h wire.Header, body []byte) {
	n := len(b.received)
	if n < cap(b.received) {
		b.received = b.received[:n+1] // it is zero
	} else {
		b.received = append(b.received, Received{})
	}
	p := &b.received[n].Publish
	err := d.wire.Publish(p, h, body)
	if err == nil && len(body) < largePayload && h.Size <= d.limit {
		return
	}
	a := arrival{header: h, body: body, after: n, err: err}
	if err == nil && p.QoS > wire.AtMostOnce {
		a.sum = inMemory.bytes(p.Payload)
	}
	b.arrivals = append(b.arrivals, a)
}

func (b *Batch) decode(d *Decoder, h wire.Header, body []byte) {
	a := arrival{header: h, body: body, after: len(b.received)}
	if len(body) > shortBody && h.Type != wire.TypeConnack {
		a.packet, a.err = d.wire.Decode(h, body)
	}
	b.arrivals = append(b.arrivals, a)
}

// Received returns the messages that HandleBatch has accepted. They are valid until
// Recycle. The memory that they alias is valid until the decoder or the reader is
// used again.
func (b *Batch) Received() []Received { return b.received }

// Recycle empties the batch and keeps its memory for the next packets.
func (b *Batch) Recycle() {
	clear(b.arrivals)
	clear(b.received)
	b.arrivals, b.received, b.acks, b.err, b.packets = b.arrivals[:0], b.received[:0], b.acks[:0], nil, 0
}

// HandleBatch handles the packets of b, which follow CONNACK, one after the other. It
// is [Client.HandleBuffered] for a caller that has decoded the packets outside its
// lock. The messages are in b, not in Received.
func (c *Client) HandleBatch(b *Batch, now time.Time) (err error) {
	c.keepAlive.alive(now)
	c.Sender.now = now
	c.packets += uint64(b.packets)
	next, kept, acks := 0, 0, b.acks
	for i := 0; err == nil && (i < len(b.arrivals) || next < len(b.received)); {
		var a *arrival
		if i < len(b.arrivals) && b.arrivals[i].after == next {
			a = &b.arrivals[i]
			i++
		}
		if a != nil && a.acks > 0 {
			err = c.handleAcks(a.header, acks[:a.acks], now)
			acks = acks[a.acks:]
			continue
		}
		if a != nil && a.header.Type != wire.TypePublish {
			err = c.handleArrival(a, now)
			continue
		}
		r := &b.received[next]
		next++
		var deliver bool
		if deliver, err = c.handleMessage(r, a); deliver {
			if next-1 > kept {
				b.received[kept] = *r
			}
			kept++
		}
	}
	clear(b.received[kept:])
	b.received = b.received[:kept]
	if err == nil {
		err = b.err
	}
	return err
}

// handleArrival handles a packet that is not a plain PUBLISH.
func (c *Client) handleArrival(a *arrival, now time.Time) error {
	if a.packet == nil && a.err == nil || c.phase != connected {
		return c.handleCounted(a.header, a.body, now)
	}
	err := c.checkSize(a.header)
	if err == nil {
		err = a.err
	}
	if err == nil {
		err = c.takePacket(a.packet)
	}
	if err != nil {
		c.fail(err)
		return err
	}
	c.retryRequests()
	return nil
}

// handleMessage handles a PUBLISH that was decoded into r, and reports whether the
// application gets it. a is nil if the PUBLISH needs no closer look.
func (c *Client) handleMessage(r *Received, a *arrival) (deliver bool, err error) {
	switch {
	case c.phase == ended:
		return false, nil
	case c.phase != connected:
		err = protocolError(wire.TypePublish, wire.ProtocolError, "PUBLISH before CONNACK")
	case a == nil:
		deliver, err = c.takeMessage(r)
	default:
		c.Receiver.sums = payloadSum{r.Publish.Payload, a.sum}
		deliver, err = c.takeDecoded(r, a.header, a.body, a.err)
		c.Receiver.sums = payloadSum{}
	}
	if err != nil {
		c.fail(err)
	}
	return deliver, err
}

// takeDecoded handles the PUBLISH in r. fault says why it could not be decoded, if so.
func (c *Client) takeDecoded(r *Received, h wire.Header, body []byte, fault error) (deliver bool, err error) {
	if err := c.checkSize(h); err != nil {
		return false, c.refusePublish(h, body, err)
	}
	switch {
	case fault == nil:
		return c.takeMessage(r)
	case errors.Is(fault, wire.QuotaExceeded):
		return false, c.refuseExcessive(&r.Publish, fault)
	}
	return false, c.refusePublish(h, body, fault)
}

// takeMessage handles the PUBLISH in r.
func (c *Client) takeMessage(r *Received) (deliver bool, err error) {
	deliver, r.Token, err = c.Receiver.Publish(&r.Publish)
	if deliver {
		c.refusals.brought = true
	}
	if p := &r.Publish; err != nil && isAliased(p) {
		return false, c.dropRefused(&wire.Publish{QoS: p.QoS, PacketID: p.PacketID, Duplicate: p.Duplicate}, true, err)
	}
	return deliver, err
}

// refuseExcessive refuses a PUBLISH that breaks no rule but exceeds what we take; fault
// says how. The connection continues.
func (c *Client) refuseExcessive(p *wire.Publish, fault error) error {
	deliver, token, err := c.Receiver.Publish(p)
	if err != nil || !deliver {
		return err
	}
	if len(c.refusals.list) < maxRefused {
		c.refusals.list = append(c.refusals.list, Refused{p.Topic, fault})
	}
	return c.Receiver.Ack(token, wire.QuotaExceeded)
}
