package mqtt

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Publish sends a message and waits until the server has taken it: for PUBACK
// with AtLeastOnce, for PUBCOMP with ExactlyOnce, across as many reconnects as
// it takes. With AtMostOnce it waits until the packet is in the connection's
// write buffer.
//
// Without a connection Publish waits for one. When ctx ends first, a message
// that was not sent yet is withdrawn, and NotSent(err) is true; otherwise only
// the wait ends and the exchange goes on in the background. The payload is the
// caller's again when Publish returns.
//
// A refusal by the server is a *ServerError, one of its limits a *LimitError.
func (c *Client) Publish(ctx context.Context, topic string, payload []byte, qos QoS) error {
	if err := validatePublish(topic, payload, qos); err != nil {
		return &requestError{"publish", topic, false, err}
	}
	p := wire.Publish{Topic: topic, Payload: payload, QoS: qos}
	return c.publish(ctx, &p, time.Time{})
}

// PublishMessage is Publish for a message with everything that a message can
// have.
func (c *Client) PublishMessage(ctx context.Context, m *Message) error {
	p, expires, err := packetOf(m)
	if err != nil {
		return err
	}
	return c.publish(ctx, &p, expires)
}

// PublishAsync accepts a message for delivery and returns at once; ctx bounds
// only the wait for room in the queue (see Config.QueueMessages). The message
// must not be changed until the Delivery is done. Messages reach the wire in the
// order in which one goroutine published them, whichever method it used.
func (c *Client) PublishAsync(ctx context.Context, m *Message) (*Delivery, error) {
	p, expires, err := packetOf(m)
	if err != nil {
		return nil, err
	}
	d := new(Delivery)
	d.out = session.Outgoing{Publish: p, Expires: expires, Owner: d}
	if err := c.submit(ctx, d); err != nil {
		return nil, &requestError{"publish", p.Topic, false, err}
	}
	return d, nil
}

func packetOf(m *Message) (p wire.Publish, expires time.Time, err error) {
	if m == nil {
		return p, expires, &requestError{"publish", "", false, invalid("message", "is nil")}
	}
	if err := m.validate(); err != nil {
		return p, expires, &requestError{"publish", m.Topic, false, err}
	}
	if m.MessageExpiryInterval != nil && *m.MessageExpiryInterval > 0 {
		expires = time.Now().Add(*m.MessageExpiryInterval)
	}
	return m.publish(), expires, nil
}

// Ack is the server's acknowledgement of a published message. Its ReasonCode
// is Success or NoMatchingSubscribers.
type Ack struct {
	ReasonCode     ReasonCode
	ReasonString   string
	UserProperties []UserProperty
}

// Delivery is a message on its way to the server. It survives reconnects.
type Delivery struct {
	out     session.Outgoing
	settled bool // the engine is done with out; guarded by Client.mu

	wake   chan struct{} // of a blocking publish, which reuses its Delivery
	over   atomic.Bool   // out.Result may be read
	done   atomic.Pointer[chan struct{}]
	closed atomic.Bool
}

// Done returns a channel that is closed when the server has acknowledged the
// message (AtMostOnce: when it is in the write buffer) or it has failed.
func (d *Delivery) Done() <-chan struct{} {
	if d.done.Load() == nil {
		ch := make(chan struct{})
		d.done.CompareAndSwap(nil, &ch)
		if d.over.Load() {
			d.closeDone()
		}
	}
	return *d.done.Load()
}

// Wait waits for Done or the end of ctx, which ends only the wait.
func (d *Delivery) Wait(ctx context.Context) (Ack, error) {
	select {
	case <-d.Done():
		return d.result()
	case <-ctx.Done():
		return Ack{}, &requestError{"wait for delivery of", d.out.Publish.Topic, true, context.Cause(ctx)}
	}
}

// finish says that out.Result is there.
func (d *Delivery) finish() {
	if d.wake != nil {
		d.wake <- struct{}{} // has room for it
		return
	}
	d.over.Store(true)
	d.closeDone()
}

func (d *Delivery) closeDone() {
	if ch := d.done.Load(); ch != nil && d.closed.CompareAndSwap(false, true) {
		close(*ch)
	}
}

func (d *Delivery) result() (Ack, error) {
	r := &d.out.Result
	if r.Err != nil {
		return Ack{}, &requestError{"publish", d.out.Publish.Topic, d.out.Sent(), r.Err}
	}
	return Ack{r.ReasonCode, r.ReasonString, r.UserProperties}, nil
}

// publish sends p and waits for the end of the exchange.
func (c *Client) publish(ctx context.Context, p *wire.Publish, expires time.Time) error {
	if ctx.Err() != nil {
		return &requestError{"publish", p.Topic, false, context.Cause(ctx)}
	}
	if p.QoS == AtMostOnce {
		if sent, err := c.publishNow(p); sent || err != nil {
			return err
		}
	}
	d := c.deliveries.take()
	d.out = session.Outgoing{Publish: *p, Expires: expires, Owner: d}
	d.settled = false
	if err := c.submit(ctx, d); err != nil {
		c.deliveries.giveBack(d)
		return &requestError{"publish", p.Topic, false, err}
	}
	select {
	case <-d.wake:
	case <-ctx.Done():
		if left, err := c.abandon(d, context.Cause(ctx)); left {
			return err
		}
		<-d.wake // it was completed in this very moment
	}
	_, err := d.result()
	c.deliveries.giveBack(d)
	return err
}

// deliveries are those of blocking publishes, with a channel that is used
// again. Each client has its own: a channel may not leave the testing/synctest
// bubble in which it was made.
type deliveries struct{ pool sync.Pool }

func (p *deliveries) take() *Delivery {
	if d, ok := p.pool.Get().(*Delivery); ok {
		return d
	}
	return &Delivery{wake: make(chan struct{}, 1)}
}

func (p *deliveries) giveBack(d *Delivery) {
	d.out = session.Outgoing{}
	p.pool.Put(d)
}

// publishNow writes a QoS 0 message if nothing is in its way.
func (c *Client) publishNow(p *wire.Publish) (sent bool, err error) {
	c.mu.Lock()
	if c.ending != nil {
		err = c.ending
	} else {
		sent, err = c.engine.Sender.SendAtMostOnce(p)
	}
	var writer *conn
	if sent {
		c.counters.published++
		k := c.conn
		k.lossy = k.taken + 1
		if k.asleep {
			k.asleep = false
			writer = k
		}
	}
	c.mu.Unlock()
	if writer != nil {
		writer.wakeUp()
	}
	if err != nil {
		err = &requestError{"publish", p.Topic, false, err}
	}
	return sent, err
}

// submit hands d to the engine as soon as the queue has room for it.
func (c *Client) submit(ctx context.Context, d *Delivery) error {
	var now time.Time
	if !d.out.Expires.IsZero() {
		now = time.Now()
	}
	size := len(d.out.Publish.Topic) + len(d.out.Publish.Payload)
	var e effects
	for {
		c.mu.Lock()
		if err := c.ending; err != nil {
			c.mu.Unlock()
			return err
		}
		if c.hasRoom(size) {
			c.counters.published++
			c.engine.Sender.Submit(&d.out, now)
			c.settle(&e)
			c.mu.Unlock()
			e.perform()
			return nil
		}
		w := make(chan struct{}, 1)
		c.roomWaiters = append(c.roomWaiters, w)
		c.mu.Unlock()
		if err := c.awaitRoom(ctx, w); err != nil {
			return err
		}
	}
}

// hasRoom says whether the queue takes a message. Called with c.mu held. An
// empty queue takes any: a message larger than the limit must be possible.
func (c *Client) hasRoom(size int) bool {
	messages, n := c.engine.Sender.Queued()
	return messages == 0 || messages < c.cfg.QueueMessages && n+size <= c.cfg.QueueBytes
}

func (c *Client) awaitRoom(ctx context.Context, w chan struct{}) error {
	select {
	case <-w:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	case <-ctx.Done():
	}
	var e effects
	c.mu.Lock()
	if i := slices.Index(c.roomWaiters, w); i >= 0 {
		c.roomWaiters = slices.Delete(c.roomWaiters, i, i+1)
	} else {
		c.settle(&e) // the offer came too late for us; pass it on
	}
	c.mu.Unlock()
	e.perform()
	return queueFull(ctx)
}

// offerRoom lets as many waiters try again as there are free places. Called
// with c.mu held.
func (c *Client) offerRoom(e *effects) {
	messages, n := c.engine.Sender.Queued()
	if messages > 0 && n >= c.cfg.QueueBytes {
		return
	}
	free := min(max(c.cfg.QueueMessages-messages, 0), len(c.roomWaiters))
	e.room = append(e.room, c.roomWaiters[:free]...)
	c.roomWaiters = slices.Delete(c.roomWaiters, 0, free)
}

// abandon stops waiting for d. It returns false when d is completed already.
// A message that was not sent is withdrawn. One that was goes on, with a copy
// of what belongs to the caller.
func (c *Client) abandon(d *Delivery, cause error) (left bool, err error) {
	var e effects
	c.mu.Lock()
	if d.settled {
		c.mu.Unlock()
		return false, nil
	}
	err = &requestError{"publish", d.out.Publish.Topic, true, cause}
	if c.engine.Sender.Withdraw(&d.out) {
		err.(*requestError).sent = false
		c.countFlushes(&e, d.out.Seq())
	} else {
		p := &d.out.Publish
		p.Payload = bytes.Clone(p.Payload)
		if q := p.Properties; q != nil {
			q.CorrelationData = bytes.Clone(q.CorrelationData)
			q.UserProperties = slices.Clone(q.UserProperties)
		}
	}
	c.settle(&e)
	c.mu.Unlock()
	e.perform()
	return true, err
}
