package mqtt

import (
	"fmt"
	"time"
)

// stallWatch looks for a message that is held so long that it holds up others: the
// acknowledgements of all that came after it wait for its own. One timer runs while
// anything is held. Guarded by holds.mu.
type stallWatch struct {
	after   time.Duration // negative: nobody is told
	timer   *time.Timer
	running bool
	ended   bool
}

// idleSweep is how often what is held is looked at where nobody is told of stalls.
const idleSweep = time.Minute

// begin starts the timer unless it runs. Called with h.mu held.
func (w *stallWatch) begin(h *holds) {
	if w.running || w.ended || h.client == nil {
		return
	}
	w.running = true
	w.next(h, w.after)
}

// next sets the timer. Called with h.mu held.
func (w *stallWatch) next(h *holds, in time.Duration) {
	if w.after <= 0 {
		in = idleSweep
	}
	if w.timer == nil {
		w.timer = time.AfterFunc(in, h.client.lookForStall)
		return
	}
	w.timer.Reset(in)
}

// stop ends the watch with the client.
func (h *holds) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watch.ended = true
	if h.watch.timer != nil {
		h.watch.timer.Stop()
	}
}

// stall is what lookForStall has found.
type stall struct {
	sub  *Subscription // nil: nobody has claimed the messages
	held Held
}

// lookForStall tells of the Subscription whose message is held longest, once for each
// time that this passes the limit.
func (c *Client) lookForStall() {
	c.engine.mu.Lock()
	// Out of order one message holds up nobody, until the server may send no more.
	harmless := c.cfg.AcknowledgeOutOfOrder && !c.engine.Receiver.Full()
	c.engine.mu.Unlock()
	found, ok := c.holds.findStall(harmless)
	if !ok {
		return
	}
	what := "messages that nobody has claimed"
	if found.sub != nil {
		what = fmt.Sprintf("subscription %.80q", found.sub.options.Filters[0].Filter)
	}
	age := found.held.Age.Round(time.Millisecond)
	c.cfg.Logger.Warn("mqtt acknowledgements held up", "client_id", c.cfg.ClientID, "by", what,
		"age", age, "messages", found.held.Messages, "bytes", found.held.Bytes)
	c.watchers.send(Event{State: c.State(), Subscription: found.sub, Age: found.held.Age,
		Err: fmt.Errorf("%w by %s: %d messages held, the oldest for %v", ErrStalled, what, found.held.Messages, age)})
}

// findStall forgets empty shelves, sets the timer for the next look, and returns what
// is to be told.
func (h *holds) findStall(harmless bool) (found stall, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Since(h.start)
	var oldest *shelf
	var age time.Duration
	open := false
	for i, s := range h.shelves {
		if s == nil {
			continue
		}
		if s.head == 0 {
			s.number, s.reported, h.shelves[i] = 0, false, nil
			h.unused = append(h.unused, uint32(i))
			continue
		}
		open = true
		a, blocking := h.blocking(s, now)
		if s.reported = s.reported && blocking && a >= h.watch.after; blocking && (oldest == nil || a > age) {
			oldest, age = s, a
		}
	}
	if h.watch.ended || !open {
		h.watch.running = false
		return found, false
	}
	if oldest == nil || age < h.watch.after || h.watch.after <= 0 {
		h.watch.next(h, h.watch.after-age)
		return found, false
	}
	h.watch.next(h, h.watch.after)
	if oldest.reported || harmless {
		return found, false
	}
	oldest.reported = true
	found = stall{oldest.sub, h.counted(oldest, now)}
	found.held.Age = age
	return found, true
}

// blocking returns how long s has held its oldest message that the server waits for:
// those of a lost session hold up nothing. Called with h.mu held.
func (h *holds) blocking(s *shelf, now time.Duration) (age time.Duration, ok bool) {
	for number := s.head; number != 0; number = h.all[number].next {
		if n := &h.all[number]; !n.stale {
			return now - n.since, true
		}
	}
	return 0, false
}
