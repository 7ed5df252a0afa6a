package broker

import (
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// A place in a queue names the shared subscription that the message came through, and
// outlives its session until the place of the next member is on the disk. So a crash
// in between loses nothing: what is left of a session is passed on at the next start.

// passOn is Broker.passOn with a Store: the places of one member become those of
// others in one Commit. Copies that need no disk go at once.
func (d *disk) passOn(lost []orphan, r *router, now time.Time, done func(*task)) (waits bool) {
	t := &task{keep: true, whole: true}
	var copies []delivery
	for i := range lost {
		x := &lost[i]
		if x.parcel == nil {
			x.message = x.message.own()
		}
		c, ok := d.bestow(x, r, now)
		if ok && c.parcel != nil {
			if ok = d.packAgain(t, x, c) == nil; ok {
				copies = append(copies, c)
			}
		}
		if !ok {
			d.b.counts.dropped.Add(1)
		}
		if x.parcel != nil {
			t.ops = append(t.ops, deletion(x.parcel.key()))
		}
		r.endFrames()
	}
	if len(t.ops) == 0 {
		return false
	}
	t.cost += len(copies) * deliveryCost
	t.done = func(error) {
		now := time.Now()
		for i := range lost {
			if p := lost[i].parcel; p != nil {
				p.removed(d)
			}
		}
		var again []orphan
		for i := range copies {
			again = append(again, d.release(copies[i].parcel.message, copies[i:i+1], now)...)
		}
		if !d.b.passOnLost(again, &d.router, now, done) && done != nil {
			done(t)
		}
	}
	d.add(t)
	return true
}

// bestow finds a member that takes the message of x. One whose session is kept gets it
// when it is durable; c is empty for the others, who have it.
func (d *disk) bestow(x *orphan, r *router, now time.Time) (c delivery, ok bool) {
	ending := d.b.drains()
	s := d.b.heir(x, func(s *subscription) bool {
		t := s.target(x.message)
		if s.id != 0 {
			t.ids = []uint32{s.id}
		}
		switch {
		case !t.atMostOnce(x.message) && t.client.lasting.Load():
			c, ok = d.copy(x.message, &t, now)
			return ok
		case ending:
			return false // its session goes, too
		}
		return t.client.deliver(x.message, &t, r, now)
	})
	return c, s != nil
}

// packAgain adds to t what has to be durable of a message that another session had.
func (d *disk) packAgain(t *task, x *orphan, c delivery) error {
	m := c.parcel.message
	if x.parcel == nil {
		copies := []delivery{c}
		err := d.pack(t, m, copies)
		if err != nil {
			giveUp(copies) // has no encoding: as if too large for the client
		}
		return err
	}
	m.stored.copies.Add(1)
	t.ops = append(t.ops, c.parcel.save())
	return nil
}

// copyElsewhere adds to copies what the members whose turn it was do not take.
func (d *disk) copyElsewhere(copies []delivery, lost []orphan, r *router, now time.Time) []delivery {
	d.b.mu.RLock()
	defer d.b.mu.RUnlock()
	for i := range lost {
		c, ok := d.bestow(&lost[i], r, now)
		switch {
		case !ok:
			d.b.counts.dropped.Add(1)
		case c.parcel != nil:
			copies = append(copies, c)
		}
	}
	return copies
}

// reroute passes on what the members whose turn it was did not take of m. It returns
// true if that has to be durable before the publisher is told code.
func (d *disk) reroute(lost []orphan, r *router, m *message, now time.Time, o *origin, code wire.ReasonCode) (waits bool) {
	if len(lost) == 0 {
		return false
	}
	kept := m.keep()
	for i := range lost {
		if lost[i].parcel == nil {
			lost[i].message = kept
		}
	}
	return d.b.passOnLost(lost, r, now, func(t *task) { d.published(t, kept, o, code) })
}
