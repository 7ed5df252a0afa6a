package mqtt

import (
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// Held counts messages that were delivered at QoS 1 and 2 and are not acknowledged yet.
type Held struct {
	Messages int
	Bytes    int // of memory: their topics, payloads and properties as they lie there
	// Age is how long the oldest of them has been held.
	Age time.Duration
}

// add adds what is held elsewhere.
func (h *Held) add(o Held) {
	h.Messages += o.Messages
	h.Bytes += o.Bytes
	h.Age = max(h.Age, o.Age)
}

// holdTable has a hold for every QoS 1 and 2 message that was delivered and is not
// acknowledged: which Subscription has it, since when, how large it is, and the token
// that acknowledges it. It has no lock. holds.mu guards all of it, and callers of its
// methods hold holds.mu.
type holdTable struct {
	all        []hold // by number; 0 is none. Without pointers: there is one for each message
	tokens     []session.Token
	free       uint32 // the first of a list by next; 0: none
	generation uint32 // of the last hold
	evicted    uint32 // the highest generation of a hold that markStale has removed; 0: none
	shares     []int  // holds on messages that went to several Subscriptions; 0 is none
	freeShares []uint32
	lists      []*holdList // by number; nil: not in use. 0 is none
	unused     []uint32    // numbers of lists
	timer      holdTimer
	progress   *progress // told when a hold ends, once the client is about to end; nil: nobody asks
}

// hold is the hold of one Subscription on one message, or that of the unclaimed
// messages. Its place in the table is used again; the generation tells it from holds of
// earlier uses.
type hold struct {
	generation uint32 // 0: not in use
	stale      bool   // the session is lost
	list       uint32
	share      uint32 // 0: no other Subscription has the message
	prev, next uint32
	bytes      int
	since      time.Duration // after holds.start
}

// holdID names a hold. The zero holdID names none.
type holdID struct{ number, generation uint32 }

// holdList has the holds of one Subscription, or those on unclaimed messages, in the
// order of arrival. Guarded by holds.mu.
type holdList struct {
	owner      any    // the *Subscription; nil: the unclaimed messages
	number     uint32 // in holdTable.lists; 0: it had no hold lately
	head, tail uint32
	held       Held
	reported   bool // its present stall is
}

// place notes that s holds a message.
func (h *holdTable) place(s *holdList, token session.Token, bytes int, share uint32, now time.Duration) holdID {
	number := h.free
	if number == 0 {
		if len(h.all) == 0 {
			h.all, h.tokens = make([]hold, 1), make([]session.Token, 1)
		}
		number = uint32(len(h.all))
		h.all, h.tokens = append(h.all, hold{}), append(h.tokens, session.Token{})
	} else {
		h.free = h.all[number].next
	}
	if h.generation++; h.generation == 0 {
		h.generation++
	}
	h.all[number] = hold{generation: h.generation, share: share, bytes: bytes, since: now}
	h.tokens[number] = token
	h.link(number, s)
	return holdID{number, h.generation}
}

// share counts a message that goes to so many Subscriptions.
func (h *holdTable) share(subscriptions int) uint32 {
	if n := len(h.freeShares); n > 0 {
		number := h.freeShares[n-1]
		h.freeShares = h.freeShares[:n-1]
		h.shares[number] = subscriptions
		return number
	}
	if len(h.shares) == 0 {
		h.shares = make([]int, 1)
	}
	h.shares = append(h.shares, subscriptions)
	return uint32(len(h.shares) - 1)
}

// link puts a hold at the end of s.
func (h *holdTable) link(number uint32, s *holdList) {
	if s.number == 0 {
		h.open(s)
	}
	n := &h.all[number]
	n.list, n.prev, n.next = s.number, s.tail, 0
	if s.tail == 0 {
		s.head = number
	} else {
		h.all[s.tail].next = number
	}
	s.tail = number
	s.held.Messages++
	s.held.Bytes += n.bytes
}

// open gives s a number.
func (h *holdTable) open(s *holdList) {
	if len(h.lists) == 0 {
		h.lists = make([]*holdList, 1)
	}
	if n := len(h.unused); n > 0 {
		s.number, h.unused = h.unused[n-1], h.unused[:n-1]
		h.lists[s.number] = s
	} else {
		h.lists = append(h.lists, s)
		s.number = uint32(len(h.lists) - 1)
	}
	h.timer.start()
}

// dropIdle forgets lists without a hold, and reports whether others are left.
func (h *holdTable) dropIdle() (left bool) {
	for i, s := range h.lists {
		switch {
		case s == nil:
		case s.head != 0:
			left = true
		default:
			s.number, s.reported, h.lists[i] = 0, false, nil
			h.unused = append(h.unused, uint32(i))
		}
	}
	return left
}

// unlink takes a hold off its list.
func (h *holdTable) unlink(number uint32) {
	n := &h.all[number]
	s := h.lists[n.list]
	if n.prev == 0 {
		s.head = n.next
	} else {
		h.all[n.prev].next = n.next
	}
	if n.next == 0 {
		s.tail = n.prev
	} else {
		h.all[n.next].prev = n.prev
	}
	s.held.Messages--
	s.held.Bytes -= n.bytes
}

// has reports whether id names a hold.
func (h *holdTable) has(id holdID) bool {
	return int(id.number) < len(h.all) && id.generation != 0 && h.all[id.number].generation == id.generation
}

// remove ends a hold. due is true once for each message: the caller then has to
// acknowledge token.
func (h *holdTable) remove(id holdID) (token session.Token, due bool) {
	if !h.has(id) {
		return session.Token{}, false
	}
	h.unlink(id.number)
	if h.progress != nil {
		h.progress.made()
	}
	n := &h.all[id.number]
	due = true
	if s := n.share; s != 0 {
		h.shares[s]--
		if due = h.shares[s] == 0; due {
			h.freeShares = append(h.freeShares, s)
		}
	}
	n.generation, n.next = 0, h.free
	h.free = id.number
	return h.tokens[id.number], due
}

// markStale notes which holds of s are on messages of a lost session, and removes the
// oldest of these where they are more than most.
func (h *holdTable) markStale(s *holdList, isStale func(session.Token) bool, most int) {
	stale := 0
	for number := s.head; number != 0; number = h.all[number].next {
		if n := &h.all[number]; isStale(h.tokens[number]) {
			n.stale = true
			stale++
		}
	}
	for number := s.head; stale > most; {
		n := h.all[number]
		if n.stale {
			h.remove(holdID{number, n.generation})
			h.evicted = max(h.evicted, n.generation)
			stale--
		}
		number = n.next
	}
}

// blocking returns how long s has held its oldest message that the server waits for:
// those of a lost session hold up nothing.
func (h *holdTable) blocking(s *holdList, now time.Duration) (age time.Duration, ok bool) {
	for number := s.head; number != 0; number = h.all[number].next {
		if n := &h.all[number]; !n.stale {
			return now - n.since, true
		}
	}
	return 0, false
}

// count returns what s has.
func (h *holdTable) count(s *holdList, now time.Duration) Held {
	held := s.held
	if s.head != 0 {
		held.Age = now - h.all[s.head].since
	}
	return held
}

// shrink gives back the memory of busier times, if nothing is held.
func (h *holdTable) shrink() {
	for _, s := range h.lists {
		if s != nil && s.head != 0 {
			return
		}
	}
	// The generation goes on, so that earlier messages name nothing.
	h.all, h.tokens, h.free = nil, nil, 0
	h.shares, h.freeShares = nil, nil
}

// holdTimer runs while anything is held, to look for what is held so long that it
// holds up others. Guarded by holds.mu.
type holdTimer struct {
	after   time.Duration // which age is a stall; negative: stalls are not reported
	look    func()        // called without the lock; nil: stalls are not looked for
	timer   *time.Timer
	running bool
	stopped bool
}

// idleSweep is how often lists without a hold are forgotten where stalls are not
// reported.
const idleSweep = time.Minute

// start starts the timer unless it runs.
func (t *holdTimer) start() {
	if t.running || t.stopped || t.look == nil {
		return
	}
	t.running = true
	t.lookIn(t.after)
}

// lookIn sets the timer.
func (t *holdTimer) lookIn(d time.Duration) {
	if t.after <= 0 {
		d = idleSweep
	}
	if t.timer == nil {
		t.timer = time.AfterFunc(d, t.look)
		return
	}
	t.timer.Reset(d)
}

// stop ends it with the client.
func (t *holdTimer) stop() {
	t.stopped = true
	if t.timer != nil {
		t.timer.Stop()
	}
}
