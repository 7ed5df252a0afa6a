package session

import "github.com/seed65a45251/mqtt/wire"

// Leave is the end of filters on the server. It is over when the server has none of
// them any more, or when they are wanted again.
type Leave struct {
	UserProperties []wire.UserProperty // go with UNSUBSCRIBE (5.0)
	Owner          any                 // the caller's own; the engine does not look at it

	Filters []string       // filters that the server was asked to end, in the order of its answers
	Answers []FilterAnswer // what it said of each; Success before 5.0, where it says nothing
	Err     error          // the request could not be sent, or the client ended

	open int  // filters that it waits for
	sent bool // UNSUBSCRIBE was sent for at least one
	over bool
}

// Sent reports whether UNSUBSCRIBE was sent.
func (l *Leave) Sent() bool { return l.sent }

// Over reports whether the leave has ended.
func (l *Leave) Over() bool { return l.over }

func (l *Leave) join(f *subscribed) {
	l.open++
	f.leaves = append(f.leaves, l)
}

// Withdraw ends filters for good, although interests have them. It is for a client
// that is about to abandon its session. The result is that of [Subscriptions.Remove].
func (s *Subscriptions) Withdraw(filters []string) *Leave {
	if s.failed != nil {
		return nil
	}
	leave := new(Leave)
	for _, name := range filters {
		f := s.filters[name]
		if f == nil {
			continue
		}
		for _, a := range f.asks {
			if a.state < askGranted {
				a.interest.unanswered--
			}
			a.become(askWithdrawn)
		}
		s.noteWanted(f)
		if !f.absent() {
			leave.join(f)
		}
		s.markChanged(f)
	}
	s.Pump()
	if leave.open == 0 && leave.Err == nil {
		return nil
	}
	return leave
}

// endLeave reports a leave that no longer waits for a filter.
func (s *Subscriptions) endLeave(l *Leave) {
	if l.open == 0 && !l.over {
		l.over = true
		s.left = append(s.left, l)
	}
}

// endLeaves ends the leaves' wait for f: it is wanted again, or gone.
func (s *Subscriptions) endLeaves(f *subscribed) {
	leaves := f.leaves
	f.leaves = nil
	for _, l := range leaves {
		l.open--
		s.endLeave(l)
	}
}

// filterLeft adds the server's answer for f to the leaves that wait for it.
func (s *Subscriptions) filterLeft(f *subscribed, a FilterAnswer) {
	for _, l := range f.leaves {
		l.Filters = append(l.Filters, f.name)
		l.Answers = append(l.Answers, a)
	}
	s.endLeaves(f)
}
