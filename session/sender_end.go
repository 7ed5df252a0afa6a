package session

// Fail completes every message that is not completed with err and forgets the
// session. It is the end of the sender's life: whoever waits gets an answer.
func (s *Sender) Fail(err error) {
	s.interrupted(err)
	s.Renew()
	for s.queue.head != nil {
		o := s.queue.head
		s.dequeue(o)
		s.complete(o, Result{Err: err})
	}
}
