package mqtt

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/seed65a45251/mqtt/session"
)

// Subscription is a stream of messages. It lives, across reconnects and lost
// sessions, until Unsubscribe, Drain, the end of the client, or until the
// server refuses to renew it.
//
// Stream, Messages, Next, All and Handle receive. They may follow each other, and
// several goroutines may receive at once: each message goes to one of them. What one
// has taken and not handed over when it ends is the next one's. (While a Stream or
// Messages is open, one message is always on its way to the channel, where Next
// would not see it.)
type Subscription struct {
	client  *Client
	options SubscribeOptions
	queue   queue
	shelf   shelf  // what is held for it
	local   bool   // made by Route: the server knows nothing of it
	handled bool   // made by Handle: what it has not finished is kept
	number  uint64 // in the order of Subscriptions; set by router.add
	claimed int    // messages that had waited for it, the first in queue; likewise
	// transient is guarded by client.router.mu: the filters mean nothing to a later process.
	transient bool

	interest *session.Interest // what the server is asked for; guarded by engine.mu; nil: nothing
	first    firstAnswer

	// Guarded by client.router.mu.
	routes   []*route       // one for each filter
	index    map[string]int // of routes by filter; nil: they are few
	granted  []Ack
	draining bool   // UNSUBSCRIBE is on its way; messages are still welcome
	left     uint64 // number of the newest Subscription when this one was taken out; until then above all

	channel struct { // of Messages
		once sync.Once
		ch   <-chan *Message
	}
}

// newSubscription returns a Subscription that the router does not know yet.
func (c *Client) newSubscription(o SubscribeOptions) *Subscription {
	s := &Subscription{client: c, options: o}
	s.queue.init(&s.options, &c.engine.counters.dropped)
	s.queue.remote.sub = s
	s.shelf.sub = s
	s.first.done = make(chan struct{})
	return s
}

// handedOver acknowledges a message that a consumer has.
func (s *Subscription) handedOver(m *Message) {
	if !s.options.ManualAck {
		m.receipt.settle(Success)
	}
}

// take waits for the next messages, as many as there are and dst has room for. h
// and over are those of queue.popFor.
func (s *Subscription) take(ctx context.Context, h *holder, over int, dst []item) (n int, err error) {
	return s.takeAs(ctx, h, over, dst, false)
}

// takeAs is take for one who may have the messages settled; see queue.popAs.
func (s *Subscription) takeAs(ctx context.Context, h *holder, over int, dst []item, settled bool) (n int, err error) {
	for ; ; over = 0 {
		n, err := s.queue.popAs(h, over, dst, settled)
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-s.queue.ready:
			s.queue.woken()
		case <-ctx.Done():
			s.queue.woken()
			return 0, context.Cause(ctx)
		}
	}
}

// Next waits for the next message. After the end of the Subscription it
// returns what Err returns, or ErrUnsubscribed.
func (s *Subscription) Next(ctx context.Context) (*Message, error) {
	var next [1]item
	if _, err := s.takeAs(ctx, nil, 0, next[:], !s.options.ManualAck); err != nil {
		return nil, err
	}
	return next[0].owned(), nil
}

// All returns an iterator over the messages. Each is acknowledged after the
// loop body, unless ManualAck is set. The loop ends silently with Unsubscribe
// and Drain; when ctx or the Subscription ends otherwise, the last step yields
// a nil message and the reason.
func (s *Subscription) All(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			var next [1]item
			_, err := s.take(ctx, nil, 0, next[:])
			if errors.Is(err, ErrUnsubscribed) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			m := next[0].owned()
			goOn := yield(m, nil)
			s.handedOver(m)
			if !goOn {
				return
			}
		}
	}
}

// Err returns why the Subscription ended: nil while it lives and after
// Unsubscribe and Drain.
func (s *Subscription) Err() error {
	if err := s.queue.err(); !errors.Is(err, ErrUnsubscribed) {
		return err
	}
	return nil
}

// Granted returns the server's answer for each filter, in the order of the
// filters: the granted QoS or why it was refused.
func (s *Subscription) Granted() []ReasonCode {
	s.client.router.mu.Lock()
	defer s.client.router.mu.Unlock()
	var codes []ReasonCode
	for _, ack := range s.granted {
		codes = append(codes, ack.ReasonCode)
	}
	return codes
}

// Answers returns what Granted returns with what else the server said: the reason
// string and the user properties of the SUBACK that has the filter.
func (s *Subscription) Answers() []Ack {
	s.client.router.mu.Lock()
	defer s.client.router.mu.Unlock()
	return slices.Clone(s.granted)
}

// Held returns what the Subscription has got at QoS 1 and 2 and is not acknowledged:
// what waits for a consumer, and what consumers have not acknowledged.
func (s *Subscription) Held() Held { return s.client.holds.count(&s.shelf) }

// Dropped returns how many messages for this Subscription were dropped: at QoS 0 because
// they found no room in the buffer, and at any QoS because they were malformed or larger
// than Config.MaximumPacketSize and the server sent them again and again.
func (s *Subscription) Dropped() uint64 { return s.queue.lost() }

// Unsubscribe ends the Subscription at once. Messages that nobody has taken
// are dropped, acknowledged so that they do not come again. It then waits for
// the server's answer, unless another Subscription still needs the filters; an
// error says that the server did not agree or that the answer did not come, so
// that it may go on sending. The request goes on when ctx ends.
func (s *Subscription) Unsubscribe(ctx context.Context) error {
	s.discard(ErrUnsubscribed)
	err := s.client.release(ctx, s)
	s.client.retire(true)
	return err
}

// discard ends the queue because of err. What nobody took is acknowledged: it
// must not hold up the acknowledgements of what came later.
func (s *Subscription) discard(err error) {
	dismiss(s.queue.close(err))
	s.client.renounce(s.queue.takeLeft())
}

// refused ends the Subscription because of err, the answer to SUBSCRIBE. The
// router does not have it any more.
func (s *Subscription) refused(err error, first bool) {
	switch {
	case first:
		s.neverBegan(err, false)
	case s.handled:
		s.queue.fail(err) // Handle looks after what is left
	default:
		s.discard(err)
	}
}

// neverBegan takes out a Subscription that nobody has received from. What had
// waited for it goes on waiting for another. With resume the server keeps the filters
// of a handler.
func (s *Subscription) neverBegan(err error, resume bool) {
	r := &s.client.router
	left := s.queue.close(err)
	claimed := min(s.claimed, len(left))
	r.giveBack(s.number, left[:claimed])
	if s.handled {
		r.abandon(s, left[claimed:], resume)
		return
	}
	dismiss(left[claimed:])
	r.remove(s)
}

// Drain unsubscribes and lets the consumers take what the server sends before
// its answer; then the Subscription ends. Drain returns when they have, or with
// ctx, which leaves what is still there to the consumers, or to Unsubscribe to
// drop. What lies in the buffered channel of Messages counts as taken.
func (s *Subscription) Drain(ctx context.Context) error {
	var err error
	if s.client.router.drain(s) {
		err = s.endOnServer(ctx)
		s.client.router.remove(s)
		s.queue.drain()
	}
	select {
	case <-s.queue.over:
		s.client.router.drained(s)
		s.client.retire(true)
		if ended := s.Err(); err == nil && ended != nil {
			err = &requestError{"drain", s.options.Filters[0].Filter, true, ended}
		}
		return err
	case <-ctx.Done():
		return errors.Join(err, &requestError{"drain", s.options.Filters[0].Filter, true, context.Cause(ctx)})
	}
}
