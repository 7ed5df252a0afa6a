package broker

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// recordPacketID stands in the PUBLISH of records, where it has no meaning.
const recordPacketID = 1

// appendMessage writes m as a PUBLISH of 5.0, which has a place foreverything, and
// what a PUBLISH has not: who it came from and when it expires.
func (w *recordWriter) message(m *message) error {
	w.time(m.expires)
	w.string(m.from)
	return w.publish(&m.publish)
}

func (w *recordWriter) publish(p *wire.Publish) error {
	q := *p
	q.PacketID, q.Duplicate = 0, false
	if q.QoS > wire.AtMostOnce {
		q.PacketID = recordPacketID
	}
	w.uint32(uint32(q.Size(wire.V5)))
	b, err := q.Append(*w, wire.V5)
	*w = b
	return err
}

// messageValue returns the record of m. The error is about a message that has no
// encoding.
func messageValue(m *message) ([]byte, error) {
	w := newRecord(32 + len(m.from) + m.publish.Size(wire.V5))
	err := w.message(m)
	return w, err
}

func parseMessage(value []byte) (*message, error) {
	r := readRecord(bytes.Clone(value)) // the message shares its memory
	m := r.message()
	return m, r.end()
}

func (r *recordReader) message() *message {
	expires, from := r.time(), r.string()
	m := &message{publish: r.publish(), expires: expires, from: from}
	m.bytes = m.publish.Cost()
	m.kept = m
	return m
}

func (r *recordReader) publish() wire.Publish {
	var p wire.Publish
	b := r.take(uint64(r.uint32()))
	h, n, err := wire.ParseHeader(b, wire.V5)
	if r.err != nil || err != nil || n == 0 || h.Type != wire.TypePublish || h.Size != len(b) {
		r.fail(errRecordDamaged)
		return p
	}
	d := wire.Decoder{Version: wire.V5}
	if err := d.Publish(&p, h, b[n:]); err != nil {
		r.fail(err)
		return wire.Publish{}
	}
	if q := p.Properties; p.Topic == "" || q != nil && (q.TopicAlias != 0 || len(q.SubscriptionIDs) > 0) {
		r.fail(errRecordDamaged)
	}
	p.PacketID, p.Duplicate = 0, false
	return p
}

// queued is the record of a message in the queue of a session.
type queued struct {
	qos      wire.QoS
	retain   bool
	packetID uint16 // 0: was certainly not sent
	released uint64 // orders the PUBRECs; 0: none has come
	ids      []uint32
	group    string // the shared subscription that it came through; empty: none
}

// sharedFormat is that of places of shared subscriptions. Places without are written
// as always, so that an earlier version of this package can read them.
const sharedFormat = 2

func (q *queued) value() []byte {
	w := newRecord(32 + 5*len(q.ids) + len(q.group))
	if q.group != "" {
		w[0] = sharedFormat
	}
	w.byte(byte(q.qos))
	w.bool(q.retain)
	w.uint16(q.packetID)
	w.uint64(q.released)
	w = binary.AppendUvarint(w, uint64(len(q.ids)))
	for _, id := range q.ids {
		w = binary.AppendUvarint(w, uint64(id))
	}
	if q.group != "" {
		w.string(q.group)
	}
	return w
}

func parseQueued(value []byte) (queued, error) {
	r, format := readFormats(value, sharedFormat)
	q := queued{qos: r.qos(), retain: r.bool(), packetID: r.uint16(), released: r.uint64()}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		id := r.uvarint()
		if id == 0 || id > maximumSubscriptionID {
			r.fail(errRecordDamaged)
			break
		}
		q.ids = append(q.ids, uint32(id))
	}
	if format == sharedFormat {
		if q.group = r.string(); q.group == "" {
			r.fail(errRecordDamaged)
		}
	}
	if q.qos == wire.AtMostOnce || q.released > 0 && (q.packetID == 0 || q.qos != wire.ExactlyOnce) {
		r.fail(errRecordDamaged)
	}
	return q, r.end()
}

// digestFormat is that of identifiers with the digest of their message. Those without
// are from an earlier version of this package.
const digestFormat = 2

func identifierValue(d session.Digest) []byte {
	w := newRecord(16)
	w[0] = digestFormat
	w.uint64(d.Content)
	w.uint64(d.Properties)
	return w
}

func parseIdentifier(value []byte) (d session.Digest, err error) {
	r, format := readFormats(value, digestFormat)
	if format == digestFormat {
		d.Content, d.Properties = r.uint64(), r.uint64()
	}
	return d, r.end()
}

// maximumSubscriptionID is the largest subscription identifier.
const maximumSubscriptionID = 268_435_455

func clockValue(now time.Time) []byte {
	w := newRecord(8)
	w.time(now)
	return w
}

func parseClock(value []byte) (time.Time, error) {
	r := readRecord(value)
	t := r.time()
	return t, r.end()
}
