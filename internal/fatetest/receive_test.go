package fatetest

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// incoming is a message on its way to a consumer.
type incoming struct {
	*world
	qos       mqtt.QoS
	consuming consuming
	consumer  *consumer // nil: in a process of its own
	acked     bool      // the message was acknowledged or refused before the event
	ack       *error    // what Ack has returned since; nil: it was not called
	ended     bool      // there is no Subscription any more
	granted   int       // SUBACKs before the server lost the subscription; 0: it did not
}

// lose ends the connection in the way of end, and waits for the next: what the consumer
// does meanwhile is not to be lost with the old one.
func (i *incoming) lose(end func(...string)) {
	before := i.traffic.count(mqtttest.Down, wire.TypeConnack)
	end("c")
	i.await("the next connection", func() bool { return i.traffic.count(mqtttest.Down, wire.TypeConnack) > before })
}

// arrive has the server send the message, and waits until the client has it.
func (i *incoming) arrive() {
	i.servers[0].Publish(&wire.Publish{Topic: "t", Payload: []byte("x"), QoS: i.qos})
	i.await("the message", func() bool { return i.consuming.received() > 0 })
}

// incomingState is what a message from the server is doing: a row.
type incomingState struct {
	qos     []mqtt.QoS
	earlier bool // the subscription is that of an earlier process
	reach   func(*incoming)
}

var incomingStates = map[string]incomingState{
	"QoS 0, waits for a consumer": {qos: []mqtt.QoS{0}, reach: waitingForConsumer},
	"waits for a consumer":        {qos: []mqtt.QoS{1, 2}, reach: waitingForConsumer},
	"handed over, not acknowledged": {qos: []mqtt.QoS{1, 2}, reach: func(i *incoming) {
		waitingForConsumer(i)
		i.consuming.take()
	}},
	"being handled": {qos: []mqtt.QoS{1, 2}, reach: func(i *incoming) {
		i.consuming.handle()
		i.arrive()
		i.consuming.handling()
	}},
	"QoS 1, acknowledged, and the server does not know": {qos: []mqtt.QoS{1}, reach: answered(wire.TypePuback, consuming.acknowledge)},
	"QoS 2, acknowledged, and the server does not know": {qos: []mqtt.QoS{2}, reach: answered(wire.TypePubrec, consuming.acknowledge)},
	"QoS 1, refused, and the server does not know":      {qos: []mqtt.QoS{1}, reach: answered(wire.TypePuback, consuming.refuse)},
	"QoS 2, refused, and the server does not know":      {qos: []mqtt.QoS{2}, reach: answered(wire.TypePubrec, consuming.refuse)},
	"waits for PUBREL": {qos: []mqtt.QoS{2}, reach: func(i *incoming) {
		i.hold(wire.TypePubrel)
		settled(i, consuming.acknowledge)
		i.await("PUBREL", func() bool { return i.traffic.count(mqtttest.Down, wire.TypePubrel) > 0 })
	}},
	"unclaimed": {qos: []mqtt.QoS{1, 2}, earlier: true, reach: func(i *incoming) { i.arrive() }},
}

func waitingForConsumer(i *incoming) {
	i.consuming.subscribe()
	i.arrive()
}

// answered is the state in which the answer is on its way to the server.
func answered(answer wire.PacketType, settle func(consuming)) func(*incoming) {
	return func(i *incoming) {
		i.holdFrom(mqtttest.Up, answer)
		settled(i, settle)
		i.await(answer.String(), func() bool { return i.traffic.count(mqtttest.Up, answer) > 0 })
	}
}

// settled takes the message, and acknowledges or refuses it.
func settled(i *incoming, settle func(consuming)) {
	waitingForConsumer(i)
	i.consuming.take()
	settle(i.consuming)
	i.acked = true
}

// incomingEvent is what can happen: a column.
type incomingEvent struct {
	only   func(variant) bool // nil: in every variant
	before func(*world)       // nil: nothing to prepare
	happen func(*incoming)
}

var incomingEvents = map[string]incomingEvent{
	"connection lost, session resumed": {happen: func(i *incoming) { i.lose(i.servers[0].Drop) }},
	"connection lost, session gone": {happen: func(i *incoming) {
		i.granted = i.traffic.count(mqtttest.Down, wire.TypeSuback)
		i.lose(i.servers[0].LoseSession)
	}},
	"another server": {before: func(w *world) { w.cfg.Servers = []string{w.url(1)} }, happen: func(i *incoming) {
		i.granted = i.traffic.count(mqtttest.Down, wire.TypeSuback)
		i.moved = true
		i.refuse(i.servers[0])
		i.lose(i.servers[0].Drop)
	}},
	"the consumer's context ends": {happen: func(i *incoming) {
		if h := i.consumer.handler; h != nil {
			h.cancel()
			i.over(h)
			return
		}
		ctx, cancel := context.WithCancel(i.Context())
		i.consumer.sub.Stream(ctx)
		if i.memory {
			synctest.Wait() // it has the message ready
		}
		cancel()
	}},
	"a minute passes": {only: func(v variant) bool { return v.memory }, happen: func(*incoming) { time.Sleep(61 * time.Second) }},
	"Unsubscribe": {happen: func(i *incoming) {
		if i.consumer.sub == nil {
			require.NoError(i, i.client.Unsubscribe(i.Context(), "t"))
			return
		}
		require.NoError(i, i.consumer.sub.Unsubscribe(i.Context()))
		i.ended = true
	}},
	"Drain": {happen: func(i *incoming) {
		drain := begin(i.Context(), i.consumer.sub.Drain)
		if i.memory {
			synctest.Wait()
		}
		if i.consumer.handler != nil {
			i.consumer.letGo()
			i.over(i.consumer.handler)
		} else {
			require.ErrorIs(i, i.consumer.rest(), mqtt.ErrUnsubscribed)
		}
		i.over(drain)
		require.NoError(i, drain.err)
		i.ended = true
	}},
	"killed":               {before: toBeKilled, happen: func(i *incoming) { i.consuming.kill() }},
	"killed, session gone": {before: toBeKilled, happen: func(i *incoming) { i.consuming.kill(); i.servers[0].LoseSession("c") }},
	"Close":                {happen: func(i *incoming) { i.client.Close() }},
	"Disconnect": {happen: func(i *incoming) {
		i.heal() // DISCONNECT does not overtake what is on its way
		ending := begin(i.Context(), func(ctx context.Context) error { return i.client.Disconnect(ctx) })
		ending.awaitWaiting()
		i.consumer.letGo()
		if i.consumer.last != nil {
			i.ack = new(i.consumer.last.Ack())
		}
		i.over(ending)
	}},
	"Disconnect: its context ends": {happen: func(i *incoming) {
		ctx, cancel := context.WithCancel(i.Context())
		cancel()
		i.client.Disconnect(ctx)
	}},
}

func toBeKilled(w *world) { w.mortal = true }

// TestMessagesFromTheServer provokes each cell of the sections about them.
func TestMessagesFromTheServer(t *testing.T) {
	tables := document(t)
	for _, stored := range []bool{false, true} {
		section := "Messages from the server"
		if stored {
			section += ", with a Store"
		}
		table := tables[section]
		require.NotNil(t, table, section)
		these := maps.Clone(incomingEvents)
		requireSame(t, table.rows, incomingStates)
		requireSame(t, table.columns, these)
		for row, s := range incomingStates {
			for column, e := range these {
				t.Run(section+"/"+row+"/"+column, func(t *testing.T) {
					t.Parallel()
					eachIncoming(t, table.cells[row][column], stored, s, e)
				})
			}
		}
	}
}

func eachIncoming(t *testing.T, cell string, stored bool, s incomingState, e incomingEvent) {
	tested := cell == impossible
	defer func() { require.True(t, tested, "a cell without a test") }()
	for _, v := range variants() {
		v.stored = stored
		if v.async && v.memory || e.only != nil && !e.only(v) {
			continue
		}
		for _, qos := range s.qos {
			want := expected(cell, v.version, qos)
			if want == impossible {
				continue
			}
			tested = true
			v.run(t, fmt.Sprintf("QoS %d ", qos), func(w *world) { require.Equal(w, want, receive(w, qos, s, e)) })
		}
	}
}

// receive returns what becomes of a message.
func receive(w *world, qos mqtt.QoS, s incomingState, e incomingEvent) string {
	i := &incoming{world: w, qos: qos}
	w.cfg.Resume = true
	if e.before != nil {
		e.before(w)
	}
	if s.earlier {
		i.leaveBehind()
	}
	w.connect()
	if c, ok := w.process.(*child); ok {
		i.consuming = c
	} else {
		i.consumer = newConsumer(w.Context(), w.client)
		i.consuming = consumerHere{w.process.(here), i.consumer}
	}
	s.reach(i)
	e.happen(i)
	w.heal()
	return i.outcome()
}

// leaveBehind makes a subscription of an earlier process.
func (i *incoming) leaveBehind() {
	cfg := i.cfg
	cfg.Dial = i.dialer()
	c, err := mqtt.Connect(i.Context(), i.url(0), cfg)
	require.NoError(i, err)
	_, err = c.Subscribe(i.Context(), "t", mqtt.ExactlyOnce)
	require.NoError(i, err)
	require.NoError(i, c.Disconnect(i.Context()))
	i.gone()
}

// outcome says how often the message was handed over in this process and in a later
// one, and what its acknowledgement returned.
func (i *incoming) outcome() string {
	result := ""
	if c := i.consumer; c != nil && !i.mortal {
		i.finishHere()
		n, _ := c.handedOver()
		result = fmt.Sprintf("here ×%d, ", n)
		if n > 0 && c.handler == nil && i.qos > 0 {
			if i.ack == nil {
				i.ack = new(c.last.Ack())
			}
			if !i.acked {
				result += "Ack " + nameOf(*i.ack) + ", "
			}
		}
	}
	return result + i.later()
}

// finishHere takes what comes in this process.
func (i *incoming) finishHere() {
	c := i.consumer
	if h := c.handler; i.ended && h != nil {
		c.letGo()
		i.over(h)
	}
	if i.client.Err() != nil || i.ended {
		return
	}
	if c.sub == nil {
		require.NoError(i, c.subscribeWith(true))
	} else if i.granted > 0 {
		i.await("SUBACK", func() bool { return i.traffic.count(mqtttest.Down, wire.TypeSuback) > i.granted })
	}
	current := i.servers[0]
	if i.moved {
		current = i.servers[1]
	}
	current.Publish(&wire.Publish{Topic: "t", Payload: []byte("end"), QoS: wire.AtLeastOnce})
	if h := c.handler; h != nil {
		c.letGo()
		select {
		case <-h.done: // the next consumer takes its place
		default:
			<-c.ends
			return
		}
	}
	require.NoError(i, c.rest())
}

// later ends the process, if it lives, and says what a later one gets.
func (i *incoming) later() string {
	if i.client != nil && i.client.Err() == nil && !i.mortal {
		require.NoError(i, i.client.Disconnect(i.Context()))
	}
	i.moved = false
	i.heal()
	i.gone()
	if i.file != nil {
		require.NoError(i, i.file.Close())
	}
	i.startHere()
	c := newConsumer(i.Context(), i.client)
	require.NoError(i, c.subscribeWith(true))
	i.servers[0].Publish(&wire.Publish{Topic: "t", Payload: []byte("end"), QoS: wire.AtLeastOnce})
	require.NoError(i, c.rest())
	n, marked := c.handedOver()
	if first := i.consumer; n > 0 && i.stored && first != nil && first.last != nil {
		require.Equal(i, first.last.Key(), c.last.Key(), "both have to know it for the same")
	}
	text := fmt.Sprintf("later ×%d", n)
	if marked {
		text += " marked"
	}
	return text
}
