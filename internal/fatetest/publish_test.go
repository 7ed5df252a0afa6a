package fatetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// outgoing is a message on its way to the server.
type outgoing struct {
	*world
	message  mqtt.Message
	accepted bool // the server has said that it takes the message
	call     *call
}

// call is a call that runs beside the test.
type call struct {
	done   chan struct{}
	err    error
	cancel context.CancelFunc
	waits  <-chan struct{} // closed when the call waits
}

// waitingContext tells when a call has begun to wait for its end.
type waitingContext struct {
	context.Context
	waits func()
}

func (c *waitingContext) Done() <-chan struct{} {
	c.waits()
	return c.Context.Done()
}

// begin runs f beside the test.
func (w *world) begin(f func(context.Context) error) *call {
	ctx, cancel := context.WithCancel(w.Context())
	waits := make(chan struct{})
	c := &call{done: make(chan struct{}), cancel: cancel, waits: waits}
	go func() {
		defer close(c.done)
		c.err = f(&waitingContext{ctx, sync.OnceFunc(func() { close(waits) })})
	}()
	return c
}

// over waits for the end of the call.
func (w *world) over(c *call) {
	w.Helper()
	select {
	case <-c.done:
	case <-time.After(w.patience()):
		require.FailNow(w, "the call did not return")
	}
}

// publish publishes the message beside the test, and returns when the call waits or is
// over.
func (o *outgoing) publish() {
	o.call = o.begin(func(ctx context.Context) error {
		if !o.async {
			return o.client.PublishMessage(ctx, &o.message)
		}
		d, err := o.client.PublishAsync(ctx, &o.message)
		if err != nil {
			return err
		}
		_, err = d.Wait(ctx)
		return err
	})
	select {
	case <-o.call.waits:
	case <-o.call.done:
	}
	if o.memory {
		synctest.Wait()
	}
}

// filler publishes a message that is in the way of others.
func (o *outgoing) filler() {
	_, err := o.client.PublishAsync(o.Context(), &mqtt.Message{Topic: "filler", QoS: mqtt.AtLeastOnce})
	require.NoError(o, err)
}

// state is what a message is doing: a row.
type state struct {
	qos    []mqtt.QoS
	before func(*outgoing) // nil: nothing to prepare
	reach  func(*outgoing)
}

var states = map[string]state{
	"QoS 0, waits for room in the queue": {[]mqtt.QoS{0}, oneInQueue, crowded},
	"waits for room in the queue":        {[]mqtt.QoS{1, 2}, oneInQueue, crowded},
	"QoS 0, waits for a connection":      {[]mqtt.QoS{0}, nil, offline},
	"waits for a connection":             {[]mqtt.QoS{1, 2}, nil, offline},
	"waits for others (quota)": {[]mqtt.QoS{1, 2}, func(o *outgoing) { o.cfg.Inflight = 1 }, func(o *outgoing) {
		o.hold(wire.TypePuback)
		o.filler()
		o.await("PUBACK", func() bool { return o.traffic.count(mqtttest.Down, wire.TypePuback) > 0 })
		o.publish()
	}},
	"QoS 0, being written": {[]mqtt.QoS{0}, nil, writing},
	"being written":        {[]mqtt.QoS{1, 2}, nil, writing},
	"waits for PUBACK":     {[]mqtt.QoS{1}, nil, waiting(wire.TypePuback)},
	"waits for PUBREC":     {[]mqtt.QoS{2}, nil, waiting(wire.TypePubrec)},
	"waits for PUBCOMP":    {[]mqtt.QoS{2}, func(o *outgoing) { o.accepted = true }, waiting(wire.TypePubcomp)},
}

func oneInQueue(o *outgoing) { o.cfg.QueueMessages = 1 }

// crowded is the state in which there is no connection, and another message takes the
// whole queue.
func crowded(o *outgoing) {
	o.offline()
	o.filler()
	o.publish()
}

func offline(o *outgoing) {
	o.offline()
	o.publish()
}

// waiting is the state in which the server has sent an acknowledgement that has not
// come. Nothing is harder: the server has the message, and the client cannot know.
func waiting(ack wire.PacketType) func(*outgoing) {
	return func(o *outgoing) {
		o.hold(ack)
		o.publish()
		o.await(ack.String(), func() bool { return o.traffic.count(mqtttest.Down, ack) > 0 })
	}
}

// writing is the state in which a part of the message has been written. What is in the
// way is larger than what the network takes before it looks whether it is half-open.
func writing(o *outgoing) {
	o.servers[0].HalfOpen("c")
	ahead, err := o.client.PublishAsync(o.Context(), &mqtt.Message{Topic: "filler", Payload: make([]byte, 1<<20+1)})
	require.NoError(o, err)
	_, err = ahead.Wait(o.Context())
	require.NoError(o, err)
	require.NoError(o, o.client.Flush(o.Context()))
	size := 1 << 20
	if !o.memory {
		size = 8 << 20 // more than the buffers of the system
	}
	o.message.Payload = bytes.Repeat([]byte("x"), size)
	sent := o.client.Stats().BytesSent
	o.publish()
	o.await("the first bytes", func() bool { return o.client.Stats().BytesSent > sent })
}

// event is what can happen: a column.
type event struct {
	only   func(variant) bool // nil: in every variant
	before func(*outgoing)    // nil: nothing to prepare
	happen func(*outgoing)
}

var events = map[string]event{
	"Publish: its context ends": {only: func(v variant) bool { return !v.async }, happen: func(o *outgoing) {
		o.call.cancel()
		o.over(o.call)
	}},
	"Delivery.Wait: its context ends": {only: func(v variant) bool { return v.async }, happen: func(o *outgoing) {
		o.call.cancel()
		o.over(o.call)
	}},
	"connection lost, session resumed": {happen: func(o *outgoing) { o.lose(o.servers[0].Drop) }},
	"connection lost, session gone":    {happen: func(o *outgoing) { o.lose(o.servers[0].LoseSession) }},
	"another server": {before: func(o *outgoing) { o.cfg.Servers = []string{o.url(1)} }, happen: func(o *outgoing) {
		o.moved = true
		o.refuse(o.servers[0])
		o.lose(o.servers[0].Drop)
	}},
	"limits shrank": {only: v5, happen: func(o *outgoing) {
		o.shrink()
		o.lose(o.servers[0].Drop)
	}},
	"the server refuses it": {before: func(o *outgoing) {
		o.denies = !o.accepted
		o.servers[0].Control(wire.TypePubcomp, func(p *mqtttest.Packet) {
			if p.Direction == mqtttest.Down && p.Version == wire.V5 {
				ack := *p.Packet.(*wire.Pubcomp)
				ack.ReasonCode = wire.PacketIdentifierNotFound // PUBCOMP has no other
				p.Replace(&ack)
			}
		})
	}, happen: func(*outgoing) {}},
	"it expires": {
		only:   func(v variant) bool { return v.memory }, // on sockets it takes its time
		before: func(o *outgoing) { o.message.MessageExpiryInterval = new(time.Second) },
		happen: func(*outgoing) { time.Sleep(2 * time.Second) },
	},
	"Close": {happen: func(o *outgoing) { o.client.Close() }},
	"Disconnect": {happen: func(o *outgoing) {
		ending := o.begin(func(ctx context.Context) error { return o.client.Disconnect(ctx) })
		select {
		case <-ending.waits:
		case <-ending.done:
		}
		o.heal()
		o.over(ending)
		o.ended = true
	}},
	"Disconnect: its context ends": {happen: func(o *outgoing) {
		ctx, cancel := context.WithCancel(o.Context())
		cancel()
		o.client.Disconnect(ctx)
	}},
}

func v5(v variant) bool { return v.version == mqtt.V5 }

// TestMessagesToTheServer provokes each cell of the section of that name.
func TestMessagesToTheServer(t *testing.T) {
	table := document(t)["Messages to the server"]
	require.NotNil(t, table)
	requireSame(t, table.rows, states)
	requireSame(t, table.columns, events)
	for row, s := range states {
		for column, e := range events {
			t.Run(row+"/"+column, func(t *testing.T) {
				t.Parallel()
				eachOutgoing(t, table.cells[row][column], s, e)
			})
		}
	}
}

func eachOutgoing(t *testing.T, cell string, s state, e event) {
	for _, v := range variants() {
		want := expected(cell, v.version)
		if want == impossible || e.only != nil && !e.only(v) {
			continue
		}
		for _, qos := range s.qos {
			v.run(t, fmt.Sprintf("QoS %d ", qos), func(w *world) { require.Equal(w, want, provoke(w, qos, s, e)) })
		}
	}
}

func variants() (list []variant) {
	for _, version := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		list = append(list, variant{true, version, false}, variant{true, version, true})
		list = append(list, variant{false, version, version == mqtt.V311}) // each method once
	}
	return list
}

// provoke returns what becomes of a message.
func provoke(w *world, qos mqtt.QoS, s state, e event) string {
	o := &outgoing{world: w, message: mqtt.Message{Topic: "t", Payload: bytes.Repeat([]byte("x"), 100), QoS: qos}}
	for _, before := range []func(*outgoing){s.before, e.before} {
		if before != nil {
			before(o)
		}
	}
	w.connect()
	s.reach(o)
	mark := w.traffic.len()
	e.happen(o)
	w.heal()
	w.over(o.call)
	w.settle()
	return fmt.Sprintf("%s ×%d, %s", w.traffic.fate(mark, w.ended), w.arrivals(), nameOf(o.call.err))
}
