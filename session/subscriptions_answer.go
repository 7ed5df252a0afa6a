package session

import (
	"errors"
	"slices"

	"github.com/seed65a45251/mqtt/wire"
)

// requestEnded handles the end of a request of ours for filters: an answer or an
// error.
func (s *Subscriptions) requestEnded(r *Request, filters []*subscribed) {
	s.open--
	for i, f := range filters {
		j := slices.IndexFunc(f.steps, func(st step) bool { return st.request == r })
		if j < 0 {
			continue // f was forgotten
		}
		st := &f.steps[j]
		a := FilterAnswer{ReasonString: r.ReasonString, UserProperties: r.UserProperties}
		err := r.Err
		if i < len(r.ReasonCodes) {
			a.ReasonCode = r.ReasonCodes[i]
		}
		if errors.Is(err, ErrUndeliverable) {
			a.ReasonCode, a.Err, err = undeliverableCode(err), err, nil
		}
		st.answered, st.refused = true, r.Err != nil || a.ReasonCode.Failed()
		if st.leave {
			s.askAgain(f)
		}
		if a.ReasonCode == wire.PacketIdentifierInUse && f.busy < maxBusy {
			f.busy++
			s.again(f, st)
			continue
		}
		f.busy = 0
		asks := st.asks
		if st.leave {
			s.leaveAnswered(f, a, err)
		}
		s.advance(f)
		for _, k := range asks {
			s.answerAsk(k, a, err)
		}
		s.markChanged(f)
	}
	s.Pump()
}

// askAgain marks what has waited for the end of an UNSUBSCRIBE for f.
func (s *Subscriptions) askAgain(f *subscribed) {
	if f.tally.due == 0 {
		return
	}
	for _, k := range f.asks {
		if k.interest.in && k.state == askDue {
			s.markDue(k.interest)
		}
	}
}

// maxBusy bounds how often in a row a filter is asked for again because the server has
// the packet identifier in use.
const maxBusy = 100

// again undoes a request for f whose packet identifier the server has in use, as those
// do that count the messages which they have sent. Nothing was said of the filter, so
// the next request goes out under another identifier.
func (s *Subscriptions) again(f *subscribed, st *step) {
	st.again = true
	for _, k := range st.asks {
		if k.interest.in && k.state == askSent {
			k.become(askDue)
			s.markDue(k.interest)
		}
	}
	s.advance(f)
	s.markChanged(f)
}

// advance applies the answers to f, in the order of the requests.
func (s *Subscriptions) advance(f *subscribed) {
	for len(f.steps) > 0 && f.steps[0].answered {
		st := f.steps[0]
		f.steps = f.steps[1:]
		switch {
		case st.again:
		case st.leave:
			// A server that refuses UNSUBSCRIBE would refuse it again.
			f.has = hasNot
		case !st.refused:
			f.has, f.options = has, st.options
		case st.follows:
			f.options = st.options // a server that refuses to change them would refuse again
		}
	}
}

// answerAsk applies the answer for a filter to one subscriber of it.
func (s *Subscriptions) answerAsk(k *ask, a FilterAnswer, err error) {
	in := k.interest
	if !in.in || k.state != askSent {
		return
	}
	k.answer = a
	k.become(askGranted)
	if err != nil {
		s.answers = append(s.answers, InterestAnswer{Interest: in, Err: err})
		s.Remove(in, false)
		return
	}
	switch {
	case a.Err != nil:
		k.become(askWithdrawn)
	case a.ReasonCode.Failed():
		k.become(askRefused)
	default:
		k.granted = true
	}
	if !k.wants() {
		s.noteWanted(k.filter)
	}
	if in.unanswered--; in.unanswered > 0 {
		return
	}
	all := InterestAnswer{Interest: in, Answers: make([]FilterAnswer, len(in.asks))}
	for i := range in.asks {
		all.Answers[i] = in.asks[i].answer
	}
	s.answers = append(s.answers, all)
}

func (s *Subscriptions) leaveAnswered(f *subscribed, a FilterAnswer, err error) {
	if err != nil {
		for _, l := range f.leaves {
			l.Err = err
		}
		s.endLeaves(f)
		return
	}
	if !f.wanted() {
		s.filterLeft(f, a)
	}
}

// undeliverableCode returns the reason code for a filter that is undeliverable because
// of err.
func undeliverableCode(err error) wire.ReasonCode {
	if said, ok := errors.AsType[*ServerError](err); ok && said.ReasonCode.Failed() {
		return said.ReasonCode
	}
	return wire.UnspecifiedError
}

// checkInterest returns the limit of the server that in breaks, or the feature that
// the version does not have, or nil.
func (s *Subscriptions) checkInterest(in *Interest) error {
	p := &wire.Subscribe{PacketID: 1, Filters: in.Filters, UserProperties: in.UserProperties}
	if in.SubscriptionIDs != nil && !s.link.Limits.NoSubscriptionIDs {
		p.SubscriptionID = slices.Max(in.SubscriptionIDs)
	}
	if err := (&Request{Subscribe: p}).check(&s.link.Limits); err != nil {
		return err
	}
	if s.link.Version == wire.V5 && s.link.Limits.MaximumPacketSize == 0 {
		return nil
	}
	for i := range in.Filters {
		p.Filters = in.Filters[i : i+1]
		b, err := p.Append(nil, s.link.Version)
		if err != nil {
			return err
		}
		if err := s.link.Limits.checkSize(len(b)); err != nil {
			return err
		}
	}
	return nil
}
