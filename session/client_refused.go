package session

import (
	"errors"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// A PUBLISH that we have to refuse ends the connection, as the specification demands.
// The server then sends the message again on the next connection, and on all that
// follow. After refusedAfter connections in a row that ended only because of such
// messages, we acknowledge and drop them instead, as far as they can be read, and the
// rest of the session goes on. This ends with the first connection that brings
// messages and none of this kind.
// like that.
const refusedAfter = 3

// Refused is a message that was acknowledged and dropped, because it cannot be delivered.
type Refused struct {
	Topic string // as it came, perhaps not UTF-8
	Err   error  // what is wrong with it
}

// refusals counts the PUBLISHes that we have to refuse.
type refusals struct {
	inARow  int  // connections in a row that ended because of one
	ended   bool // this connection ends because of one
	brought bool // this connection brought messages
	dropped bool // this connection brought messages that were dropped
	list    []Refused
}

// beginConnection begins a connection.
func (r *refusals) beginConnection() { r.ended, r.brought, r.dropped = false, false, false }

// endConnection updates the counts at the end of a connection.
func (r *refusals) endConnection() {
	switch {
	case r.ended:
		r.inARow++
	case r.brought && !r.dropped:
		r.inARow = 0
	}
}

// Tolerant reports whether messages that have to be refused are now acknowledged and
// dropped, instead of ending the connection.
func (c *Client) Tolerant() bool { return c.refusals.inARow >= refusedAfter }

// Refused appends the messages that were dropped since the last call to dst.
func (c *Client) Refused(dst []Refused) []Refused {
	dst = append(dst, c.refusals.list...)
	c.refusals.list = nil
	return dst
}

// Overlook acknowledges and drops a PUBLISH that [wire.Reader.Skim] has read because
// it is larger than our maximum. If that is not possible, it returns fault and the
// connection has to end.
func (c *Client) Overlook(h wire.Header, head []byte, fault error) error {
	if c.phase != connected {
		return nil
	}
	err := c.refusePublish(h, head, fault)
	if err != nil {
		c.fail(err)
	}
	return err
}

// refusePublish drops a PUBLISH because of fault, if the client is tolerant and enough of
// the packet can be read. Otherwise it returns fault.
func (c *Client) refusePublish(h wire.Header, body []byte, fault error) error {
	p, ok := readable(h, body)
	return c.dropRefused(&p, ok, fault)
}

// dropRefused is refusePublish for a PUBLISH whose readable part is p. ok says that this
// part is enough for an answer.
func (c *Client) dropRefused(p *wire.Publish, ok bool, fault error) error {
	if !c.Tolerant() {
		c.refusals.ended = true
		return fault
	}
	c.refusals.dropped = true
	if len(c.refusals.list) < maxRefused {
		c.refusals.list = append(c.refusals.list, Refused{p.Topic, fault})
	}
	if !ok {
		return nil // there is nothing to acknowledge it with
	}
	deliver, token, err := c.Receiver.Publish(p)
	if deliver && !token.IsZero() {
		return c.Receiver.Ack(token, refusalCode(p.Topic, fault))
	}
	return err
}

// maxRefused is how many dropped messages are remembered until Refused is called.
const maxRefused = 1024

// isAliased reports whether p names its topic only by an alias. If the Receiver
// refuses p, it refuses the alias.
func isAliased(p *wire.Publish) bool {
	return p.Properties != nil && p.Properties.TopicAlias != 0 && p.Topic == ""
}

// readable reads the part of a PUBLISH that is needed to acknowledge it.
func readable(h wire.Header, body []byte) (p wire.Publish, ok bool) {
	if len(body) < 2 {
		return p, false
	}
	end := 2 + (int(body[0])<<8 | int(body[1]))
	if end > len(body) {
		return p, false
	}
	p.Topic, p.QoS = string(body[2:end]), wire.QoS(h.Flags>>1&3)
	if p.QoS == wire.AtMostOnce {
		return p, true
	}
	if end+2 > len(body) {
		return p, false
	}
	p.PacketID = uint16(body[end])<<8 | uint16(body[end+1])
	p.Duplicate = h.Flags&8 != 0
	return p, p.PacketID != 0
}

// refusalCode returns the code of PUBACK or PUBREC for a message that we refuse because
// of err.
func refusalCode(topic string, err error) wire.ReasonCode {
	switch {
	case topic != "" && match.ValidateTopic(topic) != nil:
		return wire.TopicNameInvalid
	case errors.Is(err, wire.PacketTooLarge):
		return wire.QuotaExceeded
	case errors.Is(err, wire.PayloadFormatInvalid):
		return wire.PayloadFormatInvalid
	}
	return wire.UnspecifiedError
}
