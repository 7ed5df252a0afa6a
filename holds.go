package mqtt

import (
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/session"
)

// holds owns every QoS 1 and 2 message that was delivered and is not acknowledged:
// who has it, since when, how large it is, and what it takes to acknowledge it. A
// Message only names its hold. So nothing is ever written into a message that
// somebody has, and copies of one are acknowledged once.
//
// It also gathers acknowledgements until the writer comes for them, so that
// consumers do not queue for the engine's lock.
type holds struct {
	client *Client
	start  time.Time

	mu         sync.Mutex // a leaf, apart from the token for the writer
	all        []hold     // by number; 0 is none. Without pointers: there is one for each message
	tokens     []session.Token
	free       uint32 // the first of a list by next; 0: none
	generation uint32 // of the last hold
	shares     []int  // holds on messages that went to several Subscriptions; 0 is none
	freeShares []uint32
	shelves    []*shelf // by number; nil: not in use. 0 is none
	unused     []uint32 // numbers of shelves
	due        []settlement
	writer     *conn // of the established connection; nil: the next one comes for what is due

	watch stallWatch
	spare []settlement // takes turns with due; guarded by engine.mu
}

// hold is the hold of one Subscription, or of nobody yet, on one message. Its place is
// used again; the generation tells the messages of earlier uses.
type hold struct {
	generation uint32 // 0: not in use
	stale      bool   // the session is lost
	shelf      uint32
	share      uint32 // 0: nobody else has the message
	prev, next uint32
	bytes      int
	since      time.Duration // after holds.start
}

// shelf has the holds of one Subscription, or those of nobody, in the order of
// arrival. Guarded by holds.mu.
type shelf struct {
	sub        *Subscription // nil: nobody's
	number     uint32        // in holds.shelves; 0: it had no hold lately
	head, tail uint32
	held       Held
	reported   bool // its present stall is
}

// settlement acknowledges a message.
type settlement struct {
	token session.Token
	code  ReasonCode
}

// Held is what was delivered at QoS 1 and 2 and is not acknowledged yet.
type Held struct {
	Messages int
	Bytes    int // of memory: their topics, payloads and properties as they lie there
	// Age is how long the oldest of them is held.
	Age time.Duration
}

// add adds what is held elsewhere.
func (h *Held) add(o Held) {
	h.Messages += o.Messages
	h.Bytes += o.Bytes
	h.Age = max(h.Age, o.Age)
}

// receipt is the end of a hold, which a message carries. The zero receipt is that of
// a message which needs no acknowledgement.
type receipt struct {
	holds *holds
	ticket
}

// ticket names a hold. The zero ticket names none.
type ticket struct{ number, generation uint32 }

// receipt returns the receipt of t.
func (h *holds) receipt(t ticket) receipt {
	if t.generation == 0 {
		return receipt{}
	}
	return receipt{h, t}
}

// place notes that s holds a message. Called with h.mu held.
func (h *holds) place(s *shelf, token session.Token, bytes int, share uint32, now time.Duration) ticket {
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
	h.put(number, s)
	return ticket{number, h.generation}
}

// placeOne is place for a single message.
func (h *holds) placeOne(s *shelf, token session.Token, bytes int) receipt {
	if token.IsZero() {
		return receipt{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return receipt{h, h.place(s, token, bytes, 0, time.Since(h.start))}
}

// share counts a message that goes to so many Subscriptions. Called with h.mu held.
func (h *holds) share(subscriptions int) uint32 {
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

// put adds a hold to s. Called with h.mu held.
func (h *holds) put(number uint32, s *shelf) {
	if s.number == 0 {
		h.open(s)
	}
	n := &h.all[number]
	n.shelf, n.prev, n.next = s.number, s.tail, 0
	if s.tail == 0 {
		s.head = number
	} else {
		h.all[s.tail].next = number
	}
	s.tail = number
	s.held.Messages++
	s.held.Bytes += n.bytes
}

// open gives s a number. Called with h.mu held.
func (h *holds) open(s *shelf) {
	if len(h.shelves) == 0 {
		h.shelves = make([]*shelf, 1)
	}
	if n := len(h.unused); n > 0 {
		s.number, h.unused = h.unused[n-1], h.unused[:n-1]
		h.shelves[s.number] = s
	} else {
		h.shelves = append(h.shelves, s)
		s.number = uint32(len(h.shelves) - 1)
	}
	h.watch.begin(h)
}

// takeOff takes a hold off its shelf. Called with h.mu held.
func (h *holds) takeOff(number uint32) {
	n := &h.all[number]
	s := h.shelves[n.shelf]
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

// has reports whether t names a hold. Called with h.mu held.
func (h *holds) has(t ticket) bool {
	return int(t.number) < len(h.all) && t.generation != 0 && h.all[t.number].generation == t.generation
}

// end ends a hold. It says, once, that the server has to be told. Called with h.mu
// held.
func (h *holds) end(t ticket) (token session.Token, due bool) {
	if !h.has(t) {
		return session.Token{}, false
	}
	h.takeOff(t.number)
	n := &h.all[t.number]
	due = true
	if s := n.share; s != 0 {
		h.shares[s]--
		if due = h.shares[s] == 0; due {
			h.freeShares = append(h.freeShares, s)
		}
	}
	n.generation, n.next = 0, h.free
	h.free = t.number
	return h.tokens[t.number], due
}

// move gives what r holds to s.
func (r receipt) move(s *shelf) {
	h := r.holds
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.has(r.ticket) {
		h.takeOff(r.number)
		h.put(r.number, s)
	}
}

// acknowledge ends the hold and says what became of the acknowledgement.
func (r receipt) acknowledge() error {
	h := r.holds
	if h == nil {
		return nil
	}
	h.mu.Lock()
	token, due := h.end(r.ticket)
	h.mu.Unlock()
	if !due {
		return nil
	}
	return h.client.acknowledge(token)
}

// settle is acknowledge for those who do not want to know how it ends. A code other
// than Success refuses the message.
func (r receipt) settle(code ReasonCode) {
	h := r.holds
	if h == nil {
		return
	}
	var wake *conn
	h.mu.Lock()
	if token, due := h.end(r.ticket); due {
		if len(h.due) == 0 {
			wake = h.writer
		}
		h.due = append(h.due, settlement{token, code})
	}
	h.mu.Unlock()
	if wake != nil {
		wake.wakeUp()
	}
}

// leave ends the hold on a message that nobody takes: the server keeps it. It
// returns the token to leave, unless others have the message.
func (r receipt) leave() (token session.Token) {
	h := r.holds
	if h == nil {
		return token
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if got, due := h.end(r.ticket); due {
		token = got
	}
	return token
}

// serve says who comes for what gathers from now on.
func (h *holds) serve(k *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writer = k
}

// forsaken says that the server has lost the session: what it had sent cannot be
// acknowledged any more, and holds nothing up. So that consumers who never
// acknowledge cost no more with every lost session, each keeps at most most such
// holds. Called with engine.mu held.
func (h *holds) forsaken(engine *session.Client, most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.shelves {
		if s == nil {
			continue
		}
		stale := 0
		for number := s.head; number != 0; number = h.all[number].next {
			if n := &h.all[number]; engine.Receiver.Stale(h.tokens[number]) {
				n.stale = true
				stale++
			}
		}
		for number := s.head; stale > most; {
			n := h.all[number]
			if n.stale {
				h.end(ticket{number, n.generation})
				stale--
			}
			number = n.next
		}
	}
}

// hand gives what has gathered to the engine. Called with engine.mu held.
func (h *holds) hand(engine *session.Client) {
	h.mu.Lock()
	due := h.due
	if len(due) == 0 {
		h.mu.Unlock()
		return
	}
	h.due = h.spare
	h.mu.Unlock()
	for _, s := range due {
		engine.Receiver.Ack(s.token, s.code) // what is stale needs no acknowledgement
	}
	clear(due)
	h.spare = due[:0]
}

// trim gives back the memory of busier times. Called with engine.mu held.
func (h *holds) trim() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spare = nil
	if len(h.due) == 0 {
		h.due = nil
	}
	for _, s := range h.shelves {
		if s != nil && s.head != 0 {
			return
		}
	}
	// The generation goes on, so that receipts of earlier messages name nothing.
	h.all, h.tokens, h.free = nil, nil, 0
	h.shares, h.freeShares = nil, nil
}

// count returns what s has.
func (h *holds) count(s *shelf) Held {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counted(s, time.Since(h.start))
}

// counted is called with h.mu held.
func (h *holds) counted(s *shelf, now time.Duration) Held {
	held := s.held
	if s.head != 0 {
		held.Age = now - h.all[s.head].since
	}
	return held
}

// total returns what is held by all.
func (h *holds) total() (all Held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Since(h.start)
	for _, s := range h.shelves {
		if s != nil {
			all.add(h.counted(s, now))
		}
	}
	return all
}

// acknowledge acknowledges a received message.
func (c *Client) acknowledge(t session.Token) (err error) {
	c.engine.do(func(engine *session.Client) {
		if err = engine.Receiver.Ack(t, Success); err == nil {
			err = c.engine.status.err // nobody will tell the server any more
		}
	})
	return err
}
