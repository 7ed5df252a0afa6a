package broker

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// loading is what is read from the Store, before it becomes the state of the broker.
type loading struct {
	b        *Broker
	now      time.Time
	clock    time.Time // when the broker last ran, for sure
	clients  map[uint64]*client
	states   map[uint64]*sessionState
	messages map[uint64]*message
	queues   map[uint64][]*parcel // in the order of their places
	released map[uint64][]*parcel
	rest     []store.Op // removes what nothing refers to
}

// load goes on with what the Store has, or closes the broker with an error.
func (b *Broker) load() {
	l := &loading{
		b: b, now: time.Now(),
		clients:  make(map[uint64]*client),
		states:   make(map[uint64]*sessionState),
		messages: make(map[uint64]*message),
		queues:   make(map[uint64][]*parcel),
		released: make(map[uint64][]*parcel),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d := newDisk(b, b.cfg.Store)
	b.disk, b.retained.disk = d, nil // reading changes nothing
	if err := l.read(); err != nil {
		b.disk = nil
		b.failure, b.closed = err, true
		b.clients, b.retained = map[string]*client{}, retained{}
		b.stopping.Store(true)
		b.stopStatus()
		b.cancel()
		return
	}
	b.retained.disk = d
	d.later(l.rest...)
	d.start()
	l.resume()
}

// read reads all records. Sessions come first, as everything else belongs to them.
func (l *loading) read() error {
	for _, step := range []struct {
		kind recordKind
		take func(key, value []byte) error
	}{
		{clockRecord, l.takeClock},
		{sessionRecord, l.takeSession},
		{filterRecord, l.takeFilter},
		{messageRecord, l.takeMessage},
		{queuedRecord, l.takeQueued},
		{identifierRecord, l.takeIdentifier},
		{retainedRecord, l.takeRetained},
	} {
		prefix := recordKey(step.kind)
		for record, err := range l.b.cfg.Store.Scan(prefix) {
			if err != nil {
				return fmt.Errorf("mqtt: store: %w", err)
			}
			if err := step.take(record.Key, record.Value); err != nil {
				return &RecordError{Key: slices.Clone(record.Key), Err: err}
			}
		}
	}
	for number, cl := range l.clients {
		if err := l.fill(number, cl); err != nil {
			return err
		}
	}
	for number, m := range l.messages {
		if m.stored.copies.Load() == 0 {
			l.rest = append(l.rest, deletion(recordKey(messageRecord, number)))
		}
	}
	return nil
}

func (l *loading) takeClock(key, value []byte) (err error) {
	if _, _, err := parseKey(key, 0, 0); err != nil {
		return err
	}
	l.clock, err = parseClock(value)
	return err
}

func (l *loading) takeSession(key, value []byte) error {
	n, _, err := parseKey(key, 1, 0)
	if err != nil {
		return err
	}
	s, err := parseSession(value)
	if err != nil {
		return err
	}
	b := l.b
	if !s.ended && len(b.clients) >= b.cfg.Sessions {
		return fmt.Errorf("more sessions than Config.Sessions, which is %d", b.cfg.Sessions)
	}
	b.created = max(b.created, n[0])
	cl := newClient(s.peer.ClientID, n[0], b.cfg.Inflight, b.disk)
	cl.recorded, cl.gone = true, s.ended
	cl.expiry, cl.will, cl.leaving = s.expiry, s.will, s.leaving
	cl.seen = seen{&s.peer, s.since}
	cl.lasting.Store(!s.ended && s.expiry > 0)
	for _, w := range s.leaving {
		w.owner = cl
	}
	l.clients[n[0]], l.states[n[0]] = cl, s
	if s.ended {
		return nil
	}
	if b.clients[cl.id] != nil {
		return fmt.Errorf("second session of client %q", cl.id)
	}
	b.clients[cl.id] = cl
	return nil
}

// live returns the session that a record belongs to. Without one it is left from a
// session that was being removed.
func (l *loading) live(key []byte, number uint64) *client {
	if cl := l.clients[number]; cl != nil && !cl.gone {
		return cl
	}
	l.rest = append(l.rest, deletion(slices.Clone(key)))
	return nil
}

func (l *loading) takeFilter(key, value []byte) error {
	n, _, err := parseKey(key, 1, 32)
	if err != nil {
		return err
	}
	s, shared, err := parseSubscription(value)
	if err != nil {
		return err
	}
	cl := l.live(key, n[0])
	if cl == nil {
		return nil
	}
	if !slices.Equal(key, filterKey(n[0], s.whole)) || cl.subscriptions[s.whole] != nil {
		return errRecordDamaged
	}
	if !cl.mayAdd(s, &l.b.cfg) {
		return fmt.Errorf("client %q has more subscriptions than Config.SubscriptionsPerClient, which is %d", cl.id, l.b.cfg.SubscriptionsPerClient)
	}
	if err := checkFilter(s.whole, shared); err != nil {
		return err
	}
	s.client = cl
	l.b.place(s, shared)
	cl.add(s)
	return nil
}

func (l *loading) takeMessage(key, value []byte) error {
	n, _, err := parseKey(key, 1, 0)
	if err != nil {
		return err
	}
	m, err := parseMessage(value)
	if err != nil {
		return err
	}
	m.b, m.stored = l.b, &stored{number: n[0]}
	l.messages[n[0]] = m
	if l.b.disk.message.Load() < n[0] {
		l.b.disk.message.Store(n[0])
	}
	return nil
}

func (l *loading) takeQueued(key, value []byte) error {
	n, _, err := parseKey(key, 2, 0)
	if err != nil {
		return err
	}
	q, err := parseQueued(value)
	if err != nil {
		return err
	}
	cl := l.live(key, n[0])
	if cl == nil {
		return nil
	}
	m := l.messages[q.message]
	if m == nil || q.qos > m.publish.QoS {
		return fmt.Errorf("message %d: %w", q.message, errRecordDamaged)
	}
	cfg := &l.b.cfg
	if cl.held.messages >= cfg.QueuedMessages || cl.held.bytes+m.size() > cfg.QueuedBytes {
		return fmt.Errorf("more waits for client %q than Config.QueuedMessages, which is %d, or QueuedBytes, which is %d, permit", cl.id, cfg.QueuedMessages, cfg.QueuedBytes)
	}
	cl.places = max(cl.places, n[1], q.released)
	if q.released == 0 && m.expired(l.now) && (q.packetID == 0 || q.qos == wire.AtLeastOnce) {
		// [MQTT-3.3.2-5] Nobody waits for the rest of the exchange.
		l.b.counts.expired.Add(1)
		l.rest = append(l.rest, deletion(slices.Clone(key)))
		return nil
	}
	m.stored.copies.Add(1)
	cl.held.add(m, 1)
	p := &parcel{message: m, client: cl, place: n[1], released: q.released, ids: q.ids}
	p.out.Publish, p.out.Expires, p.out.Owner = m.publish, m.expires, p
	p.out.Publish.QoS, p.out.Publish.Retain, p.out.Publish.PacketID = q.qos, q.retain, q.packetID
	if len(q.ids) > 0 {
		p.out.Publish.Properties = new(withIDs(m.publish.Properties, q.ids))
	}
	if q.released > 0 {
		l.released[n[0]] = append(l.released[n[0]], p)
	} else {
		l.queues[n[0]] = append(l.queues[n[0]], p)
	}
	return nil
}

func (l *loading) takeIdentifier(key, value []byte) error {
	n, id, err := parseKey(key, 1, 2)
	if err != nil {
		return err
	}
	if err := readRecord(value).end(); err != nil {
		return err
	}
	if cl := l.live(key, n[0]); cl != nil {
		cl.receiver.Restore(binary.BigEndian.Uint16(id))
	}
	return nil
}

func (l *loading) takeRetained(key, value []byte) error {
	m, err := parseMessage(value)
	if err != nil {
		return err
	}
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
	released := l.released[number]
	slices.SortFunc(released, func(a, b *parcel) int {
		if a.released < b.released {
			return -1
		}
		return 1
	})
	for _, parcels := range [][]*parcel{released, l.queues[number]} {
		for _, p := range parcels {
			if !cl.sender.Restore(&p.out, p.released > 0) {
				return &RecordError{p.save().Key, fmt.Errorf("packet identifier %d: %w", p.out.Publish.PacketID, errRecordDamaged)}
			}
		}
	}
	return nil
}

// resume starts the clocks of the sessions. Broker.mu is held.
func (l *loading) resume() {
	b := l.b
	for _, number := range slices.Sorted(maps.Keys(l.clients)) {
		cl := l.clients[number]
		for _, w := range slices.Clone(cl.leaving) {
			b.after(0, func() { w.publish(b, time.Now()) })
		}
		if cl.gone {
			continue
		}
		since := cl.seen.since
		if l.states[number].connected {
			since = l.lost(since)
		}
		cl.seen.since = since
		cl.mu.Lock()
		cl.saveLater()
		b.setAlarm(cl, since, l.now)
		cl.mu.Unlock()
	}
}

// lost returns when a client lost its connection that had it at the end: not before
// the broker was there for the last time that it knows of, and at most an interval of
// its clock later.
func (l *loading) lost(since time.Time) time.Time {
	if l.clock.After(since) {
		since = l.clock
	}
	if since = since.Add(clockInterval); since.After(l.now) {
		return l.now
	}
	return since
}
