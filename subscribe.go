package mqtt

import (
	"context"
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/session"
	"github.com/seed65a45251/mqtt/wire"
)

// Subscribe subscribes to one filter and returns after the server's SUBACK. The
// Subscription already receives by then: a message that comes before the SUBACK is not
// lost. Without a connection Subscribe waits for one under ctx.
func (c *Client) Subscribe(ctx context.Context, filter string, qos QoS) (*Subscription, error) {
	return c.SubscribeWith(ctx, SubscribeOptions{Filters: []Filter{{Filter: filter, QoS: qos}}})
}

// SubscribeWith subscribes with all options. If the server grants some filters
// and refuses others, the Subscription is returned together with a *ServerError
// about the first refusal; Granted has them all.
func (c *Client) SubscribeWith(ctx context.Context, o SubscribeOptions) (*Subscription, error) {
	return c.subscribe(ctx, o, kindStream)
}

func (c *Client) subscribe(ctx context.Context, o SubscribeOptions, k kind) (*Subscription, error) {
	if o.OwnConnection {
		return c.subscribeOwn(ctx, o, k)
	}
	name := ""
	if len(o.Filters) > 0 {
		name = o.Filters[0].Filter
	}
	if err := o.validateAll(c.inbox.router.prefixes); err != nil {
		return nil, &requestError{"subscribe", name, false, err}
	}
	if ctx.Err() != nil {
		return nil, &requestError{"subscribe", name, false, context.Cause(ctx)}
	}
	o.Filters, o.OnFailure = slices.Clone(o.Filters), o.OnFailure.clone()
	s := c.inbox.newSubscription(k, o)
	s.queue.early = true
	if err := c.inbox.add(s); err != nil {
		return nil, &requestError{"subscribe", name, false, err}
	}
	c.engine.do(func(engine *session.Client) {
		c.kept.adoptLocked(engine, o.Filters)
		engine.Subscriptions.Add(s.interest)
	})
	select {
	case <-s.first.done:
	case <-ctx.Done():
		return nil, s.giveUp(c.contextEnded(ctx))
	}
	if s.first.err == nil {
		s.tellSubscribed(o.Subscribed)
		return s, nil
	}
	err := &requestError{"subscribe", name, s.wasSent(), s.first.err}
	if s.first.partly {
		return s, err
	}
	return nil, err
}

// tellSubscribed calls f, if there is one, before anybody has s.
func (s *Subscription) tellSubscribed(f func(*Subscription)) {
	if f == nil {
		return
	}
	returned := false
	defer func() {
		switch {
		case returned:
		case s.kind == kindHandled: // f panics, and nobody gets s
			s.endHandled()
		default:
			s.unsubscribeLater()
		}
	}()
	f(s)
	returned = true
}

// wasSent says whether the server can know of the filters.
func (s *Subscription) wasSent() bool {
	s.inbox.engine.mu.Lock()
	defer s.inbox.engine.mu.Unlock()
	return s.interest.Sent()
}

// Route returns a Subscription for messages that the server sends without a SUBSCRIBE
// of this client: because of subscriptions that an earlier process left in a resumed
// session, or on its own. Route sends nothing, now or after a reconnect. Its
// Subscription gets the messages that match filter and that no subscription identifier
// assigns to another Subscription.
func (c *Client) Route(filter string) (*Subscription, error) {
	o := SubscribeOptions{Filters: []Filter{{Filter: filter, QoS: ExactlyOnce}}}
	if err := o.validate(); err != nil {
		return nil, &requestError{"route", filter, false, err}
	}
	s := c.inbox.newSubscription(kindLocal, o)
	if err := c.inbox.add(s); err != nil {
		return nil, &requestError{"route", filter, false, err}
	}
	return s, nil
}

// Handle subscribes and calls f for every message like Subscription.Handle, until ctx
// or the Subscription ends, or f fails. Then its Subscription ends.
// SubscribeOptions.Subscribed tells when it has begun. To use the Subscription
// afterwards, call SubscribeWith and Subscription.Handle.
//
// Above AtMostOnce, messages that f has not finished by then stay unacknowledged. The
// next Handle, Subscription or Route of this client whose filter matches gets them
// first. Until then they hold up the acknowledgements behind them. The same goes for a
// panic in the caller's goroutine. Those for which the buffer had no room come again with
// a new connection: with Config.Resume they wait, within Config.HoldUnclaimed, as those
// of a shared filter do. Others are for whoever wants them when they come; if nobody
// does, they are acknowledged and dropped.
//
// With Config.Resume the server keeps the subscription too, so that nothing is lost
// between two processes; Client.Unsubscribe ends it. It does not keep shared filters
// unless SubscribeOptions.KeepShared is set, so that other workers get the messages.
// Without Config.Resume, Handle unsubscribes when it ends, without waiting for the
// answer.
//
// If the server refuses one of the filters, Handle returns that *ServerError.
func (c *Client) Handle(ctx context.Context, o SubscribeOptions, f func(context.Context, *Message) error) error {
	if f == nil {
		return errNoFunction(&o)
	}
	s, err := c.subscribe(ctx, o, kindHandled)
	if s == nil {
		return err
	}
	defer s.endHandled() // also when f panics
	if err != nil {
		return err // some filters were refused
	}
	return s.Handle(ctx, f)
}

// giveUp ends a Subscription whose SUBACK was not waited for.
func (s *Subscription) giveUp(cause error) error {
	handled := s.kind == kindHandled
	s.discardUnbegun(cause, handled && s.inbox.resume)
	if handled {
		s.inbox.engine.do(s.leaveHandled)
		s.passLeft()
	} else {
		s.dropInterest()
	}
	return &requestError{"subscribe", s.name(), s.wasSent(), cause}
}

// answered takes what the server said of the filters of s: of a new Subscription, or
// when they were renewed. A Subscription of which nothing is granted ends.
func (s *Subscription) answered(a session.InterestAnswer) {
	b := s.inbox
	acks, err, partly := s.outcome(a)
	if acks != nil {
		b.granted(s, acks)
	}
	isOver := err != nil && !partly
	if isOver {
		b.remove(s)
	}
	s.queue.beginConsuming()
	first := s.first.begun()
	if isOver {
		s.refused(err, first)
		s.dropInterest()
		if first {
			s.passLeft()
		} else {
			b.subscriptionEnded(true)
		}
	}
	s.first.conclude(err, partly)
	if err != nil && !first {
		b.report(s, err, 0)
	}
}

// refused ends the Subscription because of err, the answer to SUBSCRIBE. The
// router does not have it any more.
func (s *Subscription) refused(err error, first bool) {
	switch {
	case first:
		s.discardUnbegun(err, false)
	case s.kind == kindHandled:
		s.queue.cutAndKeep(err) // Client.Handle looks after what is left
	default:
		s.discard(err)
	}
}

// discardUnbegun takes out a Subscription that nobody has received from. What had
// waited for it goes on waiting for another. With resume the server keeps the filters
// of a handler.
func (s *Subscription) discardUnbegun(err error, resume bool) {
	b := s.inbox
	left := s.queue.cutOff(err)
	claimed := min(s.claimed, len(left))
	b.giveBack(s.number, left[:claimed])
	if s.kind == kindHandled {
		b.handBack(s, left[claimed:], resume)
		return
	}
	dismiss(left[claimed:])
	b.remove(s)
	s.renounceLeft()
}

// outcome makes of an answer what the caller sees: acks for each filter, and an error
// about the first that was refused; partly says that others were granted.
func (s *Subscription) outcome(a session.InterestAnswer) (acks []Ack, err error, partly bool) {
	if a.Err != nil {
		return nil, a.Err, false
	}
	acks = make([]Ack, len(a.Answers))
	failed := 0
	for i, f := range a.Answers {
		acks[i] = Ack{f.ReasonCode, f.ReasonString, f.UserProperties}
		if !f.ReasonCode.Failed() {
			continue
		}
		if failed == 0 {
			err = fmt.Errorf("filter %.80q: %w", s.options.Filters[i].Filter, refusal(wire.TypeSuback, f))
		}
		failed++
	}
	return acks, err, failed > 0 && failed < len(acks)
}
