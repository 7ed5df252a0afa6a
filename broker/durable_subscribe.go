package broker

import (
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// subscriptionTask returns what waits for changes of subscriptions that are made from
// now on, or nil if nothing does.
func (c *conn) subscriptionTask() *task {
	if !c.client.lasting.Load() {
		return nil
	}
	return &task{client: c.client, ledger: c.b.disk.ledgers.next()}
}

// enrolDurably lets SUBACK wait for the disk, together with the retained messages
// that follow it: a session that is resumed does not get them again. Broker.mu is
// held.
func (c *conn) enrolDurably(t *task, p *wire.Subscribe, ack *wire.Suback, why string, send []*subscription, work int, now time.Time) error {
	d := c.b.disk
	for i := range p.Filters {
		t.cost += deliveryCost + len(p.Filters[i].Filter)
	}
	var found []retainedCopy
	for _, s := range send {
		if work += c.b.retained.effort(s.filter); !c.takeTurns(&work) {
			giveUpRetained(found)
			return errGone
		}
		found = d.copyRetained(found, t, s, now)
	}
	// The decoder's memory is used again.
	p = &wire.Subscribe{PacketID: p.PacketID, Filters: append([]wire.SubscribeFilter(nil), p.Filters...)}
	t.done = func(err error) { d.enrolDone(c, t, p, ack, why, found, err) }
	d.add(t)
	return nil
}

// retainedCopy is a retained message on its way to a new subscription.
type retainedCopy struct {
	message *message
	of      *message // what is retained
	copies  []delivery
}

// copyRetained adds to found what s gets, and to t what of it has to be durable.
func (d *disk) copyRetained(found []retainedCopy, t *task, s *subscription, now time.Time) []retainedCopy {
	to := target{client: s.client, qos: s.qos, retain: true, stored: true}
	if s.id != 0 {
		to.ids = []uint32{s.id}
	}
	messages := d.b.retained.matching(s.filter, now)
	for _, m := range append(messages, d.b.statusFor(s.filter, now)...) {
		if s.noLocal && m.from == s.client.id {
			continue
		}
		each := retainedCopy{message: m.own(), of: m, copies: []delivery{{target: to}}}
		if !to.atMostOnce(m) {
			c, ok := d.copy(each.message, &to, now)
			if !ok {
				continue
			}
			each.copies[0] = c
		}
		if err := d.pack(t, each.message, each.copies); err != nil {
			giveUp(each.copies) // has no encoding: as if too large for the client
			continue
		}
		found = append(found, each)
	}
	return found
}

func giveUpRetained(found []retainedCopy) {
	for _, each := range found {
		giveUp(each.copies)
	}
}

// enrolDone answers, and sends what is retained. [MQTT-3.8.4-1] SUBACK goes first, so
// that the client knows what it gets.
func (d *disk) enrolDone(c *conn, t *task, p *wire.Subscribe, ack *wire.Suback, why string, found []retainedCopy, err error) {
	if err != nil {
		giveUpRetained(found)
		for i, code := range ack.ReasonCodes {
			if !code.Failed() {
				ack.ReasonCodes[i], why = storeCode(err), storeFailed
			}
		}
	}
	if failed := c.explain(ack, &ack.ReasonString, why); failed != nil && !errors.Is(failed, errGone) {
		c.fail(&refusal{code: wire.PacketTooLarge, text: "SUBACK"})
	}
	d.router.dirty = append(d.router.dirty, c)
	if err != nil {
		return
	}
	now := time.Now()
	for i := range found {
		d.releaseRetained(&found[i], now)
	}
	d.tell(t, c.subscribed(p, ack)...)
}

// releaseRetained sends a retained message that is durable. One at QoS 0 that was
// replaced meanwhile is left out, as its successor did not wait. [MQTT-4.6.0-6]
func (d *disk) releaseRetained(c *retainedCopy, now time.Time) {
	topic := c.of.publish.Topic
	if c.copies[0].parcel == nil && !isStatus(topic) {
		d.b.mu.RLock() // so that none comes in between
		defer d.b.mu.RUnlock()
		if d.currentRetained(topic) != c.of {
			return
		}
	}
	d.release(c.message, c.copies, now)
}

// strikeDurably lets UNSUBACK wait for the disk; Broker.mu is held.
func (c *conn) strikeDurably(t *task, p *wire.Unsubscribe, ack *wire.Unsuback) {
	d := c.b.disk
	p = &wire.Unsubscribe{PacketID: p.PacketID, Filters: append([]string(nil), p.Filters...)}
	for i := range p.Filters {
		t.cost += deliveryCost + len(p.Filters[i])
	}
	t.done = func(err error) { d.strikeDone(c, t, p, ack, err) }
	d.add(t)
}

// strikeDone answers. Before 5.0 there is no word for a failure.
func (d *disk) strikeDone(c *conn, t *task, p *wire.Unsubscribe, ack *wire.Unsuback, err error) {
	if err != nil && c.version < wire.V5 {
		c.fail(&refusal{code: wire.ImplementationSpecificError, text: storeFailed})
		return
	}
	if err != nil {
		for i, code := range ack.ReasonCodes {
			if code == wire.Success {
				ack.ReasonCodes[i] = wire.ImplementationSpecificError
			}
		}
	}
	if failed := c.answer(ack); failed != nil && !errors.Is(failed, errGone) {
		c.fail(&refusal{code: wire.PacketTooLarge, text: "UNSUBACK"})
	}
	d.router.dirty = append(d.router.dirty, c)
	if err == nil {
		d.tell(t, c.unsubscribed(p, ack)...)
	}
}
