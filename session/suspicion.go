package session

import (
	"iter"
	"time"
)

// A server may end the connection whenever it gets a certain packet, on each
// connection again. The suspicion finds out which packet it is, so that it fails and
// the others do not.
//
// When the server ends a connection, the packets that it had got and not answered are
// blamed. A packet that was blamed suspectAfter times is a suspect. From then on it
// is sent alone: only when no other packet is without an answer, and no other packet
// follows until it has an answer. A packet that was alone on undeliverableAfter
// connections that ended is given up, unless the control clears it: before its last
// chance a connection has to last without the packet for longer than any did with it.
//
// A server that does not want a packet hangs up when it has read it. One that is silent for
// seconds before has failed at something of its own, as a node of a cluster does that waits
// in vain for the others: it would hang up on any packet of the kind. So a connection that
// outlasts the patience counts for nothing against a packet.
const (
	suspectAfter       = 3
	undeliverableAfter = 10

	minControl = time.Second
	maxControl = 30 * time.Second

	// patience is how long a suspect may be without an answer until other packets are
	// sent all the same. The server then does not seem to hang up because of it. NATS
	// waits for its cluster for five seconds.
	patience = 4 * time.Second
)

// A packet that is larger than the buffers of the two systems is never written when the
// server refuses its size, for it hangs up at the header. A line that breaks too early each
// time looks the same. So of a suspect that is streamed the beginning goes first, alone,
// for a while: a server that hangs up then has seen all that it needs. See stream.held.

// blame counts what speaks against one packet.
type blame struct {
	seen  uint8 // connections that the server ended before it answered the packet
	alone uint8 // of them, those on which no other packet can have been the cause
}

func (b *blame) suspect() bool { return b.seen >= suspectAfter }

// due reports whether the next such connection is the packet's last chance.
func (b *blame) due() bool { return b.suspect() && b.alone >= undeliverableAfter-1 }

// blames are the blames of the two packets of a message, PUBLISH and PUBREL.
type blames [2]blame

// suspicion finds packets that make the server end connections.
type suspicion struct {
	filters  map[string]*blame // blames of filters in SUBSCRIBE and UNSUBSCRIBE; see filterKeys
	suspects int               // number of messages that are suspects
	due      bool              // one of them has its last chance
	longest  time.Duration     // the longest time that a connection lasted with a suspect alone on it
	said     error             // what the server last said when it ended one; nil: it only hung up

	watch
}

// watch is the state of suspicion for the present connection.
type watch struct {
	began      time.Time
	unanswered int           // packets without an answer
	alone      bool          // one of them is a suspect, and nothing else is sent
	control    bool          // nothing is sent, to see whether the server hangs up all the same
	controlled bool          // the control is over, and the server did not hang up
	lenient    bool          // the server took its time, and everything is sent
	asked      bool          // a request waits until it may be sent, and messages wait behind it
	until      time.Time     // when control or patience is over; zero: never
	beginning  time.Duration // how long the beginning of a streamed suspect is alone
}

// pending reports whether there may be a packet to try.
func (s *suspicion) pending() bool { return s.suspects > 0 || len(s.filters) > 0 }

// beginConnection begins a connection at now. While the beginning of a packet is alone no
// PINGREQ can follow, so that it has to be over in good time.
func (s *suspicion) beginConnection(now time.Time, keepAlive time.Duration) {
	s.watch = watch{began: now, beginning: patience / 2}
	if keepAlive > 0 {
		s.beginning = min(s.beginning, keepAlive/4)
	}
	switch {
	case !s.pending():
	case s.due && s.longest > 0:
		s.control = true
		s.until = now.Add(min(max(2*s.longest, minControl), maxControl))
	default:
		s.wait(now)
	}
}

// wait starts the patience anew.
func (s *suspicion) wait(now time.Time) {
	s.until = now.Add(patience)
}

// mayBegin reports whether a packet may be sent now.
func (s *suspicion) mayBegin(suspect bool) bool {
	switch {
	case s.lenient:
		return true
	case s.control || s.alone:
		return false
	}
	return !suspect || s.unanswered == 0
}

// sent notes that a packet was sent that the server has to answer.
func (s *suspicion) sent(suspect bool) {
	s.unanswered++
	s.alone = s.alone || suspect && !s.lenient
}

// answered notes that a packet was answered or was given up.
func (s *suspicion) answered(suspect bool, now time.Time) {
	s.unanswered--
	if suspect {
		s.alone = false
	}
	if !s.until.IsZero() && !s.control {
		s.wait(now)
	}
}

// outlasted reports whether the patience is over at now.
func (s *suspicion) outlasted(now time.Time) bool {
	return s.lenient || !s.control && !s.until.IsZero() && !now.Before(s.until)
}

// tick handles the end of control or patience. It reports whether packets may be sent
// now that had to wait before.
func (s *suspicion) tick(now time.Time) bool {
	if s.until.IsZero() || now.Before(s.until) {
		return false
	}
	if s.control {
		s.control, s.controlled = false, true
		s.wait(now)
		return true
	}
	s.lenient, s.alone, s.until = true, false, time.Time{}
	return true
}

// isSuspect reports whether one of the filters is a suspect.
func (s *suspicion) isSuspect(keys iter.Seq[string]) bool {
	if len(s.filters) == 0 {
		return false
	}
	for key := range keys {
		if b := s.filters[key]; b != nil && b.suspect() {
			return true
		}
	}
	return false
}

// blameFor returns the blame of a filter, for the caller to update.
func (s *suspicion) blameFor(key string) *blame {
	b := s.filters[key]
	if b == nil {
		if s.filters == nil {
			s.filters = make(map[string]*blame)
		}
		b = new(blame)
		s.filters[key] = b
	}
	return b
}

// forget removes the blames of the filters.
func (s *suspicion) forget(keys iter.Seq[string]) {
	if len(s.filters) == 0 {
		return
	}
	for key := range keys {
		delete(s.filters, key)
	}
}
