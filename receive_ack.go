package mqtt

import (
	"fmt"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// holds owns every QoS 1 and 2 message that was delivered and is not acknowledged. A
// Message only names its hold. So the library writes nothing into a message that a
// consumer has, and copies of one message are acknowledged once.
//
// holds also gathers acknowledgements, so that consumers do not wait for the engine's
// lock. The hand-over has two steps. A consumer ends its hold and appends to due under
// holds.mu, without engine.mu, and wakes the writer. The writer, or another goroutine
// that has engine.mu, then gives all of due to the engine by handLocked. So mu is taken
// inside engine.mu, never the other way round.
type holds struct {
	// answer ends a hold and acknowledges or refuses its message in the engine, both
	// under the engine's lock: Disconnect, which waits for the end of holds, cannot come
	// between. It is called without holds.mu. held says whether there was such a hold. The
	// error says why the server will not learn of it.
	answer func(id holdID, code ReasonCode, reason string) (held bool, err error)
	start  time.Time
	plain  origin     // of messages without a key
	keys   *keySource // nil: there are none. It is set before the reader of a connection begins

	mu        sync.Mutex // a leaf, apart from the token for the writer
	holdTable            // guarded by mu
	due       []acknowledgement
	writer    waker // of the established connection; nil: the next one fetches what is due

	spare []acknowledgement // due and spare swap in handLocked; guarded by engine.mu
}

// waker fetches the acknowledgements that are due when it is woken.
type waker interface{ wakeWriter() }

// acknowledgement is what is due to the server for one message.
type acknowledgement struct {
	token session.Token
	code  ReasonCode
}

// init makes h ready. answer answers a message at once. look is called,
// without a lock and on a goroutine of its own, when a message may have been held for
// stall.
func (h *holds) init(answer func(holdID, ReasonCode, string) (bool, error), stall time.Duration, look func()) {
	h.answer, h.start, h.plain.holds = answer, time.Now(), h
	h.timer.after, h.timer.look = stall, look
}

// acknowledger ends a hold. A message carries one, and any goroutine may use it, any
// number of times: only the first use has an effect. The zero acknowledger is that of a
// message that needs no acknowledgement.
type acknowledger struct {
	origin *origin
	holdID
}

// origin is where a message comes from.
type origin struct {
	*holds
	key messageKey
}

// acknowledger returns the acknowledger of id.
func (h *holds) acknowledger(id holdID) acknowledger {
	if id.generation == 0 {
		return acknowledger{}
	}
	return acknowledger{&h.plain, id}
}

// placeOne notes that s holds a message.
func (h *holds) placeOne(s *holdList, token session.Token, bytes int) acknowledger {
	if token.IsZero() {
		return acknowledger{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return acknowledger{&h.plain, h.place(s, token, bytes, 0, time.Since(h.start))}
}

// moveTo gives what a holds to s.
func (a acknowledger) moveTo(s *holdList) {
	if a.origin == nil {
		return
	}
	h := a.origin.holds
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.has(a.holdID) {
		h.unlink(a.number)
		h.link(a.number, s)
	}
}

// isSettled says that the message was acknowledged or refused. It is false of one that needs
// no acknowledgement, and where that cannot be told from the loss of its session.
func (a acknowledger) isSettled() bool {
	if a.origin == nil || a.generation == 0 {
		return false
	}
	h := a.origin.holds
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.has(a.holdID) && a.generation > h.evicted
}

// acknowledgeNow ends the hold and gives the acknowledgement to the engine at once. The
// error says why the server will not learn of it. The caller must not hold engine.mu.
func (a acknowledger) acknowledgeNow() error {
	if a.origin == nil {
		return nil
	}
	_, err := a.origin.answer(a.holdID, Success, "")
	return err
}

// endLocked ends a hold, if there is one. due is true once for each message: the caller
// then has to answer token before it lets go of engine.mu, which is held.
func (h *holds) endLocked(id holdID) (token session.Token, held, due bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	held = h.has(id)
	token, due = h.remove(id)
	return token, held, due
}

// acknowledge ends the hold and leaves the acknowledgement to the writer. It takes only
// holds.mu, so a consumer never waits for the engine.
func (a acknowledger) acknowledge(code ReasonCode) {
	if a.origin == nil {
		return
	}
	h := a.origin.holds
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

// leaveOnServer ends the hold on a message that no consumer takes: the server keeps the
// message. It returns the token to leave, or a zero one while other Subscriptions have
// the message.
func (a acknowledger) leaveOnServer() (token session.Token) {
	if a.origin == nil {
		return token
	}
	h := a.origin.holds
	h.mu.Lock()
	defer h.mu.Unlock()
	if got, due := h.remove(a.holdID); due {
		token = got
	}
	return token
}

// serve sets what to wake for acknowledgements from now on. If writer is nil, they wait
// for the next connection.
func (h *holds) serve(writer waker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writer = writer
}

// sessionLostLocked says that the server has lost the session. Messages that it had
// sent can no longer be acknowledged and hold nothing up. Each list keeps at most most
// such holds, so that consumers that never acknowledge cost no more with every lost
// session. engine.mu is held.
func (h *holds) sessionLostLocked(engine *session.Client, most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.lists {
		if s != nil {
			h.markStale(s, engine.Receiver.Stale, most)
		}
	}
}

// handLocked gives the acknowledgements that are due to the engine. engine.mu is held.
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

// trimLocked frees the memory of busier times. engine.mu is held.
func (h *holds) trimLocked() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spare = nil
	if len(h.due) == 0 {
		h.due = nil
	}
	h.shrink()
}

// stop ends the search for stalls, with the client.
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

// tellProgress makes h tell p of every hold that ends from now on.
func (h *holds) tellProgress(p *progress) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.progress = p
}

// owners returns those that hold messages.
func (h *holds) owners() (all []any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.lists {
		if s != nil && s.head != 0 {
			all = append(all, s.owner)
		}
	}
	return all
}

// busy says whether consumers have messages of s that they have not acknowledged and
// that the server waits for. untaken of its messages wait for a consumer.
func (h *holds) busy(s *holdList, untaken int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if untaken > 0 || s.head == 0 {
		return s.held.Messages > untaken
	}
	_, blocking := h.blocking(s, 0)
	return blocking
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

// lookForStall reports the Subscription whose message is held longest, once for each
// time that its age passes the limit: the acknowledgements of all later messages wait
// for its own. The timer of holds calls it.
func (b *inbox) lookForStall() {
	b.engine.mu.Lock()
	// Out of order one message holds up no other, until the server may send no more.
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

// findStall forgets lists without a hold, sets the timer for the next look, and returns
// what to report: the owner of a list and what it holds.
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
