package mqtt

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/internal/durable"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/store"
)

// openStores has the Stores that clients of this process use.
var openStores = struct {
	sync.Mutex
	used map[store.Store]bool
}{used: make(map[store.Store]bool)}

// claimStore makes s the Store of one client.
func claimStore(s store.Store) error {
	if !reflect.TypeOf(s).Comparable() {
		return nil
	}
	openStores.Lock()
	defer openStores.Unlock()
	if openStores.used[s] {
		return errors.New("another client uses it")
	}
	openStores.used[s] = true
	return nil
}

func releaseStore(s store.Store) {
	if !reflect.TypeOf(s).Comparable() {
		return
	}
	openStores.Lock()
	defer openStores.Unlock()
	delete(openStores.used, s)
}

// openKeeper reads what an earlier process has left in Config.Store.
func (c *Client) openKeeper() error {
	s := c.cfg.Store
	if s == nil {
		return nil
	}
	if err := claimStore(s); err != nil {
		return fmt.Errorf("Config.Store: %w", err)
	}
	journal, err := durable.Open(s, c.cfg.ClientID)
	if err != nil {
		releaseStore(s)
		return fmt.Errorf("Config.Store: %w: %w", ErrStore, err)
	}
	c.keeper = &keeper{
		engine: &c.engine, store: s, journal: journal, interval: c.cfg.StoreInterval, adopt: c.cfg.adopt, logger: c.logger,
		report: func(err error) { c.watchers.send(Event{State: c.State(), Err: err}) },
		wake:   make(chan struct{}, 1), ended: make(chan struct{}), done: make(chan struct{}),
	}
	return nil
}

// beginKeeper gives the engine what an earlier process has left.
func (c *Client) beginKeeper() {
	k := c.keeper
	if k == nil {
		return
	}
	c.engine.keeper = k
	k.journal.Attach(c.engine.Client, durable.Owner{
		New: func() *session.Outgoing {
			d := &Delivery{retried: true}
			d.out.Owner = d
			if c.undelivered.call != nil {
				d.tell(c.undelivered.of(d, nil))
			}
			return &d.out
		},
		Reports: func(o *session.Outgoing) bool {
			d, ok := o.Owner.(*Delivery)
			return ok && d.reports() && c.undelivered.call != nil
		},
		Age:           c.cfg.QueueAge,
		AgeAtMostOnce: c.cfg.QueueAtMostOnce.Age,
	})
	c.restoreFilters()
	k.recovered = c.engine.Sender.LastSeq()
	c.engine.queue.waiting = k.waitingLocked
	if own := c.cfg.QueueAtMostOnce; own.Messages > 0 || own.Bytes > 0 {
		c.engine.queue.waitingAtMostOnce = k.journal.WaitingAtMostOnce
	}
	c.undelivered.forget = k.journal.Forget
	if n := k.journal.Damaged(); n > 0 {
		k.logger.Error("mqtt store has records that cannot be read, which are set aside", "records", n)
	}
	c.engine.do(func(*session.Client) {}) // sets the alarm for what expires without a connection
	k.start()
}

// endKeeper writes what is left, before everything that waits fails.
func (c *Client) endKeeper() {
	k := c.keeper
	if k == nil {
		return
	}
	if k.interval < 0 {
		c.engine.mu.Lock()
		k.journal.Keep(func(o *session.Outgoing) bool {
			d, ok := o.Owner.(*Delivery)
			return !ok || !d.notStored
		}, time.Now())
		c.engine.mu.Unlock()
	}
	k.stop()
	releaseStore(k.store)
}

// sessionJournal returns the journal for the engine.
func (k *keeper) sessionJournal() session.Journal {
	if k == nil {
		return nil
	}
	return k.journal
}

// adopts reports whether a session may be on the server that the Store knows nothing of.
func (k *keeper) adopts() bool { return k == nil || k.adopt && k.journal.Fresh() }

// acceptLocked takes over the message of d, which the queue has capacity for. record is
// nil if the message is not recorded.
func (k *keeper) acceptLocked(d *Delivery, record []byte) {
	extra := d.extras()
	extra.entry = &durable.Entry{Out: &d.out, Done: func(err error) {
		switch {
		case extra.recorded == nil:
		case err == nil:
			close(extra.recorded)
		default:
			extra.told = nil // PublishAsync returns the error: the message was not accepted
		}
	}}
	k.journal.Accept(extra.entry, record, time.Now())
}

// recordOf returns the record of a message; nil: it is not recorded.
func (k *keeper) recordOf(d *Delivery) ([]byte, error) {
	if k == nil || d.out.Publish.QoS == AtMostOnce || d.notStored || d.notQueued || k.interval < 0 {
		return nil, nil
	}
	return durable.EncodeMessage(&d.out.Publish, d.out.Expiry(), time.Now())
}

// failLocked completes with err what waits outside the engine.
func (k *keeper) failLocked(err error) {
	if k != nil {
		k.journal.FailLine(err, &keptError{err})
	}
}

// waitingLocked returns how many messages wait outside the engine, and their size in bytes.
func (k *keeper) waitingLocked() (messages, bytes int) {
	if k == nil {
		return 0, 0
	}
	return k.journal.Waiting()
}

// behindLocked reports whether messages wait that go before what is published now.
func (k *keeper) behindLocked() bool { return k != nil && k.journal.Behind() }

// unlessStored returns a copy of m, but nil if its record says what it is, so that nothing
// else holds on to it. (A message that is copied can stay on the stack of the program.)
func (k *keeper) unlessStored(m *Message) *Message {
	if k.stores(m) {
		return nil
	}
	kept := *m
	return &kept
}

// stores reports whether m gets a record.
func (k *keeper) stores(m *Message) bool {
	return k != nil && m.QoS > AtMostOnce && !m.NotStored && !m.NotQueued && k.interval >= 0
}
