package session

// A server may close the connection whenever it sees a certain message, on
// each connection again. After suspectAfter connections in a row without a
// single acknowledgement, messages are sent one at a time; one that is alone
// on undeliverableAfter connections which the server then closes is given up.
const (
	suspectAfter       = 3
	undeliverableAfter = 10
)

// suspicion watches for a message that kills connections.
type suspicion struct {
	fruitless int  // connections in a row that the peer closed without acknowledging anything
	alone     bool // one message at a time until the peer acknowledges one
	answered  bool // the peer acknowledged something on this connection
}

func (s *suspicion) start() { s.alone, s.answered = s.fruitless >= suspectAfter, false }

func (s *suspicion) clear() { *s = suspicion{answered: true} }

// stop judges a connection that ended with head as its oldest unacknowledged
// message. It returns the message to give up, if any.
func (s *suspicion) stop(byPeer bool, head *Outgoing) *Outgoing {
	if !byPeer || s.answered || head == nil || !head.counted {
		return nil
	}
	head.counted = false
	if !s.alone {
		s.fruitless++
		return nil
	}
	if head.attempts++; head.attempts < undeliverableAfter {
		return nil
	}
	s.clear()
	return head
}
