package session

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Acknowledgements come in runs: a server that is busy answers many messages with one
// write. Nearly all of them are an identifier and nothing else. A [Batch] keeps these as
// runs of identifiers, and the Sender takes a run as a whole: what the freed quota lets
// out is sent once, after all of it. Acknowledgements that say more, or come while
// anything unusual is under way, are handled one by one.

// shortAck is the size of an acknowledgement that is an identifier and nothing else.
const shortAck = 4

// isAnswer reports whether packets of the type answer what a Sender sends.
func isAnswer(t wire.PacketType) bool {
	return t == wire.TypePuback || t == wire.TypePubrec || t == wire.TypePubcomp
}

// addAck adds a short acknowledgement to the run that b ends with, or to a new one. It
// leaves a malformed one to the decoder.
func (b *Batch) addAck(h wire.Header, body []byte) bool {
	if len(body) != 2 || body[0]|body[1] == 0 { // not in the shortest form, or without identifier
		return false
	}
	b.acks = append(b.acks, uint16(body[0])<<8|uint16(body[1]))
	if n := len(b.arrivals); n > 0 {
		if last := &b.arrivals[n-1]; last.acks > 0 && last.header.Type == h.Type && last.after == len(b.received) {
			last.acks++
			return true
		}
	}
	b.arrivals = append(b.arrivals, arrival{header: h, after: len(b.received), acks: 1})
	return true
}

// handleAcks handles a run of short acknowledgements. h is the header of each.
func (c *Client) handleAcks(h wire.Header, ids []uint16, now time.Time) error {
	if c.phase != connected || c.checkSize(h) != nil || len(c.requests.waiting) > 0 || !c.Sender.takesRuns() {
		body := make([]byte, 2)
		for _, id := range ids {
			body[0], body[1] = byte(id>>8), byte(id)
			if err := c.handleCounted(h, body, now); err != nil {
				return err
			}
		}
		return nil
	}
	if err := c.Sender.acknowledged(h.Type, ids); err != nil {
		c.fail(err)
		return err
	}
	return nil
}
