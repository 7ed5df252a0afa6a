package broker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

func (l *loading) loadMessage(key records.Key, record store.Record) error {
	r, err := records.ParseMessage(record.Value)
	if err != nil {
		return err
	}
	m := messageOf(r)
	m.expires = l.monotonic(m.expires)
	l.messages[key.Message] = &loadedMessage{message: m, stored: storedMessage{number: key.Message}}
	if last := &l.hub.persistence.message; last.Load() < key.Message {
		last.Store(key.Message)
	}
	return nil
}

func (l *loading) loadQueued(key records.Key, record store.Record) error {
	q, err := records.ParseQueued(record.Value)
	if err != nil {
		return err
	}
	number := key.Session
	m := l.messages[key.Message]
	if cl := l.clients[number]; cl == nil || cl.gone {
		l.loadOrphan(record.Key, key, m, &q)
		return nil
	}
	cl := l.clients[number]
	if m == nil || q.QoS > m.publish.QoS {
		return fmt.Errorf("message %d: %w", key.Message, records.ErrDamaged)
	}
	cfg := &l.hub.cfg
	if cl.held.messages >= cfg.QueuedMessages || cl.held.bytes+m.size() > cfg.QueuedBytes {
		return fmt.Errorf("more waits for client %q than Config.QueuedMessages, which is %d, or QueuedBytes, which is %d, permit", cl.id, cfg.QueuedMessages, cfg.QueuedBytes)
	}
	cl.slots = max(cl.slots, key.Place, q.Released)
	if q.Released == 0 && m.expired(l.now) && (q.PacketID == 0 || q.QoS == wire.AtLeastOnce) {
		// [MQTT-3.3.2-5] The message has expired, and no client waits for the rest of
		// the exchange.
		l.hub.counts.expired.Add(1)
		l.drop(record.Key)
		return nil
	}
	m.stored.copies.Add(1)
	e := &queueEntry{message: m.message, group: l.group(q.Group), ids: len(q.IDs)}
	// A message that was accepted once is kept, even beyond the limits of today.
	cl.held.payer.chargeCopy(m.message, costOfEntry(e.ids))
	cl.held.add(e)
	e.slot = &slot{stored: &m.stored, session: number, number: key.Place, released: q.Released, ids: q.IDs}
	e.out.Publish, e.out.Expires, e.out.Owner = m.publish, m.expiry(), e
	e.out.Publish.QoS, e.out.Publish.Retain, e.out.Publish.PacketID = q.QoS, q.Retain, q.PacketID
	if len(q.IDs) > 0 {
		e.out.Publish.Properties = new(withIDs(m.publish.Properties, q.IDs))
	}
	if q.Released > 0 {
		l.released[number] = append(l.released[number], e)
	} else {
		l.queues[number] = append(l.queues[number], e)
	}
	return nil
}

// group returns a shared subscription, whose members may all be gone.
func (l *loading) group(whole string) *group {
	if whole == "" {
		return nil
	}
	if g := l.hub.groups[whole]; g != nil {
		return g
	}
	return &group{whole: whole}
}

// loadOrphan reads the place of a message in the queue of an ended session. m is nil
// if the message is gone, too.
func (l *loading) loadOrphan(whole []byte, key records.Key, m *loadedMessage, q *records.Queued) {
	l.hub.created = max(l.hub.created, key.Session)
	switch {
	case m == nil || q.Group == "" || q.Released > 0:
		l.drop(whole)
	case m.expired(l.now):
		l.hub.counts.expired.Add(1)
		l.drop(whole)
	case q.QoS == wire.ExactlyOnce && q.PacketID != 0:
		// [MQTT-4.8.2-5] the message may have been sent.
		l.hub.counts.dropped.Add(1)
		l.drop(whole)
	default:
		m.stored.copies.Add(1)
		s := &slot{stored: &m.stored, session: key.Session, number: key.Place}
		l.orphans = append(l.orphans, orphan{message: m.message, group: q.Group, slot: s})
	}
}

func (l *loading) loadIdentifier(key records.Key, record store.Record) error {
	digest, err := records.ParseIdentifier(record.Value)
	if err != nil {
		return err
	}
	if cl := l.live(record.Key, key.Session); cl != nil {
		cl.receiver.RestoreDigest(key.PacketID, session.Digest(digest))
		cl.recountOpenLocked()
	}
	return nil
}

func (l *loading) loadRetained(_ records.Key, record store.Record) error {
	r, err := records.ParseMessage(record.Value)
	if err != nil {
		return err
	}
	m := messageOf(r)
	m.expires = l.monotonic(m.expires)
	topic := m.publish.Topic
	if !slices.Equal(record.Key, records.RetainedKey(topic)) || len(m.publish.Payload) == 0 {
		return records.ErrDamaged
	}
	if m.expired(l.now) {
		l.drop(record.Key)
		return nil
	}
	if !l.hub.retained.fits(m, &l.hub.cfg) {
		return fmt.Errorf("more retained messages than Config.RetainedMessages, which is %d, or RetainedBytes, which is %d, permit", l.hub.cfg.RetainedMessages, l.hub.cfg.RetainedBytes)
	}
	payer := "" // empty unless the publisher has a session
	if cl := l.hub.clients[m.from]; cl != nil {
		payer = cl.sessionCharge.memory.name
	}
	l.hub.retained.put(topic, m, payer)
	return nil
}

// fill restores the messages of a session.
func (l *loading) fill(number uint64, cl *client) error {
	released, queue := l.released[number], l.queues[number]
	slices.SortFunc(released, func(a, b *queueEntry) int { return cmp.Compare(a.slot.released, b.slot.released) })
	slices.SortFunc(queue, func(a, b *queueEntry) int { return cmp.Compare(a.slot.number, b.slot.number) })
	for _, entries := range [][]*queueEntry{released, queue} {
		for _, e := range entries {
			if !cl.sender.Restore(&e.out, e.slot.released > 0) {
				return &RecordError{e.slot.key(), fmt.Errorf("packet identifier %d: %w", e.out.Publish.PacketID, records.ErrDamaged)}
			}
		}
	}
	return nil
}
