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
	l.messages[n[0]] = &loadedMessage{message: m, stored: storedMessage{number: n[0]}}
	if last := &l.b.persistence.message; last.Load() < n[0] {
		last.Store(n[0])
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
	cl.slots = max(cl.slots, n[2], q.released)
	if q.released == 0 && m.expired(l.now) && (q.packetID == 0 || q.qos == wire.AtLeastOnce) {
		// [MQTT-3.3.2-5] Nobody waits for the rest of the exchange.
		l.b.counts.expired.Add(1)
		l.drop(key)
		return nil
	}
	m.stored.copies.Add(1)
	e := &queueEntry{message: m.message, group: l.group(q.group), ids: len(q.ids)}
	// What was taken once is kept, whatever else there is now.
	cl.held.payer.chargeCopy(m.message, costOfEntry(e.ids))
	cl.held.add(e)
	e.slot = &slot{stored: &m.stored, session: number, number: n[2], released: q.released, ids: q.ids}
	e.out.Publish, e.out.Expires, e.out.Owner = m.publish, m.expires, e
	e.out.Publish.QoS, e.out.Publish.Retain, e.out.Publish.PacketID = q.qos, q.retain, q.packetID
	if len(q.ids) > 0 {
		e.out.Publish.Properties = new(withIDs(m.publish.Properties, q.ids))
	}
	if q.released > 0 {
		l.released[number] = append(l.released[number], e)
	} else {
		l.queues[number] = append(l.queues[number], e)
	}
	return nil
}

// group returns the shared subscription, which may have lost its members.
func (l *loading) group(whole string) *group {
	if whole == "" {
		return nil
	}
	if g := l.b.groups[whole]; g != nil {
		return g
	}
	return &group{whole: whole}
}

// takeOrphan takes the place of a message in the queue of a session that is over. m is
// nil if the message has gone, too.
func (l *loading) takeOrphan(key []byte, n [3]uint64, m *loadedMessage, q *queued) {
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
		s := &slot{stored: &m.stored, session: n[1], number: n[2]}
		l.orphans = append(l.orphans, orphan{message: m.message, group: q.group, slot: s})
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
		cl.recountOpenLocked()
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
	if !l.b.retained.hasRoom(m, &l.b.cfg) {
		return fmt.Errorf("more retained messages than Config.RetainedMessages, which is %d, or RetainedBytes, which is %d, permit", l.b.cfg.RetainedMessages, l.b.cfg.RetainedBytes)
	}
	payer := "" // nobody knows who published it, unless that client is known
	if cl := l.b.clients[m.from]; cl != nil {
		payer = cl.stake.memory.name
	}
	l.b.retained.put(topic, m, payer)
	return nil
}

// fill gives a session its messages.
func (l *loading) fill(number uint64, cl *client) error {
	released, queue := l.released[number], l.queues[number]
	slices.SortFunc(released, func(a, b *queueEntry) int { return cmp.Compare(a.slot.released, b.slot.released) })
	slices.SortFunc(queue, func(a, b *queueEntry) int { return cmp.Compare(a.slot.number, b.slot.number) })
	for _, entries := range [][]*queueEntry{released, queue} {
		for _, e := range entries {
			if !cl.sender.Restore(&e.out, e.slot.released > 0) {
				return &RecordError{e.slot.key(), fmt.Errorf("packet identifier %d: %w", e.out.Publish.PacketID, errRecordDamaged)}
			}
		}
	}
	return nil
}
