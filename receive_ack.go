package mqtt

import (
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// holds owns every QoS 1 and 2 message that was delivered and is not acknowledged. A
// Message only names its hold. So nothing is ever written into a message that somebody
// has, and copies of one are acknowledged once.
//
// It also gathers acknowledgements until the writer comes for them, so that
// consumers do not queue for the engine's lock.
type holds struct {
	// acknowledge tells the engine, under its lock, and says what became of it.
	acknowledge func(session.Token) error
	start       time.Time

	mu        sync.Mutex // a leaf, apart from the token for the writer
	holdTable            // guarded by mu
	due       []acknowledgement
	writer    waker // of the established connection; nil: the next one comes for what is due

	spare []acknowledgement // due and it are used by turns; guarded by engine.mu
}

// waker is what comes for acknowledgements when it is woken.
type waker interface{ wakeWriter() }

// acknowledgement is what is due to the server for one message.
type acknowledgement struct {
	token session.Token
	code  ReasonCode
}

// init makes h ready: tell acknowledges a message at once, look is called when a
// message may have been held for so long that it is a stall.
func (h *holds) init(tell func(session.Token) error, stall time.Duration, look func()) {
	h.acknowledge, h.start = tell, time.Now()
	h.timer.after, h.timer.look = stall, look
}

// acknowledger ends a hold. A message carries it. The zero acknowledger is that of a
// message which needs no acknowledgement.
type acknowledger struct {
	holds *holds
	holdID
}

// acknowledger returns the acknowledger of id.
func (h *holds) acknowledger(id holdID) acknowledger {
	if id.generation == 0 {
		return acknowledger{}
	}
	return acknowledger{h, id}
}

// placeOne notes that s holds a message.
func (h *holds) placeOne(s *holdList, token session.Token, bytes int) acknowledger {
	if token.IsZero() {
		return acknowledger{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return acknowledger{h, h.place(s, token, bytes, 0, time.Since(h.start))}
}

// moveTo gives what a holds to s.
func (a acknowledger) moveTo(s *holdList) {
	h := a.holds
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.has(a.holdID) {
		h.unlink(a.number)
		h.link(a.number, s)
	}
}

// acknowledgeNow ends the hold and says what became of the acknowledgement.
func (a acknowledger) acknowledgeNow() error {
	h := a.holds
	if h == nil {
		return nil
	}
	h.mu.Lock()
	token, due := h.remove(a.holdID)
	h.mu.Unlock()
	if !due {
		return nil
	}
	return h.acknowledge(token)
}

// acknowledge ends the hold: the writer takes the acknowledgement along. A code other
// than Success refuses the message.
func (a acknowledger) acknowledge(code ReasonCode) {
	h := a.holds
	if h == nil {
		return
	}
	var wake waker
	h.mu.Lock()
	if token, due := h.remove(a.holdID); due {
		if len(h.due) == 0 {
			wake = h.writer
		}
		h.due = append(h.due, acknowledgement{token, code})
	}
	h.mu.Unlock()
	if wake != nil {
		wake.wakeWriter()
	}
}

// leaveOnServer ends the hold on a message that nobody takes: the server keeps it. It
// returns the token to leave, unless others have the message.
func (a acknowledger) leaveOnServer() (token session.Token) {
	h := a.holds
	if h == nil {
		return token
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if got, due := h.remove(a.holdID); due {
		token = got
	}
	return token
}

// serve says what to wake for what gathers from now on; nil: nothing.
func (h *holds) serve(writer waker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writer = writer
}

// sessionLostLocked says that the server has lost the session: what it had sent cannot be
// acknowledged any more, and holds nothing up. So that consumers that never
// acknowledge cost no more with every lost session, each keeps at most most such
// holds. Called with engine.mu held.
func (h *holds) sessionLostLocked(engine *session.Client, most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.lists {
		if s != nil {
			h.markStale(s, engine.Receiver.Stale, most)
		}
	}
}

// handLocked gives what has gathered to the engine. Called with engine.mu held.
func (h *holds) handLocked(engine *session.Client) {
	h.mu.Lock()
	due := h.due
	if len(due) == 0 {
		h.mu.Unlock()
		return
	}
	h.due = h.spare
	h.mu.Unlock()
	for _, a := range due {
		engine.Receiver.Ack(a.token, a.code) // what is stale needs no acknowledgement
	}
	clear(due)
	h.spare = due[:0]
}

// trimLocked gives back the memory of busier times. Called with engine.mu held.
func (h *holds) trimLocked() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spare = nil
	if len(h.due) == 0 {
		h.due = nil
	}
	h.shrink()
}

// stop ends the look-out for stalls, with the client.
func (h *holds) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer.stop()
}

// held returns what s has.
func (h *holds) held(s *holdList) Held {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count(s, time.Since(h.start))
}

// total returns what is held by all.
func (h *holds) total() (all Held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Since(h.start)
	for _, s := range h.lists {
		if s != nil {
			all.add(h.count(s, now))
		}
	}
	return all
}
