package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/interop/drivers"
	"github.com/seed65a45251/mqtt/mqtttest/conformance"
)

// patience is how long one step may take.
const patience = 20 * time.Second

// clients are the drivers of all clients.
var clients []drivers.Driver

func TestMain(m *testing.M) {
	code, err := withDrivers(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withDrivers(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if clients, err = drivers.Build(context.Background(), ".", dir); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// message is an application message as every client knows it.
type message struct {
	Topic   string
	Payload string
	QoS     byte
	Retain  bool
}

// options are those of one connection.
type options struct {
	URL     string
	ID      string
	Version byte // protocol level
	Clean   bool
	Expiry  uint32 // seconds (5.0)
	Will    *message
}

// peer is a client in a process of its own.
type peer struct {
	driver   drivers.Driver
	received func(message)
	client   conformance.Client // nil: not running
	done     chan struct{}      // closed when all events of the client are through
}

func newPeer(t *testing.T, d drivers.Driver, received func(message)) *peer {
	p := &peer{driver: d, received: received}
	t.Cleanup(func() { _ = p.kill() })
	return p
}

func (p *peer) start(ctx context.Context) (err error) {
	if p.client != nil {
		return nil
	}
	if p.client, err = p.driver.Open(ctx); err != nil {
		return err
	}
	p.done = make(chan struct{})
	go p.listen(p.client.Events(), p.done)
	return nil
}

func (p *peer) listen(events <-chan conformance.Event, done chan<- struct{}) {
	defer close(done)
	for e := range events {
		if e.Event == "message" {
			p.received(message{e.Topic, string(e.PayloadBase64), byte(e.QoS), e.Retain})
		}
	}
}

func (p *peer) do(ctx context.Context, op conformance.Operation) (conformance.Answer, error) {
	if p.client == nil {
		return conformance.Answer{}, errors.New("not connected")
	}
	a, err := p.client.Do(ctx, op)
	if err == nil && !a.OK {
		err = fmt.Errorf("%s: %s", op.Op, a.Error)
	}
	return a, err
}

// connect returns whether the server had a session.
func (p *peer) connect(ctx context.Context, o options) (bool, error) {
	if err := p.start(ctx); err != nil {
		return false, err
	}
	op := conformance.Operation{
		Op: "connect", URL: o.URL, Version: int(o.Version), ID: o.ID, Clean: o.Clean, KeepAlive: 30, Expiry: o.Expiry,
	}
	if w := o.Will; w != nil {
		op.Will = &conformance.Will{Topic: w.Topic, Payload: w.Payload, QoS: int(w.QoS), Retain: w.Retain}
	}
	a, err := p.do(ctx, op)
	return a.Present, err
}

// subscribe returns the QoS that was granted.
func (p *peer) subscribe(ctx context.Context, filter string, qos byte) (byte, error) {
	a, err := p.do(ctx, conformance.Operation{
		Op: "subscribe", Filters: []conformance.Filter{{Filter: filter, QoS: int(qos)}},
	})
	if err != nil {
		return 0, err
	}
	if len(a.Codes) != 1 {
		return 0, fmt.Errorf("%d codes for one filter", len(a.Codes))
	}
	return byte(a.Codes[0]), nil
}

func (p *peer) unsubscribe(ctx context.Context, filter string) error {
	_, err := p.do(ctx, conformance.Operation{Op: "unsubscribe", Filters: []conformance.Filter{{Filter: filter}}})
	return err
}

// publish returns when the message is acknowledged, if its QoS asks for that.
func (p *peer) publish(ctx context.Context, m message) error {
	_, err := p.do(ctx, conformance.Operation{
		Op: "publish", Topic: m.Topic, Payload: m.Payload, QoS: int(m.QoS), Retain: m.Retain, Wait: true,
	})
	return err
}

// disconnect ends the connection with DISCONNECT.
func (p *peer) disconnect(ctx context.Context) error {
	_, err := p.do(ctx, conformance.Operation{Op: "disconnect"})
	return err
}

// kill ends the program; the system ends its connection.
func (p *peer) kill() error {
	if p.client == nil {
		return nil
	}
	err := p.client.Close()
	<-p.done
	p.client = nil
	return err
}

// eachClient runs a test for every client and every version that it has.
func eachClient(t *testing.T, test func(t *testing.T, d drivers.Driver, version byte)) {
	for _, d := range clients {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			c, err := d.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			versions := slices.Clone(c.Hello().Versions)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			for _, v := range versions {
				t.Run(versionNames[byte(v)], func(t *testing.T) { test(t, d, byte(v)) })
			}
		})
	}
}
