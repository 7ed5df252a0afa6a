package broker

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// subscription is one filter of one client, or the place of a shared one in the
// routing tree. It never changes: a SUBSCRIBE for the same filter replaces it.
type subscription struct {
	client            *client       // nil: stands for group in the tree
	local             *Subscription // of the program; nil: of client
	whole             string        // the filter as the client wrote it
	filter            string        // what topics are matched against
	qos               wire.QoS
	noLocal           bool
	retainAsPublished bool
	id                uint32        // subscription identifier; 0: none
	group             *group        // nil: not shared
	limit             atomic.Uint64 // what the hooks allow now, see granted
	walk              *walk         // of the retained messages that are still to be sent; nil: there are none. Broker.mu guards it
}

// order sorts subscriptions so that those of one client stand together.
func (s *subscription) order() uint64 {
	if s.client == nil {
		return 0
	}
	return s.client.number
}

// handleSubscribe takes a SUBSCRIBE and answers it.
func (c *conn) handleSubscribe(p *wire.Subscribe, now time.Time) error {
	if err := session.RefuseSubscribe(p, c.version, c.b.cfg.announced()); err != nil {
		return err
	}
	if !c.awaitStore() {
		return errGone
	}
	ack := &wire.Suback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))}
	why := ""
	c.asked = c.b.rules()
	for i := range p.Filters {
		f := &p.Filters[i]
		qos, no := c.authorizeSubscribe(f)
		if no != nil && no.broken {
			return no
		}
		if no != nil {
			ack.ReasonCodes[i] = no.code
			why = cmp.Or(why, no.text)
			continue
		}
		f.QoS = min(f.QoS, qos)
	}
	waits, err := c.subscribe(p, ack, why, now)
	if err != nil || waits {
		return err
	}
	if c.b.observed() {
		c.letGo()
		for _, e := range c.subscribed(p, ack) {
			c.b.observe(e)
		}
	}
	return nil
}

// subscribe makes the subscriptions that are not refused yet, and answers. waits says
// that the answer, and what is retained, comes when the store has them.
func (c *conn) subscribe(p *wire.Subscribe, ack *wire.Suback, why string, now time.Time) (waits bool, err error) {
	b := c.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.attached() {
		return false, errGone
	}
	var send []*subscription
	work := 0
	t := c.subscriptionTask()
	for i := range p.Filters {
		if work++; !c.takeTurns(&work) {
			return false, errGone
		}
		if ack.ReasonCodes[i].Failed() {
			continue
		}
		f := &p.Filters[i]
		s, isNew := b.subscribe(c, f, p.SubscriptionID)
		if s == nil {
			ack.ReasonCodes[i] = wire.QuotaExceeded
			why = cmp.Or(why, "too many subscriptions")
			continue
		}
		c.client.suspect(c.asked)
		ack.ReasonCodes[i] = wire.ReasonCode(s.qos)
		if s.group == nil && wantsRetained(f, isNew) {
			b.startWalk(s)
			send = append(send, s)
		}
	}
	if t == nil {
		// [MQTT-3.8.4-1] before the retained messages, so that the client knows what
		// they are.
		if err := c.explain(ack, &ack.ReasonString, why); err != nil {
			return false, err
		}
		c.client.letWalk()
	}
	var copies []delivery
	for _, s := range send {
		if work += messageWork * b.firstStep(s).topics; !c.takeTurns(&work) {
			giveUp(copies)
			return false, errGone
		}
		if t == nil {
			b.sendRetained(s, &c.router, now)
		} else {
			copies = b.reserveRetained(copies, t, s, now)
		}
	}
	if t != nil {
		c.commitSubscribe(t, p, ack, why, copies)
	}
	return t != nil, nil
}

// turnLength is how many filters and retained messages a client may go through
// before the others get their turn.
const turnLength = 1024

// messageWork is what a retained message counts, which costs as much as some filters.
const messageWork = 2

// takeTurns lets the others have Broker.mu, which is held, when enough work is done:
// one packet can name a million filters. Whoever comes in between sees a part of
// them, as if each had come in a packet of its own. [MQTT-3.8.4-5]
// It reports whether the connection still has its session.
func (c *conn) takeTurns(work *int) bool {
	if *work < turnLength {
		return true
	}
	*work = 0
	c.wake()
	c.b.mu.Unlock()
	c.b.mu.Lock()
	return c.attached()
}

// subscribe makes or replaces a subscription; Broker.mu is held. It returns nil
// when the client has too many.
func (b *Broker) subscribe(c *conn, f *wire.SubscribeFilter, id uint32) (s *subscription, isNew bool) {
	cl := c.client
	s = &subscription{
		client: cl,
		whole:  f.Filter,
		// [MQTT-3.2.2-10] any QoS may be asked for.
		qos: min(f.QoS, *b.cfg.MaximumQoS),
		// A bridge says by its protocol level that it wants these two.
		noLocal:           f.NoLocal || c.bridge,
		retainAsPublished: f.RetainAsPublished || c.bridge,
		id:                id,
	}
	old := cl.subscriptions[s.whole]
	if old == nil && !b.mayAdd(cl, s, c.version == wire.V5) {
		return nil, false
	}
	if old != nil {
		// [MQTT-3.8.4-3] the new one takes its place; nobody publishes meanwhile. What is
		// still to be sent for the old one is sent.
		s.walk, old.walk = old.walk, nil
		b.removeSubscription(old)
	}
	b.changes.filterChanges(cl, s.whole)
	b.place(s, c.version == wire.V5)
	cl.add(s)
	return s, old == nil
}

// mayAdd reports whether there is room for another subscription of cl, in its own limits
// and in those of all.
func (b *Broker) mayAdd(cl *client, s *subscription, mayShare bool) bool {
	return cl.mayAdd(s, &b.cfg) && b.mayRoute(cl, s.whole, mayShare) && b.memory.room(cl.stake.memory.name, 2*costOf(s))
}

// place puts s into the routing; Broker.mu is held.
func (b *Broker) place(s *subscription, mayShare bool) {
	_, filter, shared := match.SplitShared(s.whole)
	shared = shared && mayShare
	s.filter = s.whole
	if shared {
		s.filter = filter
	}
	if s.local == nil {
		b.shapes.add(s.filter, s.client.payer(b.cfg.open()))
	}
	if isStatus(s.filter) {
		b.watchStatus()
	}
	if shared {
		b.join(s)
	} else {
		b.routes.Insert(s.filter, s)
	}
}

// removeSubscription takes s out of the routing; Broker.mu is held.
func (b *Broker) removeSubscription(s *subscription) {
	s.walk.end()
	if s.local == nil {
		b.shapes.remove(s.filter)
	}
	if isStatus(s.filter) {
		b.unwatchStatus()
	}
	if s.group != nil {
		b.part(s)
		return
	}
	b.routes.Delete(s.filter, s)
}

// filterBytes bounds the text of the subscriptions of one client.
const filterBytes = 4 << 20

// filters are the subscriptions of one client. Broker.mu guards them.
type filters struct {
	subscriptions map[string]*subscription // by whole filter
	bytes         int
	cost          int // charged to payer
	payer         *holder
}

func (f *filters) mayAdd(s *subscription, cfg *Config) bool {
	return len(f.subscriptions) < cfg.SubscriptionsPerClient && f.bytes+len(s.whole) <= filterBytes
}

func (f *filters) add(s *subscription) {
	f.remove(s.whole)
	f.subscriptions[s.whole] = s
	f.bytes += len(s.whole)
	f.charge(costOf(s))
}

func (f *filters) remove(whole string) {
	if s, ok := f.subscriptions[whole]; ok {
		delete(f.subscriptions, whole)
		f.bytes -= len(whole)
		f.charge(-costOf(s))
	}
}

func (f *filters) charge(n int) {
	f.payer.charge(n)
	f.cost += n
}

// clear removes all.
func (f *filters) clear() {
	f.charge(-f.cost)
	*f = filters{}
}

// handleUnsubscribe takes an UNSUBSCRIBE and answers it. [MQTT-3.10.4-1] filters
// are compared byte for byte.
func (c *conn) handleUnsubscribe(p *wire.Unsubscribe) error {
	if !c.awaitStore() {
		return errGone
	}
	ack := &wire.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))}
	waits, err := c.unsubscribe(p, ack)
	if err != nil || waits {
		return err
	}
	if c.b.observed() {
		c.letGo()
		for _, e := range c.unsubscribed(p, ack) {
			c.b.observe(e)
		}
	}
	return nil
}

// unsubscribe removes the subscriptions that are there, and answers. waits says that the
// answer comes when the store has forgotten them.
func (c *conn) unsubscribe(p *wire.Unsubscribe, ack *wire.Unsuback) (waits bool, err error) {
	b, cl := c.b, c.client
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.attached() {
		return false, errGone
	}
	work := 0
	t := c.subscriptionTask()
	for i, filter := range p.Filters {
		if work++; !c.takeTurns(&work) {
			return false, errGone
		}
		s := cl.subscriptions[filter]
		if s == nil {
			ack.ReasonCodes[i] = wire.NoSubscriptionExisted
			continue
		}
		b.removeSubscription(s)
		b.changes.filterChanges(cl, filter)
		cl.remove(filter)
		b.reassignShared(s)
	}
	if t != nil {
		c.commitUnsubscribe(t, p, ack)
		return true, nil
	}
	return false, c.answer(ack)
}
