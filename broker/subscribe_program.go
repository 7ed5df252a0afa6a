package broker

import (
	"fmt"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt/match"
	"github.com/seed65a45251/mqtt/wire"
)

// defaultBuffer is how many messages wait in a Subscription by default.
const defaultBuffer = 256

// Subscription is a subscription of the program itself, without a client.
// [Broker.Subscribe] makes one.
type Subscription struct {
	b     *Broker
	route *subscription

	mu       sync.Mutex // guards what follows
	messages chan *wire.Publish
	closed   bool
	dropped  uint64
}

// Subscribe gives the program the messages that match filter, beginning with the
// retained ones. The filter may be a shared one. No hook is asked.
//
// The broker does not wait for the program: while buffer messages wait in the
// channel, further ones are dropped and counted. Zero means 256.
func (b *Broker) Subscribe(filter string, buffer int) (*Subscription, error) {
	if err := match.ValidateFilter(filter); err != nil {
		return nil, fmt.Errorf("mqtt: subscribe: %w", err)
	}
	if b.cfg.tooDeep(filter) {
		return nil, fmt.Errorf("mqtt: subscribe: %w", wire.TopicFilterInvalid)
	}
	if buffer <= 0 {
		buffer = defaultBuffer
	}
	sub := &Subscription{b: b, messages: make(chan *wire.Publish, buffer)}
	var r router
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, b.ended()
	}
	b.created++
	stand := newClient(&b.hub, "", b.created) // keeps it apart from all others
	stand.online.Store(true)
	sub.route = &subscription{client: stand, local: sub, whole: filter, qos: wire.ExactlyOnce, retainAsPublished: true}
	b.addRouteLocked(sub.route, true)
	b.locals[sub] = struct{}{}
	if sub.route.group == nil {
		sub.route.walk = b.newWalkLocked(sub.route)
		b.sendRetainedLocked(sub.route, &r, now)
	}
	return sub, nil
}

// Messages returns the channel of the messages, each as it was published. Payload and
// properties are shared with other receivers and must not be changed. The channel
// closes with [Subscription.Close] or when the broker ends; messages that are already
// in it can still be received.
func (s *Subscription) Messages() <-chan *wire.Publish { return s.messages }

// Dropped returns how many messages were dropped because the buffer was full.
func (s *Subscription) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Close ends the subscription.
func (s *Subscription) Close() error {
	s.b.mu.Lock()
	if _, open := s.b.locals[s]; open {
		delete(s.b.locals, s)
		s.b.removeRouteLocked(s.route)
	}
	s.b.mu.Unlock()
	s.end()
	return nil
}

func (s *Subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.messages)
	}
}

// offer never waits. No other goroutine sends to the channel.
func (s *Subscription) offer(m *message, retain bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
	case len(s.messages) == cap(s.messages):
		s.dropped++
		s.b.counts.dropped.Add(1)
	default:
		kept := m.keep().publish
		kept.Retain = retain
		s.messages <- &kept
		s.b.counts.sent.Add(1)
	}
}
