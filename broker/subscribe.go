package broker

import (
	"cmp"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// handleSubscribe handles a SUBSCRIBE and answers it.
func (c *conn) handleSubscribe(p *wire.Subscribe, now time.Time) error {
	if err := session.RefuseSubscribe(p, c.version, c.hub.cfg.announced()); err != nil {
		return err
	}
	if !c.awaitStore() {
		return errGone
	}
	ack := &wire.Suback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))}
	why := ""
	c.asked = c.hub.rules()
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
	if c.hub.hooks.observed() {
		c.wakeBeforeHook()
		for _, e := range c.subscribed(p, ack) {
			c.hub.hooks.observe(e)
		}
	}
	return nil
}

// subscribe makes the subscriptions that are not refused yet, and answers. If waits
// is true, SUBACK and the retained messages follow when the store has the
// subscriptions.
func (c *conn) subscribe(p *wire.Subscribe, ack *wire.Suback, why string, now time.Time) (waits bool, err error) {
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if !c.isAttachedLocked() {
		return false, errGone
	}
	var send []*subscription
	work := 0
	t := c.subscriptionTask()
	for i := range p.Filters {
		if work++; !c.yieldLocked(&work) {
			return false, errGone
		}
		if ack.ReasonCodes[i].Failed() {
			continue
		}
		f := &p.Filters[i]
		s := c.newSubscription(f, p.SubscriptionID)
		ok, isNew := h.subscribeLocked(s, c.version == wire.V5)
		if !ok {
			ack.ReasonCodes[i] = wire.QuotaExceeded
			why = cmp.Or(why, "too many subscriptions")
			continue
		}
		c.client.checkRightsLocked(c.asked)
		ack.ReasonCodes[i] = wire.ReasonCode(s.qos)
		if s.group == nil && wantsRetained(f, isNew) {
			h.startWalkLocked(s)
			send = append(send, s)
		}
	}
	if t == nil {
		// [MQTT-3.8.4-1] SUBACK goes before the retained messages, so that the client
		// knows what they belong to.
		if err := c.explain(ack, &ack.ReasonString, why); err != nil {
			return false, err
		}
		c.client.startWalks()
	}
	var copies []delivery
	for _, s := range send {
		if work += messageWork * h.firstStepLocked(s).topics; !c.yieldLocked(&work) {
			giveUp(copies)
			return false, errGone
		}
		if t == nil {
			h.sendRetainedLocked(s, &c.router, now)
		} else {
			copies = h.reserveRetainedLocked(copies, t, s, now)
		}
	}
	if t != nil {
		c.commitSubscribeLocked(t, p, ack, why, copies)
	}
	return t != nil, nil
}

// yieldAfter is how many filters and retained messages of one packet are handled
// before other goroutines get hub.mu.
const yieldAfter = 1024

// messageWork is how many filters a retained message counts as.
const messageWork = 2

// yieldLocked releases hub.mu, which is held, for a moment when enough work is done:
// one packet can name a million filters. Other goroutines may then see some of the
// filters, as if each had come in a packet of its own. [MQTT-3.8.4-5] It reports
// whether the connection still has its session.
func (c *conn) yieldLocked(work *int) bool {
	if *work < yieldAfter {
		return true
	}
	*work = 0
	c.wake()
	c.hub.mu.Unlock()
	c.hub.mu.Lock()
	return c.isAttachedLocked()
}

// newSubscription returns the subscription that f asks for.
func (c *conn) newSubscription(f *wire.SubscribeFilter, id uint32) *subscription {
	return &subscription{
		client: c.client,
		whole:  f.Filter,
		// [MQTT-3.2.2-10] a client may ask for any QoS.
		qos: min(f.QoS, *c.hub.cfg.MaximumQoS),
		// A bridge asks for these two with its protocol level.
		noLocal:           f.NoLocal || c.bridge,
		retainAsPublished: f.RetainAsPublished || c.bridge,
		id:                id,
	}
}

// authorizeSubscribe returns the QoS up to which the client may subscribe, or a
// refusal.
func (c *conn) authorizeSubscribe(f *wire.SubscribeFilter) (wire.QoS, *refusal) {
	filter := f.Filter
	if c.hub.cfg.tooDeep(filter) {
		return 0, &refusal{code: wire.TopicFilterInvalid, text: "filter has too many levels"}
	}
	if c.version == wire.V5 {
		_, filter, _ = match.SplitShared(filter)
	} else if c.hub.cfg.NoWildcards && match.HasWildcard(filter) {
		return 0, &refusal{code: wire.WildcardSubscriptionsNotSupported}
	}
	d := c.hub.hooks.authorize(&Access{Peer: c.peer, Action: SubscribeAction, Topic: filter, QoS: f.QoS})
	no := d.refusal(subscribeReasons...)
	if no != nil {
		c.hub.counts.denied.Add(1)
	}
	return d.qos, no
}

// subscribed returns the events for the observers.
func (c *conn) subscribed(p *wire.Subscribe, ack *wire.Suback) (events []Event) {
	peer := c.client.lastPeer()
	for i, code := range ack.ReasonCodes {
		if !code.Failed() {
			events = append(events, Subscribed{peer, p.Filters[i].Filter, wire.QoS(code)})
		}
	}
	return events
}
