package main

import "encoding/binary"

// sketchSubscription is a filter without wildcards and its handler. The payload may be
// used during the call where payloads are lent.
type sketchSubscription struct {
	filter string
	handle func(topic string, payload []byte)
}

// subscribe has a handler for each filter.
func (c *sketchClient) subscribe(filters []string, qos byte, t *tally) error {
	subs := make(map[string]*sketchSubscription, len(filters))
	for _, f := range filters {
		subs[f] = &sketchSubscription{f, func(_ string, payload []byte) { t.message(payload) }}
	}
	c.subs.Store(&subs)
	for _, f := range filters {
		h := new(sketchHandle)
		c.mu.Lock()
		c.pending = appendSubscribe(c.pending, c.table.add(h), f, qos)
		c.unlockAndWake()
		if err := h.wait(); err != nil {
			return err
		}
	}
	return nil
}

// sketchRead is what a read has brought.
type sketchRead struct {
	subs    map[string]*sketchSubscription
	answers []byte   // packets to send
	ended   []uint16 // identifiers of exchanges
}

// read is the goroutine that reads, until the connection ends.
func (c *sketchClient) read(in *intake) {
	var r sketchRead
	for {
		if err := c.readOnce(in, &r); err != nil {
			c.mu.Lock()
			c.failLocked(err)
			c.woken = true // so that nobody sends
			close(c.wake)
			c.mu.Unlock()
			return
		}
		if len(r.answers) > 0 || len(r.ended) > 0 {
			c.settle(&r)
		}
	}
}

func (c *sketchClient) readOnce(in *intake, r *sketchRead) error {
	if err := in.fill(); err != nil {
		return err
	}
	r.subs, r.answers, r.ended = *c.subs.Load(), r.answers[:0], r.ended[:0]
	for {
		first, body, ok, err := in.next()
		if err != nil || !ok {
			return err
		}
		switch first & 0xf0 {
		case typePublish:
			if err := c.receive(r, first>>1&3, body); err != nil {
				return err
			}
		case typePuback, typePubcomp, typeSuback:
			id, err := packetID(body)
			if err != nil {
				return err
			}
			r.ended = append(r.ended, id)
		case typePubrec:
			id, err := packetID(body)
			if err != nil {
				return err
			}
			r.answers = appendAck(r.answers, typePubrel, id)
		}
	}
}

// receive hands a message to the handler of its topic. A message without one is dropped.
func (c *sketchClient) receive(r *sketchRead, qos byte, body []byte) error {
	if len(body) < 2 {
		return errMalformed
	}
	end := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) < end {
		return errMalformed
	}
	s, payload := r.subs[string(body[2:end])], body[end:]
	if qos > 0 {
		id, err := packetID(payload)
		if err != nil {
			return err
		}
		r.answers = appendAck(r.answers, typePuback, id)
		payload = payload[2:]
	}
	if s == nil {
		return nil
	}
	if !c.lends {
		payload = append([]byte(nil), payload...)
	}
	s.handle(s.filter, payload)
	return nil
}

// settle completes what has ended and sends the answers, by itself if nobody writes.
func (c *sketchClient) settle(r *sketchRead) {
	c.mu.Lock()
	for _, id := range r.ended {
		c.table.complete(id)
	}
	if len(r.ended) > 0 {
		c.slots.Broadcast()
	}
	if len(r.answers) > 0 {
		idle := c.idleLocked()
		c.pending = append(c.pending, r.answers...)
		if idle {
			c.writeLocked()
		}
	}
	c.unlockAndWake()
}
