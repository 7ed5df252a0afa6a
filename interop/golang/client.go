package main

import (
	"context"
	"errors"
	"time"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// The suites are to see what a library does of itself, so an operation waits longer than
// they do.
const (
	patience       = time.Minute
	connectTimeout = 22 * time.Second // between once and twice their longest patience
)

// library is what a driver does for its library. An operation that the library has no
// way to do returns an error of type unsupported.
type library interface {
	connect(ctx context.Context, op conformance.Operation) (conformance.Answer, error)
	// publish returns the code of the acknowledgement. With op.Wait it waits for it.
	publish(ctx context.Context, op conformance.Operation) (code int, err error)
	subscribe(ctx context.Context, op conformance.Operation) (codes []int, err error)
	unsubscribe(ctx context.Context, op conformance.Operation) (codes []int, err error)
	disconnect(ctx context.Context, op conformance.Operation) error
	ping(ctx context.Context) error
	reauthenticate(ctx context.Context) error
	// reset drops the connection and the session.
	reset()
}

// unsupported says what the library has no way to do.
type unsupported string

func (u unsupported) Error() string { return string(u) }

// refusal is an error that came with a code of the server.
type refusal struct {
	error
	code       int
	properties *conformance.Properties
}

var errNotConnected = errors.New("not connected")

// client is a library as a conformance.Client.
type client struct {
	library
	hello  conformance.Hello
	events chan conformance.Event
}

func newClient(hello conformance.Hello, open func(*reports) library) *client {
	c := &client{hello: hello, events: make(chan conformance.Event, 1000)}
	c.library = open(&reports{events: c.events})
	return c
}

// Hello implements conformance.Client.
func (c *client) Hello() conformance.Hello { return c.hello }

// Events implements conformance.Client. The channel stays open: a library may report
// at any time.
func (c *client) Events() <-chan conformance.Event { return c.events }

// Close implements conformance.Client.
func (c *client) Close() error {
	c.reset()
	return nil
}

// Do implements conformance.Client.
func (c *client) Do(ctx context.Context, op conformance.Operation) (a conformance.Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch op.Op {
	case "connect":
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		a, err = c.connect(ctx, op)
	case "publish":
		a.Code, err = c.publish(ctx, op)
	case "subscribe":
		a.Codes, err = c.subscribe(ctx, op)
	case "unsubscribe":
		a.Codes, err = c.unsubscribe(ctx, op)
	case "disconnect":
		err = c.disconnect(ctx, op)
	case "ping":
		err = c.ping(ctx)
	case "reauthenticate":
		err = c.reauthenticate(ctx)
	case "reset":
		c.reset()
	default:
		err = unsupported("no such operation")
	}
	return answerOf(a, err), nil
}

func answerOf(a conformance.Answer, err error) conformance.Answer {
	if err == nil {
		a.OK = true
		return a
	}
	a.Error = err.Error()
	_, a.Unsupported = errors.AsType[unsupported](err)
	if r, ok := errors.AsType[refusal](err); ok {
		a.Code, a.Properties = r.code, r.properties
	}
	return a
}

// payloadOf returns the payload of a publish.
func payloadOf(op conformance.Operation) []byte {
	if op.PayloadBase64 != nil {
		return op.PayloadBase64
	}
	return []byte(op.Payload)
}

func topicOf(text string, raw []byte) string {
	if raw != nil {
		return string(raw)
	}
	return text
}

func filtersOf(op conformance.Operation) []string {
	filters := make([]string, len(op.Filters))
	for i, f := range op.Filters {
		filters[i] = topicOf(f.Filter, f.FilterBase64)
	}
	return filters
}
