package mqtttest

import (
	"errors"
	"net"
	"slices"
	"time"
)

// write runs until it has passed on the end of the source, or the link ends.
func (a *lane) write() {
	for {
		it, ok := a.next()
		if !ok {
			return
		}
		switch {
		case it.fin:
			a.passEnd(it)
			return
		case !a.pass(it):
			return
		}
	}
}

// next waits for the next item that may go.
func (a *lane) next() (*item, bool) {
	for {
		it, wait := a.first()
		if it != nil {
			return it, true
		}
		var due <-chan time.Time
		var timer *time.Timer
		if wait > 0 {
			timer = time.NewTimer(wait)
			due = timer.C
		}
		select {
		case <-a.wake:
		case <-due:
		case <-a.link.ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
		if a.link.isOver() {
			return nil, false
		}
	}
}

// first takes the first item that may go now. If there is none, it returns how long
// to wait; zero means until something changes.
func (a *lane) first() (it *item, wait time.Duration) {
	if a.link.b.lineOf(a.link).halfOpen {
		return nil, 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, waiting := range a.queue {
		if waiting.hold != nil {
			continue
		}
		if wait := time.Until(waiting.due); wait > 0 {
			return nil, wait
		}
		a.queue = slices.Delete(a.queue, i, i+1)
		a.size -= len(waiting.raw)
		signal(a.space)
		return waiting, 0
	}
	return nil, 0
}

// pass writes an item and reports whether the lane goes on.
func (a *lane) pass(it *item) bool {
	raw, cut := a.allowance(it.raw)
	whole := len(raw) == len(it.raw) && !it.partial
	rec := &a.link.b.recorder
	// The packet is recorded as passed on before the receiver can react to it.
	if whole && !a.broken {
		rec.passed(it.event)
	}
	if !a.broken && !a.writePieces(raw) {
		if a.link.isOver() {
			return false
		}
		// The receiver is gone, which the other lane will notice. The source of this
		// lane may still send, and its end must still be passed on.
		a.broken = true
		a.link.finish(a)
	}
	if a.broken {
		rec.lost(it.event, "the receiver was gone")
	}
	if cut || it.cut {
		note := "the test wanted it behind this packet"
		if !whole {
			note = "the test wanted it within this packet"
			rec.lost(it.event, "only a part of it")
		}
		a.link.end(note, a.direction == Up)
		return false
	}
	return true
}

// allowance returns how much of raw may be written, and whether the connection
// is to be cut behind it.
func (a *lane) allowance(raw []byte) ([]byte, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cut < 0 {
		return raw, false
	}
	n := min(len(raw), a.cut)
	a.cut -= n
	return raw[:n], a.cut == 0
}

// writePieces writes b, slowly if there is a Throttle.
func (a *lane) writePieces(b []byte) bool {
	for len(b) > 0 {
		rate := a.link.b.lineOf(a.link).rate
		n := len(b)
		if rate > 0 {
			n = min(n, max(1, rate/10))
			if !a.pause(time.Duration(n) * time.Second / time.Duration(rate)) {
				return false
			}
		}
		if _, err := a.dst.Write(b[:n]); err != nil {
			return false
		}
		b = b[n:]
	}
	return true
}

func (a *lane) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.link.ctx.Done():
		return false
	}
}

// passEnd passes on the end of the source.
func (a *lane) passEnd(it *item) {
	side := "client"
	if a.direction == Down {
		side = "broker"
	}
	half, ok := a.dst.(interface{ CloseWrite() error })
	if it.hard || !ok {
		a.link.end("by the "+side, it.hard)
		return
	}
	a.link.b.recorder.add(&Event{Conn: a.link.number, ClientID: a.link.id(), Direction: a.direction, Note: side + " closed the connection"})
	if err := half.CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) {
		a.link.end("", true)
		return
	}
	a.link.finish(a)
}
