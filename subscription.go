package mqtt

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/seed65a45251/mqtt/session"
)

// Subscription is a stream of messages. It lives, across reconnects and lost sessions,
// until Unsubscribe, Drain, the end of the client, or until the server refuses to renew
// it.
//
// Stream, Messages, Next, All and Handle receive. They may follow each other, and
// several goroutines may receive at once: each message goes to one of them. A consumer
// that ends leaves the messages that it has taken and not handed over to the next one.
// (While a Stream or Messages is open, one message is always on its way to the channel,
// where Next would not see it.)
type Subscription struct {
	inbox   *inbox
	kind    kind
	options SubscribeOptions
	queue   queue
	holds   holdList
	number  uint64 // in the order of Subscriptions; set by router.addLocked
	claimed int    // messages that had waited for it, the first in queue; set by inbox.add

	interest *session.Interest // what the server is asked for; guarded by engine.mu; nil: nothing
	first    firstAnswer

	// Guarded by router.mu.
	state   state
	routes  []*route       // one for each filter
	index   map[string]int // of routes by filter; nil: they are few
	granted []Ack
	// grantedAt is the number of the newest Subscription when the first answer came.
	grantedAt uint64
	found     uint64 // the last search of the router that has found it
	left      uint64 // number of the newest Subscription when this one was taken out; until then above all

	channel struct { // of Messages
		once sync.Once
		ch   <-chan *Message
	}
}

// name is what errors and events call it.
func (s *Subscription) name() string { return s.options.Filters[0].Filter }

// optionsOf returns what it asked for on one of its filters.
func (s *Subscription) optionsOf(filter string) Filter {
	if s.index != nil {
		return s.options.Filters[s.index[filter]]
	}
	i := slices.IndexFunc(s.options.Filters, func(f Filter) bool { return f.Filter == filter })
	return s.options.Filters[i]
}

// handedOver acknowledges a message that a consumer has.
func (s *Subscription) handedOver(m *Message) {
	if !s.options.ManualAck {
		m.acknowledger.acknowledge(Success)
	}
}

// pop waits for the next messages, as many as there are and dst has space for. Under a
// context that has ended it takes what is there. The other arguments are those of queue.pop.
func (s *Subscription) pop(ctx context.Context, c *consumer, handedOver int, dst []item, acknowledge bool) (n int, err error) {
	for ; ; handedOver = 0 {
		n, from, err := s.queue.pop(c, handedOver, dst, acknowledge)
		if n > 0 || err != nil {
			return n, err
		}
		if from != nil {
			if ctx.Err() != nil {
				return 0, context.Cause(ctx)
			}
			from.step()
			continue
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

// Next waits for the next message. After the end of the Subscription it returns what
// Err returns, or ErrUnsubscribed where that is nil. The end of ctx is returned as its
// cause, also if there is a message.
func (s *Subscription) Next(ctx context.Context) (*Message, error) {
	m, err := s.next(ctx)
	if s.inbox.consuming != nil && err == nil {
		_, done := s.consume(ctx, OperationNext, m)
		done(nil)
	}
	return m, err
}

// next is Next without hooks.
func (s *Subscription) next(ctx context.Context) (*Message, error) {
	m, err := s.take(ctx, !s.options.ManualAck)
	if err != nil {
		s.queue.leftAlone()
	}
	return m, err
}

// take waits for one message, and takes none under a context that has ended: otherwise a
// loop would go on as long as there is a message.
func (s *Subscription) take(ctx context.Context, acknowledge bool) (*Message, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var next [1]item
	if _, err := s.pop(ctx, nil, 0, next[:], acknowledge); err != nil {
		return nil, err
	}
	return next[0].owned(), nil
}

// All returns an iterator over the messages. Each is acknowledged after the loop body,
// unless ManualAck is set. The loop ends without an error after Unsubscribe and Drain.
// When ctx or the Subscription ends otherwise, the last step yields a nil message and
// the reason.
func (s *Subscription) All(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		s.queue.beginLoop()
		defer s.queue.endLoop()
		for {
			m, err := s.take(ctx, false)
			if errors.Is(err, ErrUnsubscribed) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			goOn := s.yield(ctx, m, yield)
			s.handedOver(m)
			if !goOn {
				return
			}
		}
	}
}

// yield runs the loop body for m.
func (s *Subscription) yield(ctx context.Context, m *Message, body func(*Message, error) bool) (goOn bool) {
	if s.inbox.consuming == nil {
		return body(m, nil)
	}
	_ = s.inbox.consuming.around(ctx, OperationAll, s.filterOf(m.Topic), m, nil, func(context.Context) error {
		goOn = body(m, nil)
		return nil
	})
	return goOn
}

// Err returns why the Subscription ended. It is nil while the Subscription lives, and
// after Unsubscribe and Drain.
func (s *Subscription) Err() error {
	if err := s.queue.err(); !errors.Is(err, ErrUnsubscribed) {
		return err
	}
	return nil
}

// Granted returns the server's answer for each filter, in the order of the
// filters: the granted QoS or why it was refused.
func (s *Subscription) Granted() []ReasonCode {
	s.inbox.router.mu.Lock()
	defer s.inbox.router.mu.Unlock()
	var codes []ReasonCode
	for _, ack := range s.granted {
		codes = append(codes, ack.ReasonCode)
	}
	return codes
}

// Answers returns what Granted returns, with the reason string and the user properties
// of the SUBACK for each filter.
func (s *Subscription) Answers() []Ack {
	s.inbox.router.mu.Lock()
	defer s.inbox.router.mu.Unlock()
	return slices.Clone(s.granted)
}

// Held counts the QoS 1 and 2 messages that the Subscription has got and not
// acknowledged: those that wait for a consumer, and those that consumers hold.
func (s *Subscription) Held() Held { return s.inbox.holds.held(&s.holds) }

// Dropped returns how many messages for this Subscription were dropped: QoS 0 messages
// that found no space in the buffer, and messages of any QoS that the server sent again
// and again although they were malformed or larger than Config.MaximumPacketSize.
func (s *Subscription) Dropped() uint64 { return s.queue.lost() }
