package records

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Message is the record of a message that queues refer to, and of a retained one.
type Message struct {
	Publish wire.Publish // the packet identifier and DUP are not recorded
	Expires time.Time    // zero: never
	From    string       // client identifier of the publisher; empty: none
}

// recordedPacketID stands in the PUBLISH of records, where it has no meaning.
const recordedPacketID = 1

// Value returns the record: a PUBLISH of 5.0, which can hold all properties, followed
// by the other fields. The error says why the message has no encoding.
func (m *Message) Value() ([]byte, error) {
	w := newWriter(32 + len(m.From) + m.Publish.Size(wire.V5))
	w.time(m.Expires)
	w.string(m.From)
	err := w.publish(&m.Publish)
	return w, err
}

// ParseMessage parses the record of a message. The result has memory of its own.
func ParseMessage(value []byte) (Message, error) {
	r := newReader(bytes.Clone(value))
	m := Message{Expires: r.time(), From: r.string(), Publish: r.publish()}
	return m, r.end()
}

// CheckPublish returns nil, or the reason why a message cannot be recorded, such as a
// string that is not UTF-8. It does not look at the payload.
func CheckPublish(p *wire.Publish) error {
	w := newWriter(p.Size(wire.V5) + 8)
	q := *p
	q.Payload = nil
	if q.Properties != nil {
		properties := *q.Properties
		properties.TopicAlias, properties.SubscriptionIDs = 0, nil
		q.Properties = &properties
	}
	return w.publish(&q)
}

func (w *writer) publish(p *wire.Publish) error {
	q := *p
	q.PacketID, q.Duplicate = 0, false
	if q.QoS > wire.AtMostOnce {
		q.PacketID = recordedPacketID
	}
	w.uint32(uint32(q.Size(wire.V5)))
	b, err := q.Append(*w, wire.V5)
	*w = b
	return err
}

func (r *reader) publish() wire.Publish {
	var p wire.Publish
	b := r.take(uint64(r.uint32()))
	h, n, err := wire.ParseHeader(b, wire.V5)
	if r.err != nil || err != nil || n == 0 || h.Type != wire.TypePublish || h.Size != len(b) {
		r.fail(ErrDamaged)
		return p
	}
	d := wire.Decoder{Version: wire.V5}
	if err := d.Publish(&p, h, b[n:]); err != nil {
		r.fail(err)
		return wire.Publish{}
	}
	if q := p.Properties; p.Topic == "" || q != nil && (q.TopicAlias != 0 || len(q.SubscriptionIDs) > 0) {
		r.fail(ErrDamaged)
	}
	p.PacketID, p.Duplicate = 0, false
	return p
}

// Queued is the record of a message in the queue of a session.
type Queued struct {
	QoS      wire.QoS
	Retain   bool
	PacketID uint16 // 0: not sent for certain
	Released uint64 // orders the PUBRECs; 0: none has come
	IDs      []uint32
	Group    string // the shared subscription that it came through; empty: none
}

// sharedFormat is the format of a place with a shared subscription. Places without
// one keep the first format, so that an earlier version of this package can read
// them.
const sharedFormat = 2

// Value returns the record.
func (q *Queued) Value() []byte {
	w := newWriter(32 + 5*len(q.IDs) + len(q.Group))
	if q.Group != "" {
		w[0] = sharedFormat
	}
	w.byte(byte(q.QoS))
	w.bool(q.Retain)
	w.uint16(q.PacketID)
	w.uint64(q.Released)
	w = binary.AppendUvarint(w, uint64(len(q.IDs)))
	for _, id := range q.IDs {
		w = binary.AppendUvarint(w, uint64(id))
	}
	if q.Group != "" {
		w.string(q.Group)
	}
	return w
}

// ParseQueued parses the record of a place in a queue.
func ParseQueued(value []byte) (Queued, error) {
	r, format := newReaderUpTo(value, sharedFormat)
	q := Queued{QoS: r.qos(), Retain: r.bool(), PacketID: r.uint16(), Released: r.uint64()}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		id := r.uvarint()
		if id == 0 || id > MaximumSubscriptionID {
			r.fail(ErrDamaged)
			break
		}
		q.IDs = append(q.IDs, uint32(id))
	}
	if format == sharedFormat {
		if q.Group = r.string(); q.Group == "" {
			r.fail(ErrDamaged)
		}
	}
	if q.QoS == wire.AtMostOnce || q.Released > 0 && (q.PacketID == 0 || q.QoS != wire.ExactlyOnce) {
		r.fail(ErrDamaged)
	}
	return q, r.end()
}

// Identifier is the record of a packet identifier that a session has received: the
// digest of its message. Zero means that the digest is not known.
type Identifier struct {
	Content, Properties uint64
}

// digestFormat is the format of identifiers with the digest of their message.
// Identifiers without a digest are from an earlier version of this package.
const digestFormat = 2

// Value returns the record.
func (i Identifier) Value() []byte {
	w := newWriter(16)
	w[0] = digestFormat
	w.uint64(i.Content)
	w.uint64(i.Properties)
	return w
}

// ParseIdentifier reads the record of an identifier.
func ParseIdentifier(value []byte) (i Identifier, err error) {
	r, format := newReaderUpTo(value, digestFormat)
	if format == digestFormat {
		i.Content, i.Properties = r.uint64(), r.uint64()
	}
	return i, r.end()
}

// ClockValue returns the record of the time when the broker last ran.
func ClockValue(now time.Time) []byte {
	w := newWriter(8)
	w.time(now)
	return w
}

// ParseClock reads the record of the time.
func ParseClock(value []byte) (time.Time, error) {
	r := newReader(value)
	t := r.time()
	return t, r.end()
}
