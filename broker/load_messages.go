package broker

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

func (l *loading) takeMessage(key, value []byte) error {
	n, _, err := parseKey(key, 1, 0)
	if err != nil {
		return err
	}
	m, err := parseMessage(value)
	if err != nil {
		return err
	}
	m.expires = l.place(m.expires)
	m.b, m.stored = l.b, &stored{number: n[0]}
	l.messages[n[0]] = m
	if l.b.disk.message.Load() < n[0] {
		l.b.disk.message.Store(n[0])
	}
	return nil
}

func (l *loading) takeQueued(key, value []byte) error {
	n, _, err := parseKey(key, 3, 0)
	if err != nil {
		return err
	}
	q, err := parseQueued(value)
	if err != nil {
		return err
	}
	number := n[1]
	m := l.messages[n[0]]
	if cl := l.clients[number]; cl == nil || cl.gone {
		l.takeOrphan(key, n, m, &q)
		return nil
	}
	cl := l.clients[number]
	if m == nil || q.qos > m.publish.QoS {
		return fmt.Errorf("message %d: %w", n[0], errRecordDamaged)
	}
	cfg := &l.b.cfg
	if cl.held.messages >= cfg.QueuedMessages || cl.held.bytes+m.size() > cfg.QueuedBytes {
		return fmt.Errorf("more waits for client %q than Config.QueuedMessages, which is %d, or QueuedBytes, which is %d, permit", cl.id, cfg.QueuedMessages, cfg.QueuedBytes)
	}
	cl.places = max(cl.places, n[2], q.released)
	if q.released == 0 && m.expired(l.now) && (q.packetID == 0 || q.qos == wire.AtLeastOnce) {
		// [MQTT-3.3.2-5] Nobody waits for the rest of the exchange.
		l.b.counts.expired.Add(1)
		l.drop(key)
		return nil
	}
	m.stored.copies.Add(1)
	cl.held.add(m, 1)
	p := &parcel{message: m, client: cl, place: n[2], released: q.released, ids: q.ids, group: q.group}
	p.out.Publish, p.out.Expires, p.out.Owner = m.publish, m.expires, p
	p.out.Publish.QoS, p.out.Publish.Retain, p.out.Publish.PacketID = q.qos, q.retain, q.packetID
	if len(q.ids) > 0 {
		p.out.Publish.Properties = new(withIDs(m.publish.Properties, q.ids))
	}
	if q.released > 0 {
		l.released[number] = append(l.released[number], p)
	} else {
		l.queues[number] = append(l.queues[number], p)
	}
	return nil
}

// takeOrphan takes the place of a message in the queue of a session that is over. m is
// nil if the message has gone, too.
func (l *loading) takeOrphan(key []byte, n [3]uint64, m *message, q *queued) {
	l.b.created = max(l.b.created, n[1])
	switch {
	case m == nil || q.group == "" || q.released > 0:
		l.drop(key)
	case m.expired(l.now):
		l.b.counts.expired.Add(1)
		l.drop(key)
	case q.qos == wire.ExactlyOnce && q.packetID != 0:
		// [MQTT-4.8.2-5] it may have been sent.
		l.b.counts.dropped.Add(1)
		l.drop(key)
	default:
		m.stored.copies.Add(1)
		p := &parcel{message: m, client: &client{number: n[1]}, place: n[2], group: q.group}
		l.orphans = append(l.orphans, orphan{message: m, group: q.group, parcel: p})
	}
}

func (l *loading) takeIdentifier(key, value []byte) error {
	n, id, err := parseKey(key, 1, 2)
	if err != nil {
		return err
	}
	digest, err := parseIdentifier(value)
	if err != nil {
		return err
	}
	if cl := l.live(key, n[0]); cl != nil {
		cl.receiver.RestoreDigest(binary.BigEndian.Uint16(id), digest)
	}
	return nil
}

func (l *loading) takeRetained(key, value []byte) error {
	m, err := parseMessage(value)
	if err != nil {
		return err
	}
	m.expires = l.place(m.expires)
	topic := m.publish.Topic
	if !slices.Equal(key, retainedKey(topic)) || len(m.publish.Payload) == 0 {
		return errRecordDamaged
	}
	if m.expired(l.now) {
		l.rest = append(l.rest, deletion(slices.Clone(key)))
		return nil
	}
	m.b = l.b
	if !l.b.retained.room(m, &l.b.cfg) {
		return fmt.Errorf("more retained messages than Config.RetainedMessages, which is %d, or RetainedBytes, which is %d, permit", l.b.cfg.RetainedMessages, l.b.cfg.RetainedBytes)
	}
	l.b.retained.put(topic, m)
	return nil
}

// fill gives a session its messages.
func (l *loading) fill(number uint64, cl *client) error {
	released, queue := l.released[number], l.queues[number]
	slices.SortFunc(released, func(a, b *parcel) int { return cmp.Compare(a.released, b.released) })
	slices.SortFunc(queue, func(a, b *parcel) int { return cmp.Compare(a.place, b.place) })
	for _, parcels := range [][]*parcel{released, queue} {
		for _, p := range parcels {
			if !cl.sender.Restore(&p.out, p.released > 0) {
				return &RecordError{p.save().Key, fmt.Errorf("packet identifier %d: %w", p.out.Publish.PacketID, errRecordDamaged)}
			}
		}
	}
	return nil
}
