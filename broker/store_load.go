package broker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/store"
)

// loading is the state that was read from the Store, before it becomes the state of
// the broker.
type loading struct {
	hub      *hub
	now      time.Time
	clock    time.Time // the last time that the broker is known to have run
	clients  map[uint64]*client
	states   map[uint64]*sessionState
	messages map[uint64]*loadedMessage
	queues   map[uint64][]*queueEntry // by session
	released map[uint64][]*queueEntry // entries after PUBREC, by session
	orphans  []orphan                 // messages of ended sessions that were not passed on yet
	owed     []*subscription          // subscriptions whose retained messages are still to be sent
	rest     []store.Op               // removes records that nothing refers to
}

// loadedMessage is a message that queues may refer to.
type loadedMessage struct {
	*message
	stored storedMessage
}

// load restores the state from the Store. If that fails, it closes the broker with
// the error.
func (h *hub) load() {
	l := &loading{
		hub: h, now: time.Now(),
		clients:  make(map[uint64]*client),
		states:   make(map[uint64]*sessionState),
		messages: make(map[uint64]*loadedMessage),
		queues:   make(map[uint64][]*queueEntry),
		released: make(map[uint64][]*queueEntry),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := l.read(); err != nil {
		h.failLocked(err)
		return
	}
	h.persistence.Later(l.rest...)
	h.persistence.start()
	l.resumeLocked()
}

// failLocked closes a broker that could not be started.
func (h *hub) failLocked(err error) {
	h.persistence = h.newPersistence(nil)
	h.failure, h.closed = err, true
	h.sessionQuota, h.memory = newQuota(h.cfg.Sessions), newQuota(h.cfg.Memory)
	h.clients, h.retained = map[string]*client{}, newRetained(h.memory, h.changes.retainedChangedLocked)
	h.stopping.Store(true)
	h.sys.stopLocked()
	h.cancel()
}

// read reads all records. Sessions come first, because all other records belong to
// them.
func (l *loading) read() error {
	for _, step := range []struct {
		kind records.Kind
		take func(key records.Key, record store.Record) error
	}{
		{records.ClockKind, l.loadClock},
		{records.SessionKind, l.loadSession},
		{records.SubscriptionKind, l.loadFilter},
		{records.MessageKind, l.loadMessage},
		{records.QueuedKind, l.loadQueued},
		{records.IdentifierKind, l.loadIdentifier},
		{records.RetainedKind, l.loadRetained},
	} {
		for record, err := range l.hub.cfg.Store.Scan(step.kind.Prefix()) {
			if err != nil {
				return fmt.Errorf("mqtt: store: %w", err)
			}
			key, err := step.kind.Parse(record.Key)
			if err == nil {
				err = step.take(key, record)
			}
			if err != nil {
				return &RecordError{Key: slices.Clone(record.Key), Err: err}
			}
		}
	}
	for number, cl := range l.clients {
		if err := l.fill(number, cl); err != nil {
			return err
		}
	}
	slices.SortFunc(l.orphans, func(a, b orphan) int {
		return cmp.Or(cmp.Compare(a.slot.session, b.slot.session), cmp.Compare(a.slot.number, b.slot.number))
	})
	for number, m := range l.messages {
		if m.stored.copies.Load() == 0 {
			l.rest = append(l.rest, records.Deletion(records.MessageKey(number)))
		}
	}
	return nil
}

func (l *loading) loadClock(_ records.Key, record store.Record) error {
	clock, err := records.ParseClock(record.Value)
	l.clock = l.monotonic(clock)
	return err
}

// monotonic gives a time from the store a monotonic reading, so that later changes of
// the wall clock do not matter.
func (l *loading) monotonic(t time.Time) time.Time {
	placed := l.now.Add(t.Sub(l.now))
	if t.IsZero() || !placed.Equal(t) { // zero, or centuries away
		return t
	}
	return placed
}

func (l *loading) loadSession(key records.Key, record store.Record) error {
	r, err := records.ParseSession(record.Value)
	if err != nil {
		return err
	}
	number, s := key.Session, sessionStateOf(r)
	s.since = l.monotonic(s.since)
	h := l.hub
	if !s.ended && len(h.clients) >= h.cfg.Sessions {
		return fmt.Errorf("more sessions than Config.Sessions, which is %d", h.cfg.Sessions)
	}
	h.created = max(h.created, number)
	cl := newClient(h, s.peer.ClientID, number)
	cl.saved, cl.gone = true, s.ended
	cl.expiry, cl.will, cl.leaving = s.expiry, s.will, s.leaving
	cl.seen = seen{s.peer, s.since}
	cl.durable.Store(!s.ended && s.expiry > 0)
	for _, w := range s.leaving {
		w.owner = cl
	}
	l.clients[number], l.states[number] = cl, s
	if s.ended {
		return nil
	}
	if h.clients[cl.id] != nil {
		return fmt.Errorf("second session of client %q", cl.id)
	}
	cl.chargeTo(newSessionCharge(h.sessionQuota, h.memory, h.cfg.payer(s.peer), costOfSession(s.peer, s.will)))
	h.clients[cl.id] = cl
	return nil
}

// live returns the session that a record belongs to, or nil. A record without a
// session is left from a session that was being removed.
func (l *loading) live(key []byte, number uint64) *client {
	// A new session must not get a number that records are left of.
	l.hub.created = max(l.hub.created, number)
	if cl := l.clients[number]; cl != nil && !cl.gone {
		return cl
	}
	l.drop(key)
	return nil
}

// drop removes a record.
func (l *loading) drop(key []byte) { l.rest = append(l.rest, records.Deletion(slices.Clone(key))) }

func (l *loading) loadFilter(key records.Key, record store.Record) error {
	r, err := records.ParseSubscription(record.Value)
	if err != nil {
		return err
	}
	s := &subscription{whole: r.Filter, qos: r.QoS, noLocal: r.NoLocal, retainAsPublished: r.RetainAsPublished, id: r.ID}
	cl := l.live(record.Key, key.Session)
	if cl == nil {
		return nil
	}
	if !slices.Equal(record.Key, records.SubscriptionKey(key.Session, s.whole)) || cl.subscriptions[s.whole] != nil {
		return records.ErrDamaged
	}
	if !cl.mayAdd(s, &l.hub.cfg) {
		return fmt.Errorf("client %q has more subscriptions than Config.SubscriptionsPerClient, which is %d", cl.id, l.hub.cfg.SubscriptionsPerClient)
	}
	if err := checkFilter(s.whole, r.Shared); err != nil {
		return err
	}
	s.client = cl
	l.hub.addRouteLocked(s, r.Shared)
	cl.add(s)
	if r.Owed && s.group == nil {
		l.owed = append(l.owed, s)
	}
	return nil
}

// resumeLocked starts the clocks of the sessions. Called with hub.mu held.
func (l *loading) resumeLocked() {
	h := l.hub
	for _, s := range l.owed {
		h.startWalkLocked(s) // from the beginning, when the client comes back
	}
	h.passOnNowLocked(l.orphans)
	for _, number := range slices.Sorted(maps.Keys(l.clients)) {
		cl := l.clients[number]
		for _, w := range slices.Clone(cl.leaving) {
			h.afterLocked(0, func() { w.publish(h, time.Now()) })
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
		cl.saveLaterLocked()
		h.setAlarmLocked(cl, since, l.now)
		cl.mu.Unlock()
	}
}

// lost returns when a client lost its connection that was connected at the end: a
// clock interval after the broker last noted the time or the client connected, but
// not later than now.
func (l *loading) lost(since time.Time) time.Time {
	if l.clock.After(since) {
		since = l.clock
	}
	if since = since.Add(clockInterval); since.After(l.now) {
		return l.now
	}
	return since
}

// checkFilter repeats the checks of SUBSCRIBE.
func checkFilter(whole string, shared bool) error {
	if err := match.ValidateFilter(whole); err != nil {
		return err
	}
	if _, _, is := match.SplitShared(whole); shared && !is {
		return records.ErrDamaged
	}
	return nil
}
