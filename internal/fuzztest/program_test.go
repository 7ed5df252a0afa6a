package fuzztest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

// message is one that the program publishes. Its payload is like no other.
type message struct {
	topic  string
	qos    mqtt.QoS
	ids    []uint16 // with which it was on the wire; guarded by server.mu
	waited *call    // the call that says how it ended; nil: none
}

// call is a call of the program that is under way or over.
type call struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // when done is closed
}

// program uses a client as a program does that knows nothing of the server.
type program struct {
	s      *server
	client *mqtt.Client
	ctx    context.Context
	stop   context.CancelFunc // ends ctx
	calls  []*call
	subs   chan *mqtt.Subscription // made, and not yet known to the program
	known  []*mqtt.Subscription

	mu   sync.Mutex
	held []*mqtt.Message
	got  map[string]int // messages, by payload and Subscription
}

var errHandler = errors.New("the function failed")

// begin begins a call under a context that may end.
func (p *program) begin(name string, limit time.Duration, f func(ctx context.Context) error) *call {
	ctx, cancel := context.WithCancel(p.ctx)
	if limit > 0 {
		ctx, cancel = context.WithTimeout(p.ctx, limit)
	}
	c := &call{name: name, cancel: cancel, done: make(chan struct{})}
	p.calls = append(p.calls, c)
	go func() {
		defer close(c.done)
		c.err = f(ctx)
	}()
	return c
}

// message returns a message with some content.
func (p *program) message(c *Choices) *mqtt.Message {
	m := new(mqtt.Message)
	if c.N(4) == 0 {
		c.Fill(m)
	}
	m.Topic, m.QoS = Pick(c, "a", "a/b", "b", "long/"+strings.Repeat("t", 100)), c.qos()
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	m.Payload = append(fmt.Appendf(nil, "m%d-", len(p.s.published)), make([]byte, Pick(c, 0, 0, 0, 100, 5000, 300_000))...)
	p.s.published[string(m.Payload)] = &message{topic: m.Topic, qos: m.QoS}
	return m
}

// publish publishes by one of the ways.
func (p *program) publish(c *Choices) {
	m := p.message(c)
	how, limit := c.N(4), p.limit(c)
	waited := p.begin("publish", limit, func(ctx context.Context) error {
		switch how {
		case 0:
			return p.client.Publish(ctx, m.Topic, m.Payload, m.QoS)
		case 1:
			return p.client.PublishMessage(ctx, m)
		}
		d, err := p.client.PublishAsync(ctx, m)
		if err != nil {
			return err
		}
		_, err = d.Wait(ctx)
		return err
	})
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.s.published[string(m.Payload)].waited = waited
}

// limit returns how long a call may take.
func (p *program) limit(c *Choices) time.Duration {
	return Pick(c, 0, time.Hour, time.Second, time.Minute, time.Nanosecond)
}

// subscribe subscribes and consumes in one of the ways.
func (p *program) subscribe(c *Choices) {
	var o mqtt.SubscribeOptions
	for range 1 + c.N(2) {
		o.Filters = append(o.Filters, mqtt.Filter{Filter: Pick(c, "a", "a/+", "#", "b", "$share/g/a", "$share/g/#", "$queue/a", "secret/x"), QoS: c.qos()})
	}
	way := c.N(256)
	o.ManualAck, o.Overflow = way&8 != 0, mqtt.Overflow(way>>4%3)
	o.BufferMessages, o.BufferBytes = Pick(c, 0, 1, 2), Pick(c, 0, 100)
	o.OwnConnection = way>>6 == 3
	if way&32 != 0 {
		o.Filters[0].NoLocal = true
	}
	how, name := way&7, "subscribe"
	if o.OwnConnection {
		name = subscribeApart
	}
	if how >= 6 {
		o.Concurrency, o.Unordered, o.Lend = c.N(4), c.Bool(), c.Bool()
		p.begin(name, p.limit(c), func(ctx context.Context) error { return p.client.Handle(ctx, o, p.handle) })
		return
	}
	o.Subscribed = func(s *mqtt.Subscription) { p.subs <- s }
	p.begin(name, p.limit(c), func(ctx context.Context) error {
		sub, err := p.client.SubscribeWith(ctx, o)
		if err != nil {
			return err
		}
		return p.consume(sub, how)
	})
}

// subscribeApart is a call that makes a connection of its own, and fails as Connect does.
const subscribeApart = "subscribe with a connection"

// consume takes the messages of s until it ends or the program does.
func (p *program) consume(s *mqtt.Subscription, how int) error {
	ctx := p.ctx
	switch how {
	case 0:
		for m := range s.Stream(ctx) {
			p.take(s, m)
		}
		return s.Err()
	case 1:
		for m := range s.Messages() {
			p.take(s, m)
		}
		return s.Err()
	case 2:
		for m, err := range s.All(ctx) {
			if err != nil {
				return err
			}
			p.take(s, m)
		}
		return nil
	case 3:
		for {
			m, err := s.Next(ctx)
			if err != nil {
				return err
			}
			p.take(s, m)
		}
	case 4:
		return s.HandleBatches(ctx, mqtt.BatchOptions{Messages: 3, Wait: time.Second}, func(_ context.Context, all []*mqtt.Message) error {
			for _, m := range all {
				p.take(s, m)
			}
			return nil
		})
	}
	return nil // nobody takes them
}

// handle is the function of Handle. It fails for a few messages.
func (p *program) handle(_ context.Context, m *mqtt.Message) error {
	p.take(nil, m.Clone())
	if strings.HasSuffix(string(m.Payload), "fails") {
		return errHandler
	}
	return nil
}

// take notes that a message has come.
func (p *program) take(s *mqtt.Subscription, m *mqtt.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got[fmt.Sprintf("%p %s", s, m.Payload)]++
	if len(p.held) < 100 {
		p.held = append(p.held, m)
	}
}

// act does one of the things that a program does.
func (p *program) act(c *Choices) {
	p.learn()
	what := c.N(16)
	if what >= 10 && what < 13 {
		p.answer(c, what)
		return
	}
	limit := p.limit(c)
	switch what {
	case 0:
		p.begin("ping", limit, func(ctx context.Context) error { _, err := p.client.Ping(ctx); return err })
	case 1:
		p.begin("flush", limit, p.client.Flush)
	case 2:
		p.begin("reconnect", limit, p.client.Reconnect)
	case 3:
		p.begin("reauthenticate", limit, p.client.Reauthenticate)
	case 4:
		m := p.message(c)
		m.ResponseTopic = Pick(c, "", "response", "a")
		p.begin("request", limit, func(ctx context.Context) error { _, err := p.client.Request(ctx, m); return err })
	case 5:
		filter := Pick(c, "a", "#", "a/+")
		p.begin("unsubscribe", limit, func(ctx context.Context) error { return p.client.Unsubscribe(ctx, filter) })
	case 6:
		_, _ = p.client.Route(Pick(c, "a", "#", "secret/x"))
	case 7:
		p.begin("wait", limit, p.client.WaitConnected)
	case 8, 9:
		p.endSubscription(c, limit)
	case 13:
		p.respond(limit)
	case 14:
		if c.N(4) == 0 {
			p.begin("disconnect", limit, func(ctx context.Context) error { return p.client.Disconnect(ctx) })
		}
	default:
		if len(p.calls) > 0 {
			p.calls[c.N(len(p.calls))%len(p.calls)].cancel()
		}
	}
}

// respond answers requests with nothing.
func (p *program) respond(limit time.Duration) {
	p.begin("respond", limit, func(ctx context.Context) error {
		return p.client.Respond(ctx, "a/b", func(context.Context, *mqtt.Message) (*mqtt.Message, error) { return nil, nil })
	})
}

// learn takes the Subscriptions that were made.
func (p *program) learn() {
	for {
		select {
		case s := <-p.subs:
			p.known = append(p.known, s)
		default:
			return
		}
	}
}

func (p *program) endSubscription(c *Choices, limit time.Duration) {
	if len(p.known) == 0 {
		return
	}
	s := p.known[c.N(len(p.known))]
	if c.Bool() {
		p.begin("drain", limit, s.Drain)
	} else {
		p.begin("unsubscribe", limit, s.Unsubscribe)
	}
}

// answer acknowledges or refuses a message that the program holds.
func (p *program) answer(c *Choices, what int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.held) == 0 {
		return
	}
	i := c.N(len(p.held))
	m := p.held[i]
	if what == 12 {
		_ = m.Refuse(Pick(c, wire.NotAuthorized, wire.QuotaExceeded, wire.Success), c.Text())
		return
	}
	_ = m.Ack()
	p.held = append(p.held[:i:i], p.held[i+1:]...)
}

// documented reports whether docs/errors.md has such an error.
func (p *program) documented(err error) bool {
	for _, known := range []error{
		nil, context.Canceled, context.DeadlineExceeded, errHandler, mqtt.ErrInvalid, mqtt.ErrClosed, mqtt.ErrConnectionLost,
		mqtt.ErrNotConnected, mqtt.ErrExpired, mqtt.ErrUndeliverable, mqtt.ErrSessionLost, mqtt.ErrUnsubscribed,
		mqtt.ErrQueueFull, mqtt.ErrStore, mqtt.ErrAuthenticator, p.client.Err(),
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	_, refused := errors.AsType[*mqtt.ServerError](err)
	_, beyond := errors.AsType[*mqtt.LimitError](err)
	_, field := errors.AsType[*wire.FieldError](err)
	_, left := errors.AsType[*mqtt.UnfinishedError](err)
	_, response := errors.AsType[*mqtt.ResponseError](err)
	return refused || beyond || field || left || response
}
