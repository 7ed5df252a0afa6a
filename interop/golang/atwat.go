package main

import (
	"context"
	"errors"
	"io"
	"time"

	atwat "github.com/at-wat/mqtt-go"

	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// atwatClient is github.com/at-wat/mqtt-go: a BaseClient, which has no session, or
// with reconnect a ReconnectClient.
type atwatClient struct {
	reports *reports
	life    *life
	client  atwat.Client
	base    *atwat.BaseClient // of this connection
	cancel  context.CancelFunc
	wrote   chan struct{} // has an element when something was written
}

func newAtWat() *client {
	return newClient(conformance.Hello{
		Name: "at-wat", Library: version("github.com/at-wat/mqtt-go"),
		// It has a level 3, but writes the protocol name of 3.1.1 with it.
		Versions: []int{4}, Transports: []string{"mqtt", "ws"}, Features: []string{"reconnect"},
	}, func(r *reports) library { return &atwatClient{reports: r} })
}

func (w *atwatClient) connect(ctx context.Context, op conformance.Operation) (conformance.Answer, error) {
	var a conformance.Answer
	if op.Username != nil && *op.Username == "" || op.Password != nil && *op.Password == "" {
		return a, unsupported("there is no empty user name or password")
	}
	w.drop()
	l := w.reports.begin()
	w.life = l
	life, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	var err error
	if op.Reconnect {
		a.Present, err = w.reconnecting(ctx, l, op)
	} else {
		a.Present, err = w.once(ctx, life, l, op)
	}
	if refused, ok := errors.AsType[*atwat.ConnectionError](err); ok {
		return a, refusal{error: err, code: int(refused.Code)}
	}
	if err == nil && !op.Reconnect {
		w.reports.up(l, a.Present)
	}
	return a, err
}

func (w *atwatClient) once(ctx, life context.Context, l *life, op conformance.Operation) (bool, error) {
	base, err := w.dial(ctx, l, op)
	if err != nil {
		return false, err
	}
	base.Handle(w.handler(l))
	w.client = base
	present, err := base.Connect(ctx, op.ID, connectOptions(op)...)
	if err != nil {
		_ = base.Close() // who dials closes
		return false, err
	}
	if op.KeepAlive > 0 {
		interval := time.Duration(op.KeepAlive) * time.Second
		go func() {
			if err := atwat.KeepAlive(life, base, interval, interval); err != nil && life.Err() == nil {
				base.SetErrorOnce(err)
				_ = base.Close()
			}
		}()
	}
	return present, nil
}

func (w *atwatClient) reconnecting(ctx context.Context, l *life, op conformance.Operation) (bool, error) {
	dialer := atwat.DialerFunc(func(ctx context.Context) (*atwat.BaseClient, error) { return w.dial(ctx, l, op) })
	c, err := atwat.NewReconnectClient(dialer,
		atwat.WithReconnectWait(100*time.Millisecond, time.Second), atwat.WithTimeout(patience))
	if err != nil {
		return false, err
	}
	c.Handle(w.handler(l))
	w.client = c
	return c.Connect(ctx, op.ID, connectOptions(op)...)
}

// dial makes a connection whose writes are noticed: it is how one knows that a message
// is on its way which is not acknowledged.
func (w *atwatClient) dial(ctx context.Context, l *life, op conformance.Operation) (*atwat.BaseClient, error) {
	base, err := atwat.DialContext(ctx, op.URL, atwat.WithConnStateHandler(func(s atwat.ConnState, err error) {
		switch s {
		case atwat.StateActive:
			if op.Reconnect {
				w.reports.up(l, false)
			}
		case atwat.StateClosed:
			w.reports.down(l, 0, err, !op.Reconnect)
		case atwat.StateNew, atwat.StateDisconnected:
		}
	}))
	if err != nil {
		return nil, err
	}
	w.wrote = make(chan struct{}, 1)
	base.Transport = noticed{base.Transport, w.wrote}
	w.base = base
	return base, nil
}

type noticed struct {
	io.ReadWriteCloser
	wrote chan<- struct{}
}

func (n noticed) Write(b []byte) (int, error) {
	count, err := n.ReadWriteCloser.Write(b)
	select {
	case n.wrote <- struct{}{}:
	default:
	}
	return count, err
}

func (w *atwatClient) handler(l *life) atwat.Handler {
	return atwat.HandlerFunc(func(m *atwat.Message) {
		w.reports.report(l, conformance.Event{
			Event: "message", Topic: m.Topic, PayloadBase64: m.Payload, QoS: int(m.QoS), Retain: m.Retain, Dup: m.Dup,
		})
	})
}

func connectOptions(op conformance.Operation) []atwat.ConnectOption {
	opts := []atwat.ConnectOption{
		atwat.WithCleanSession(op.Clean), atwat.WithProtocolLevel(atwat.ProtocolLevel(op.Version)),
		atwat.WithKeepAlive(uint16(op.KeepAlive)),
	}
	if op.Username != nil || op.Password != nil {
		opts = append(opts, atwat.WithUserNamePassword(textOf(op.Username), textOf(op.Password)))
	}
	if will := op.Will; will != nil {
		opts = append(opts, atwat.WithWill(&atwat.Message{
			Topic: topicOf(will.Topic, will.TopicBase64), Payload: []byte(will.Payload),
			QoS: atwat.QoS(will.QoS), Retain: will.Retain,
		}))
	}
	return opts
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (w *atwatClient) publish(ctx context.Context, op conformance.Operation) (int, error) {
	if w.client == nil {
		return 0, errNotConnected
	}
	m := &atwat.Message{
		Topic: topicOf(op.Topic, op.TopicBase64), Payload: payloadOf(op), QoS: atwat.QoS(op.QoS), Retain: op.Retain,
	}
	_, queues := w.client.(atwat.ReconnectClient)
	switch {
	case queues && op.Wait && op.QoS > 0:
		return 0, unsupported("a client that reconnects does not tell when a message is acknowledged")
	case queues || op.Wait:
		return 0, w.client.Publish(ctx, m)
	}
	select {
	case <-w.wrote:
	default:
	}
	sent := make(chan error, 1)
	client := w.client
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		sent <- client.Publish(ctx, m)
	}()
	select {
	case <-w.wrote:
		return 0, nil
	case err := <-sent:
		return 0, err
	}
}

func (w *atwatClient) subscribe(ctx context.Context, op conformance.Operation) ([]int, error) {
	if w.client == nil {
		return nil, errNotConnected
	}
	subs := make([]atwat.Subscription, len(op.Filters))
	for i, filter := range filtersOf(op) {
		subs[i] = atwat.Subscription{Topic: filter, QoS: atwat.QoS(op.Filters[i].QoS)}
	}
	granted, err := w.client.Subscribe(ctx, subs...)
	if err != nil {
		return nil, err
	}
	var codes []int
	for _, g := range granted {
		codes = append(codes, int(g.QoS))
	}
	return codes, nil
}

func (w *atwatClient) unsubscribe(ctx context.Context, op conformance.Operation) ([]int, error) {
	if w.client == nil {
		return nil, errNotConnected
	}
	return nil, w.client.Unsubscribe(ctx, filtersOf(op)...)
}

func (w *atwatClient) disconnect(ctx context.Context, _ conformance.Operation) error {
	if w.client == nil {
		return errNotConnected
	}
	return w.client.Disconnect(ctx)
}

func (w *atwatClient) ping(ctx context.Context) error {
	if w.client == nil {
		return errNotConnected
	}
	return w.client.Ping(ctx)
}

func (w *atwatClient) reauthenticate(context.Context) error { return unsupported("there is no AUTH") }

// drop ends the connection.
func (w *atwatClient) drop() {
	w.reports.end()
	if w.cancel != nil {
		w.cancel()
	}
	if c, ok := w.client.(atwat.ReconnectClient); ok {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = c.Disconnect(ctx) // it stops to reconnect
		cancel()
	}
	if w.base != nil {
		_ = w.base.Close()
	}
	w.client, w.base, w.cancel = nil, nil, nil
}

func (w *atwatClient) reset() { w.drop() }
