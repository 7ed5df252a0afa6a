package session

import (
	"iter"
	"time"
)

// A server may end the connection whenever it gets a certain packet, on each
// connection again. Found out is which one, so that it fails and the others do not.
//
// Each connection that the server ended is held against the packets that it had got
// and not answered. One that was among them suspectAfter times is a suspect, and is
// from now on sent alone: when nothing else is without an answer, and nothing else
// until it has one. A packet that was alone on undeliverableAfter connections that
// ended is given up, unless the control says that it is innocent: before its last
// chance a connection has to last without it, longer than any did with it.
const (
	suspectAfter       = 3
	undeliverableAfter = 10

	minControl = time.Second
	maxControl = 30 * time.Second

	// patience is how long a suspect may be without an answer until others are sent
	// all the same: this server does not hang up because of it now.
	patience = 10 * time.Second
)

// blame is what is held against one packet.
type blame struct {
	seen  uint8 // connections that the server ended before it answered the packet
	alone uint8 // of them, those on which nothing else can have been the cause
}

func (b *blame) suspect() bool { return b.seen >= suspectAfter }

// due says that the next such connection is the last.
func (b *blame) due() bool { return b.suspect() && b.alone >= undeliverableAfter-1 }

// blames are what is held against the two packets of a message, PUBLISH and PUBREL.
type blames [2]blame

// suspicion watches for packets that make the server end connections.
type suspicion struct {
	filters  map[string]*blame // of SUBSCRIBE and UNSUBSCRIBE; see filterKeys
	suspects int               // messages that are
	due      bool              // one of them has its last chance
	longest  time.Duration     // that a connection lasted with a suspect alone on it
	said     error             // what the server last said when it ended one; nil: it only hung up

	watch
}

// watch is what suspicion knows of the present connection.
type watch struct {
	began      time.Time
	unanswered int       // packets without an answer
	alone      bool      // one of them is a suspect, and nothing else is sent
	control    bool      // nothing at all is sent: would the server hang up all the same?
	controlled bool      // it was, and the server did not
	lenient    bool      // the server took its time, and everything is sent
	asked      bool      // a request waits for its turn, and messages wait behind it
	until      time.Time // when control, or patience, is over; zero: never
}

// pending says that there may be something to try out.
func (s *suspicion) pending() bool { return s.suspects > 0 || len(s.filters) > 0 }

// beginConnection begins a connection at now.
func (s *suspicion) beginConnection(now time.Time) {
	s.watch = watch{began: now}
	switch {
	case !s.pending():
	case s.due && s.longest > 0:
		s.control = true
		s.until = now.Add(min(max(2*s.longest, minControl), maxControl))
	default:
		s.wait(now)
	}
}

// wait gives the server its time again.
func (s *suspicion) wait(now time.Time) {
	s.until = now.Add(max(patience, min(2*s.longest, maxControl)))
}

// mayBegin says whether a packet may be sent now.
func (s *suspicion) mayBegin(suspect bool) bool {
	switch {
	case s.lenient:
		return true
	case s.control || s.alone:
		return false
	}
	return !suspect || s.unanswered == 0
}

// sent notes that a packet which will be answered is on its way.
func (s *suspicion) sent(suspect bool) {
	s.unanswered++
	s.alone = s.alone || suspect && !s.lenient
}

// answered notes that a packet was answered, or will not be any more.
func (s *suspicion) answered(suspect bool, now time.Time) {
	s.unanswered--
	if suspect {
		s.alone = false
	}
	if !s.until.IsZero() && !s.control {
		s.wait(now)
	}
}

// tick does what is due at now, and says whether something may be sent that could
// not before.
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

// isSuspect says whether one of the filters is one.
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

// blameFor returns what is held against a filter, to add to it.
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

// forget forgets what is held against the filters.
func (s *suspicion) forget(keys iter.Seq[string]) {
	if len(s.filters) == 0 {
		return
	}
	for key := range keys {
		delete(s.filters, key)
	}
}
