package mqtt

import (
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// errMustWait refuses a message that may not wait.
var errMustWait = fmt.Errorf("the message would have to wait: %w", ErrQueueFull)

// publishNow writes a QoS 0 message if nothing is in its way.
func (c *Client) publishNow(p *wire.Publish) (sent bool, err error) {
	c.engine.mu.Lock()
	if c.engine.refusing != nil {
		err = c.engine.refusing
	} else if !c.keeper.behindLocked() {
		sent, err = c.engine.Sender.SendAtMostOnce(p)
	}
	wake := false
	o := c.engine.outbox
	if sent {
		c.engine.published.accepted++
		o.addedLossyLocked()
		wake = o.needsWakeLocked(c.engine.Client)
	}
	c.engine.mu.Unlock() // nothing else follows: no notices
	if wake {
		o.wakeWriter()
	}
	if err != nil {
		err = &requestError{"publish", p.Topic, false, err}
	}
	return sent, err
}

// submitNow hands d to the engine, and takes it back if it was not sent at once. Such a
// message needs no capacity: where others wait for that, they wait before it, too.
func (c *Client) submitNow(d *Delivery, wait bool) error {
	var n notices
	var direct *conn
	c.engine.mu.Lock()
	err := c.engine.refusing
	switch {
	case err != nil:
	case c.engine.outbox == nil:
		err = ErrNotConnected
	case c.keeper.behindLocked() || c.waitingLocked():
		err = errMustWait
	default:
		c.engine.Sender.Submit(&d.out, nowIf(d.out.Expires != nil || c.cfg.PublishRate.limits()))
		if c.engine.Sender.Withdraw(&d.out) {
			err = errMustWait
			break
		}
		c.engine.published.accepted++
		direct = c.directLocked(d, wait)
	}
	c.engine.unlock(&n)
	if direct != nil {
		direct.writeDirect(&d.out)
	}
	return err
}

// waitingLocked says whether the queue has messages.
func (c *Client) waitingLocked() bool {
	n, _ := c.engine.Sender.Queued()
	return n > 0
}

// submitLocked hands d to the engine, for which the queue has capacity. record goes to the
// Store before; nil: d is not recorded.
func (c *Client) submitLocked(d *Delivery, record []byte) {
	c.engine.published.accepted++
	if c.keeper != nil && (record != nil || c.keeper.behindLocked()) {
		c.keeper.acceptLocked(d, record)
		return
	}
	age := c.cfg.QueueAge
	if d.out.Publish.QoS == AtMostOnce {
		age = c.cfg.QueueAtMostOnce.Age
	}
	now := nowIf(d.out.Expires != nil || age > 0 || c.cfg.PublishRate.limits())
	c.engine.Sender.Submit(&d.out, now)
	if age > 0 {
		c.engine.Sender.WaitUntil(&d.out, now.Add(age))
	}
}

// directLocked returns the connection to which the caller writes d itself; nil: the writer
// does. wait says that the caller is about to wait for the server.
func (c *Client) directLocked(d *Delivery, wait bool) *conn {
	if o := c.engine.outbox; wait && o != nil && o.acquireForLocked(c.engine.Client, &d.out) {
		return c.conn
	}
	return nil
}

// nowIf is the time if it is needed: reading the clock costs more than the rest.
func nowIf(needed bool) (now time.Time) {
	if needed {
		now = time.Now()
	}
	return now
}

// terms are what a message says about its way through the client.
type terms struct {
	expires   time.Time // zero: never
	notQueued bool
	notStored bool
	ack       *Ack // set to the server's answer; nil: nobody asks
}

// delivery completes a Delivery that has its packet. The rest of it is zero.
func (t *terms) delivery(d *Delivery) {
	d.out.Expires, d.out.Owner = session.ExpiresAt(t.expires), d
	d.notQueued, d.notStored = t.notQueued, t.notStored
}
