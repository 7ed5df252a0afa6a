package mqtt

import (
	"context"
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/internal/capacity"
	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Publish sends a message and waits until the server has it: for PUBACK with
// AtLeastOnce, for PUBCOMP with ExactlyOnce, across as many reconnects as that takes.
// With AtMostOnce it waits until the packet is in the connection's write buffer.
//
// Without a connection Publish waits for one. When ctx ends first, a message that was
// not sent yet is withdrawn, and NotSent(err) is true. A message that was sent stays
// under way in the background; only the wait ends. The payload is the caller's again
// when Publish returns.
//
// A payload of 256 KiB or more is written from the caller's memory, or copied piece by
// piece as the network takes it. With AtMostOnce, Publish returns ErrConnectionLost
// when the connection breaks in the middle of such a payload.
//
// A refusal by the server is a *ServerError. A request beyond one of its limits is a
// *LimitError.
func (c *Client) Publish(ctx context.Context, topic string, payload []byte, qos QoS) error {
	if c.hooks.publishes() {
		return c.publishHooked(ctx, OperationPublish, &Message{Topic: topic, Payload: payload, QoS: qos})
	}
	if err := validatePublish(topic, payload, qos); err != nil {
		return &requestError{"publish", topic, false, err}
	}
	// Set one by one: what is written in small pieces and then copied as a whole waits for
	// all of it to reach the cache.
	var p wire.Publish
	p.Topic, p.Payload, p.QoS = topic, payload, qos
	return c.publish(ctx, &p, terms{})
}

// PublishMessage is Publish for a message with any of the fields of Message.
func (c *Client) PublishMessage(ctx context.Context, m *Message) error {
	return c.publishMessage(ctx, OperationPublish, m)
}

// publishMessage is PublishMessage for the operation o.
func (c *Client) publishMessage(ctx context.Context, o Operation, m *Message) error {
	if c.hooks.publishes() && m != nil {
		return c.publishHooked(ctx, o, m)
	}
	var p wire.Publish
	var t terms
	if err := packetOf(m, &p, &t); err != nil {
		return err
	}
	return c.publish(ctx, &p, t)
}

// PublishAsync accepts a message for delivery and returns at once. ctx bounds only the
// wait for space in the queue (see Config.QueueMessages) and for the Store. A context that
// has ended before publishes nothing. The message must not be
// changed until the Delivery is done and, if it failed, Config.Undelivered has returned.
// Messages of one goroutine reach the wire in the
// order in which it published them, by whichever method.
func (c *Client) PublishAsync(ctx context.Context, m *Message) (*Delivery, error) {
	d := &Delivery{retried: true}
	if c.hooks.publishes() && m != nil {
		return c.publishAsyncHooked(ctx, m, d)
	}
	return c.publishAsync(ctx, m, nil, d)
}

// publishAsync is PublishAsync for the Delivery d, with the user properties that hooks
// have added to m.
func (c *Client) publishAsync(ctx context.Context, m *Message, added []UserProperty, d *Delivery) (*Delivery, error) {
	p := &d.out.Publish
	var t terms
	if err := packetOf(m, p, &t); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, &requestError{"publish", p.Topic, false, context.Cause(ctx)}
	}
	if err := addOptional(p, added); err != nil {
		return nil, err
	}
	t.delivery(d)
	if c.undelivered.call != nil {
		d.tell(c.undelivered.of(d, c.keeper.unlessStored(m)))
	}
	if c.keeper.stores(m) && c.keeper.interval == 0 {
		d.extras().recorded = make(chan struct{})
	}
	err := c.submit(ctx, d, false)
	if err != nil && d.completed { // it was accepted and dropped; without err the engine has d
		d.finish()
		return d, nil
	}
	if err != nil {
		return nil, &requestError{"publish", p.Topic, false, err}
	}
	if d.extra != nil && d.extra.recorded != nil {
		if err := c.awaitRecorded(ctx, d); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// packetOf sets p and t to what m says.
func packetOf(m *Message, p *wire.Publish, t *terms) error {
	if m == nil {
		return &requestError{"publish", "", false, invalid("message", "is nil")}
	}
	if err := m.validate(); err != nil {
		return &requestError{"publish", m.Topic, false, err}
	}
	if m.MessageExpiryInterval != nil && *m.MessageExpiryInterval > 0 {
		t.expires = time.Now().Add(*m.MessageExpiryInterval)
	}
	t.notQueued, t.notStored = m.NotQueued, m.NotStored
	m.setPacket(p)
	return nil
}

// publish sends p and waits for the end of the exchange.
func (c *Client) publish(ctx context.Context, p *wire.Publish, t terms) error {
	if ctx.Err() != nil {
		return &requestError{"publish", p.Topic, false, context.Cause(ctx)}
	}
	if p.QoS == AtMostOnce {
		if sent, err := c.publishNow(p); sent || err != nil {
			return err
		}
	}
	d := c.deliveries.get()
	d.out.Publish = *p
	t.delivery(d)
	if err := c.submit(ctx, d, true); err != nil {
		c.deliveries.put(d)
		return &requestError{"publish", p.Topic, false, err}
	}
	if ended := ctx.Done(); ended == nil {
		<-d.extra.wake
	} else {
		select {
		case <-d.extra.wake:
		case <-ended:
			if left, err := c.abandon(d, c.contextEnded(ctx)); left {
				return err
			}
			<-d.extra.wake // it was completed in this very moment
		}
	}
	ack, err := d.result()
	if t.ack != nil {
		*t.ack = ack
	}
	c.deliveries.put(d)
	return err
}

// submit hands d to the engine as soon as the queue has capacity for it. With wait the
// caller is about to wait for the server: then submit may write the message itself.
func (c *Client) submit(ctx context.Context, d *Delivery, wait bool) error {
	qos := d.out.Publish.QoS
	if d.notQueued || qos == AtMostOnce && c.cfg.QueueAtMostOnce.Messages < 0 {
		return c.submitNow(d, wait)
	}
	record, err := c.keeper.recordOf(d)
	if err != nil {
		return err
	}
	size := d.out.Publish.Cost()
	var n notices
	var w *capacity.Waiter
	for {
		c.engine.mu.Lock()
		refused := c.engine.refusing
		if w != nil {
			refused = c.engine.ending // it was there before
		}
		if refused != nil {
			c.engine.mu.Unlock()
			return refused
		}
		if w != nil {
			c.engine.queue.waiters.Leave(w) // it has its offer
		}
		ok, err := c.engine.queue.admit(c.engine.Sender, d.out.Publish.Topic, qos, size)
		if err != nil {
			c.dropNewLocked(d, err, wait)
		}
		if ok || err != nil {
			var direct *conn
			if ok {
				c.submitLocked(d, record)
				direct = c.directLocked(d, wait)
			}
			c.engine.unlock(&n)
			if direct != nil {
				direct.writeDirect(&d.out)
			}
			return err
		}
		if w == nil {
			w = &capacity.Waiter{Class: classOf(qos), Size: size, Offer: make(chan struct{}, 1)}
		}
		c.engine.queue.waiters.Wait(w)
		c.engine.mu.Unlock()
		if err := c.awaitCapacity(ctx, w, d.out.Expiry()); err != nil {
			return err
		}
	}
}

// dropNewLocked has PublishAsync accept d and drop it because of err, unless the policy is to
// refuse it. It is refused, too, if its end could not be reported. Publish, which waits,
// refuses it in any case, and counts it where it is the one that the policy drops.
func (c *Client) dropNewLocked(d *Delivery, err error, wait bool) {
	policy := c.cfg.WhenFull.policy(d.out.Publish.QoS)
	switch {
	case policy == FullFail || wait && policy != FullDropNewest:
		return
	case d.reports() && !c.engine.queue.reports(1, d.out.Publish.Cost()):
		return
	}
	c.engine.published.dropped()
	if wait {
		return
	}
	d.out.Complete(session.Result{Err: err})
	d.completedLocked()
}

// awaitCapacity waits until w has an offer, ctx ends, or the message expires.
func (c *Client) awaitCapacity(ctx context.Context, w *capacity.Waiter, expires time.Time) error {
	var expired <-chan time.Time
	if !expires.IsZero() {
		timer := time.NewTimer(time.Until(expires))
		defer timer.Stop()
		expired = timer.C
	}
	var cause error
	select {
	case <-w.Offer:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case <-expired:
		cause = ErrExpired
	}
	// An offer that came too late for us, or for which we had stood in the way, is passed on.
	c.engine.do(func(*session.Client) { c.engine.queue.waiters.Leave(w) })
	return errors.Join(ErrQueueFull, cause)
}

// abandon stops waiting for d. It returns false when d is completed already.
// A message that was not sent is withdrawn, and failed because of cause. One that
// was goes on, with a copy of what belongs to the caller.
func (c *Client) abandon(d *Delivery, cause error) (left bool, err error) {
	var n notices
	c.engine.mu.Lock()
	if d.completed {
		c.engine.mu.Unlock()
		return false, nil
	}
	topic := d.out.Publish.Topic
	withdrawn := c.withdrawLocked(d)
	if withdrawn {
		d.completed = true
		d.out.Complete(session.Result{Err: cause})
		c.engine.published.outcome().Canceled++
		n.flushed = c.engine.flushes.count(nil, d.out.Seq())
	} else {
		c.engine.Sender.Own(&d.out)
	}
	c.engine.unlock(&n)
	return true, &requestError{"publish", topic, !withdrawn, cause}
}

// withdrawLocked takes d back if it was not sent, and reports whether it did.
func (c *Client) withdrawLocked(d *Delivery) bool {
	if d.extra != nil && d.extra.entry != nil && c.keeper.journal.Withdraw(d.extra.entry) {
		return true
	}
	return c.engine.Sender.Withdraw(&d.out)
}

// awaitRecorded waits until d is recorded, so that it survives the process.
func (c *Client) awaitRecorded(ctx context.Context, d *Delivery) error {
	select {
	case <-d.extra.recorded:
		return nil
	case <-d.Done(): // it is refused, or was completed at once
		select {
		case <-d.extra.recorded:
			return nil
		default:
		}
		_, err := d.result()
		return err
	case <-ctx.Done():
	}
	left, err := c.abandon(d, c.contextEnded(ctx))
	if !left {
		return nil // it was completed in this very moment
	}
	return err
}
