package fatetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// outgoing is a message on its way to the server.
type outgoing struct {
	*world
	message  message
	accepted bool  // the server has said that it takes the message
	call     *call // nil: in a process of its own
}

// publish publishes the message beside the test, and returns when that waits or is over.
func (o *outgoing) publish() {
	o.call = o.process.publish(o.message)
	if o.memory {
		synctest.Wait()
	}
}

// filler publishes a message that is in the way of others.
func (o *outgoing) filler() { o.process.ahead(message{Topic: "filler", QoS: mqtt.AtLeastOnce}) }

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
	o.message.Blocked = true
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
	o.process.ahead(message{Topic: "filler", Size: 1<<20 + 1})
	o.message.Size = 1 << 20
	if !o.memory {
		o.message.Size = 8 << 20 // more than the buffers of the system
	}
	sent := o.process.bytesSent()
	o.publish()
	o.await("the first bytes", func() bool { return o.process.bytesSent() > sent })
}

// event is what can happen: a column.
type event struct {
	only   func(variant) bool // nil: in every variant
	before func(*outgoing)    // nil: nothing to prepare
	happen func(*outgoing)
}

var events = map[string]event{
	// On a real disk nobody knows whether the record is being written at the moment.
	"Publish: its context ends": {only: func(v variant) bool { return !v.async && (v.memory || !v.stored) }, happen: func(o *outgoing) {
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
		before: func(o *outgoing) { o.message.Expires = time.Second },
		happen: func(*outgoing) { time.Sleep(2 * time.Second) },
	},
	"killed": killed(func(*mqtttest.Broker) {}),
	"Close":  {happen: func(o *outgoing) { o.client.Close() }},
	"Disconnect": {happen: func(o *outgoing) {
		ending := begin(o.Context(), func(ctx context.Context) error { return o.client.Disconnect(ctx) })
		ending.awaitWaiting()
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

// storeEvents are those that there are only with a Store.
var storeEvents = map[string]event{
	"killed, session gone": killed(func(b *mqtttest.Broker) { b.LoseSession("c") }),
	"the disk is full for a while": {only: func(v variant) bool { return v.memory }, happen: func(o *outgoing) {
		o.disk.Break(store.ErrFull)
		o.heal()
		time.Sleep(time.Second)
		o.disk.Break(nil)
	}},
}

func v5(v variant) bool { return v.version == mqtt.V5 }

// killed is the end of the process, and a later one with the same client identifier.
func killed(end func(*mqtttest.Broker)) event {
	return event{
		only: func(v variant) bool { return v.memory || !v.async }, // one child is enough
		before: func(o *outgoing) {
			o.cfg.Resume, o.mortal = true, true
			o.message.Async = o.message.Async || !o.memory // what is not accepted has no fate
		},
		happen: func(o *outgoing) {
			o.process.kill()
			end(o.servers[0])
		},
	}
}

// TestMessagesToTheServer provokes each cell of the sections about them.
func TestMessagesToTheServer(t *testing.T) {
	tables := document(t)
	for _, stored := range []bool{false, true} {
		section := "Messages to the server"
		these := maps.Clone(events)
		if stored {
			section += ", with a Store"
			maps.Copy(these, storeEvents)
		}
		table := tables[section]
		require.NotNil(t, table, section)
		requireSame(t, table.rows, states)
		requireSame(t, table.columns, these)
		for row, s := range states {
			for column, e := range these {
				t.Run(section+"/"+row+"/"+column, func(t *testing.T) {
					t.Parallel()
					eachOutgoing(t, table.cells[row][column], stored, s, e)
				})
			}
		}
	}
}

func eachOutgoing(t *testing.T, cell string, stored bool, s state, e event) {
	tested := cell == impossible
	defer func() { require.True(t, tested, "a cell without a test") }()
	for _, v := range variants() {
		v.stored = stored
		if e.only != nil && !e.only(v) {
			continue
		}
		for _, qos := range s.qos {
			want := expected(cell, v.version, qos)
			if want == impossible {
				continue
			}
			tested = true
			v.run(t, fmt.Sprintf("QoS %d ", qos), func(w *world) { require.Equal(w, want, provoke(w, qos, s, e)) })
		}
	}
}

func variants() (list []variant) {
	for _, version := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		list = append(list, variant{memory: true, version: version}, variant{memory: true, version: version, async: true})
		list = append(list, variant{version: version, async: version == mqtt.V311}) // each method once
	}
	return list
}

// checkTold checks that Config.Undelivered was told of the message if PublishAsync had
// accepted it and it has failed for good.
func (o *outgoing) checkTold() {
	o.client.Close() // waits for that
	err := o.call.err
	failed := err != nil && !errors.Is(err, context.Canceled)
	select {
	case <-o.call.accepted:
	default:
		failed = false // nobody else has to be told
	}
	if o.stored && o.message.QoS > 0 && !o.message.NotStored && errors.Is(err, mqtt.ErrClosed) {
		failed = false // it is in the Store
	}
	require.Equal(o, failed, slices.Contains(o.told(), o.message.Size), "Undelivered: %v", err)
}

// provoke returns what becomes of a message.
func provoke(w *world, qos mqtt.QoS, s state, e event) string {
	o := &outgoing{world: w, message: message{Topic: "t", Size: 100, QoS: qos, Async: w.async}}
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
	var result string
	if w.mortal {
		result = w.succeed()
	} else {
		defer o.checkTold()
		w.over(o.call)
		result = nameOf(o.call.err)
		w.settle()
		if w.stored && w.client.Err() != nil && !w.ended {
			w.succeed()
		}
	}
	return fmt.Sprintf("%s ×%d, %s", w.traffic.fate(mark, w.ended), w.arrivals(), result)
}
