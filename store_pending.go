package mqtt

import (
	"iter"

	"github.com/seed65a45251/mqtt/session"
)

// Pending yields the messages of an earlier process that the Store has and that are not
// completed yet, in the order in which they were accepted, each with its Delivery. So a
// program can wait for what its predecessor published. The messages must not be changed.
// Without a Store there are none.
//
// A long queue is read from the Store step by step. A message that is completed meanwhile
// may be left out or be yielded with a Delivery that is done. If the Store cannot be read,
// the sequence ends; Watch and the log tell.
func (c *Client) Pending() iter.Seq2[*Message, *Delivery] {
	return func(yield func(*Message, *Delivery) bool) {
		k := c.keeper
		if k == nil {
			return
		}
		next := uint64(1)
		for next <= k.recovered {
			found := c.pendingFrom(&next)
			for _, p := range found {
				if !yield(p.message, p.delivery) {
					return
				}
			}
		}
	}
}

type pending struct {
	message  *Message
	delivery *Delivery
}

// pendingFrom returns some of the messages from number next on, and moves next past them.
func (c *Client) pendingFrom(next *uint64) (found []pending) {
	k := c.keeper
	c.engine.mu.Lock()
	inEngine := c.engine.Sender.Incomplete(nil)
	upTo := k.journal.LineBegin(k.recovered + 1)
	for _, o := range inEngine {
		d, ok := o.Owner.(*Delivery)
		if !ok || !o.Durable || o.Seq() < *next || o.Seq() > k.recovered || o.Seq() >= upTo {
			continue
		}
		found = append(found, pending{messageOf(new(o.Publish)), d})
	}
	if *next < upTo {
		*next = upTo
		c.engine.mu.Unlock()
		return found
	}
	c.engine.mu.Unlock()
	return c.pendingInLine(next)
}

// pendingInLine is pendingFrom for messages that the engine does not have.
func (c *Client) pendingInLine(next *uint64) (found []pending) {
	k := c.keeper
	b := k.journal.Look(*next, k.recovered)
	b.Read(k.store)
	if err := b.Err(); err != nil {
		k.tell(err)
		*next = k.recovered + 1
		return nil
	}
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	inEngine := make(map[uint64]*session.Outgoing)
	for _, o := range c.engine.Sender.Incomplete(nil) {
		inEngine[o.Seq()] = o
	}
	*next = b.End()
	for number, p := range b.Found() {
		o := inEngine[number]
		if o == nil {
			o = k.journal.Own(number, p)
		}
		if o == nil || number > k.recovered {
			continue
		}
		if d, ok := o.Owner.(*Delivery); ok {
			found = append(found, pending{messageOf(p), d})
		}
	}
	return found
}
