package mqtt

import (
	"fmt"
	"time"
)

// lookForStall tells of the Subscription whose message is held longest, once for each
// time that this passes the limit: the acknowledgements of all that came after it wait
// for its own.
func (b *inbox) lookForStall() {
	b.engine.mu.Lock()
	// Out of order one message holds up nobody, until the server may send no more.
	harmless := b.outOfOrder && !b.engine.Receiver.Full()
	b.engine.mu.Unlock()
	owner, held, ok := b.holds.findStall(harmless)
	if !ok {
		return
	}
	what := "messages that nobody has claimed"
	s, _ := owner.(*Subscription)
	if s != nil {
		what = fmt.Sprintf("subscription %.80q", s.name())
	}
	age := held.Age.Round(time.Millisecond)
	b.logger.Warn("mqtt acknowledgements held up", "by", what,
		"age", age, "messages", held.Messages, "bytes", held.Bytes)
	b.report(s, fmt.Errorf("%w by %s: %d messages held, the oldest for %v", ErrStalled, what, held.Messages, age), held.Age)
}

// findStall forgets lists without a hold, sets the timer for the next look, and
// returns what is to be told: what is held, and the owner of the list.
func (h *holds) findStall(harmless bool) (owner any, held Held, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Since(h.start)
	var oldest *holdList
	var age time.Duration
	left := h.dropIdle()
	for _, s := range h.lists {
		if s == nil {
			continue
		}
		a, blocking := h.blocking(s, now)
		if s.reported = s.reported && blocking && a >= h.timer.after; blocking && (oldest == nil || a > age) {
			oldest, age = s, a
		}
	}
	if h.timer.stopped || !left {
		h.timer.running = false
		return nil, held, false
	}
	if oldest == nil || age < h.timer.after || h.timer.after <= 0 {
		h.timer.lookIn(h.timer.after - age)
		return nil, held, false
	}
	h.timer.lookIn(h.timer.after)
	if oldest.reported || harmless {
		return nil, held, false
	}
	oldest.reported = true
	held = h.count(oldest, now)
	held.Age = age
	return oldest.owner, held, true
}
