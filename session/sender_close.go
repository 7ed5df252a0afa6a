package session

// Fail completes every message that is not completed with err and forgets the
// session. It is the end of the sender's life: every message gets a result.
func (s *Sender) Fail(err error) {
	s.cutStream(err)
	s.Renew()
	for s.queue.head != nil {
		o := s.queue.head
		s.dequeue(o)
		s.complete(o, Result{Err: err})
	}
}

// Incomplete appends to dst what was submitted and is not completed, in the order of
// Submit, for an owner that has to decide what becomes of it: see [Outgoing.Sent] and
// [Outgoing.Released]. A QoS 0 message whose payload is being written is left out.
func (s *Sender) Incomplete(dst []*Outgoing) []*Outgoing {
	first := len(dst)
	for _, l := range []*outgoingList{&s.released, &s.published, &s.queue} {
		for o := l.head; o != nil; o = o.next {
			dst = append(dst, o)
		}
	}
	sortBySeq(dst[first:])
	return dst
}
