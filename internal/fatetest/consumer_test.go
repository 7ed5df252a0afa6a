package fatetest

import (
	"context"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

// consuming is what a process does with the messages that it receives.
type consuming interface {
	received() uint64
	subscribe()
	// take takes the next message.
	take()
	// acknowledge acknowledges the message that was taken last.
	acknowledge()
	// refuse refuses it.
	refuse()
	// handle subscribes and begins to handle messages.
	handle()
	// handling waits until one is being handled.
	handling()
	kill()
}

// consumer is a Subscription and what became of its messages.
type consumer struct {
	ctx     context.Context
	client  *mqtt.Client
	sub     *mqtt.Subscription
	handler *call         // nil: there was no Handle
	entered chan struct{} // a message is being handled
	ends    chan struct{} // closed when the last was handled
	release chan struct{} // closed when handlers may return

	mu   sync.Mutex // guards what follows
	got  []*mqtt.Message
	last *mqtt.Message
}

func newConsumer(ctx context.Context, client *mqtt.Client) *consumer {
	return &consumer{ctx: ctx, client: client, entered: make(chan struct{}, 10), ends: make(chan struct{}), release: make(chan struct{})}
}

func (c *consumer) subscribeWith(manual bool) (err error) {
	c.sub, err = c.client.SubscribeWith(c.ctx, mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "t", QoS: mqtt.ExactlyOnce}}, ManualAck: manual,
	})
	return err
}

// next takes a message. It reports whether it was the last that is to be expected.
func (c *consumer) next() (end bool, err error) {
	m, err := c.sub.Next(c.ctx)
	if err != nil {
		return false, err
	}
	return c.note(m), nil
}

func (c *consumer) note(m *mqtt.Message) (end bool) {
	if string(m.Payload) == "end" {
		m.Ack()
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got, c.last = append(c.got, m), m
	return false
}

// rest takes what comes up to the end.
func (c *consumer) rest() error {
	for {
		if end, err := c.next(); end || err != nil {
			return err
		}
	}
}

func (c *consumer) refuse() error { return c.last.Refuse(mqtt.NotAuthorized, "not for us") }

// startHandling calls a function that returns when it is released.
func (c *consumer) startHandling() {
	c.handler = begin(c.ctx, func(ctx context.Context) error {
		return c.sub.Handle(ctx, func(ctx context.Context, m *mqtt.Message) error {
			if c.note(m) {
				close(c.ends)
				return nil
			}
			c.entered <- struct{}{}
			select {
			case <-c.release:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
}

// letGo lets handlers return.
func (c *consumer) letGo() {
	select {
	case <-c.release:
	default:
		close(c.release)
	}
}

// handedOver returns how often the message was handed over, and whether the last time
// was marked as a repeat.
func (c *consumer) handedOver() (n int, marked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got), len(c.got) > 0 && c.last.Duplicate
}

// consumerHere is a consumer in the process of the test.
type consumerHere struct {
	here
	*consumer
}

func (c consumerHere) received() uint64 { return c.consumer.client.Stats().Received }
func (c consumerHere) subscribe()       { require.NoError(c.T, c.subscribeWith(true)) }
func (c consumerHere) acknowledge()     { require.NoError(c.T, c.last.Ack()) }
func (c consumerHere) refuse()          { require.NoError(c.T, c.consumer.refuse()) }
func (c consumerHere) take() {
	_, err := c.next()
	require.NoError(c.T, err)
}

func (c consumerHere) handling() { <-c.entered }

func (c consumerHere) handle() {
	require.NoError(c.T, c.subscribeWith(false))
	c.startHandling()
}

func (c *child) received() (n uint64) {
	c.ask(wish{Do: "received"}, &n)
	return n
}

func (c *child) subscribe()   { c.wants("subscribe") }
func (c *child) take()        { c.wants("take") }
func (c *child) acknowledge() { c.wants("acknowledge") }
func (c *child) refuse()      { c.wants("refuse") }
func (c *child) handle()      { c.wants("handle") }
func (c *child) handling()    { c.wants("handling") }

func (c *child) wants(do string) {
	c.Helper()
	var fault string
	c.ask(wish{Do: do}, &fault)
	require.Empty(c, fault)
}

// consume does in a child what the test wants.
func (c *consumer) consume(do string) (err error) {
	switch do {
	case "subscribe":
		err = c.subscribeWith(true)
	case "take":
		_, err = c.next()
	case "acknowledge":
		err = c.last.Ack()
	case "refuse":
		err = c.refuse()
	case "handle":
		if err = c.subscribeWith(false); err == nil {
			c.startHandling()
		}
	case "handling":
		<-c.entered
	}
	return err
}
