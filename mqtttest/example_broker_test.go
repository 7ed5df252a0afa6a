package mqtttest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

var ctx = context.Background() // a test has t.Context()

// soon lets the clients of examples reconnect at once. In a testing/synctest bubble
// waiting costs nothing, so that tests need no such setting.
var soon = reconnect.Policy{Max: time.Millisecond}

// connected returns a client of b.
func connected(b *mqtttest.Broker) *mqtt.Client {
	client, err := mqtt.Connect(ctx, b.URL(), mqtt.Config{ClientID: "c", Dial: b.Dial, Reconnect: soon})
	if err != nil {
		panic(err)
	}
	return client
}

// alarm is a program that can be tested: it publishes an alarm for each high temperature.
func alarm(ctx context.Context, client *mqtt.Client) error {
	o := mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "sensors/+/temp", QoS: mqtt.AtLeastOnce}}}
	return client.Handle(ctx, o, func(ctx context.Context, msg *mqtt.Message) error {
		if len(msg.Payload) < 3 {
			return nil // below 100 degrees
		}
		return client.Publish(ctx, "alarms", msg.Payload, mqtt.AtLeastOnce)
	})
}

// A program, a broker, and a connection that breaks.
func Example() {
	t, end := newT() // in a test: its t
	defer end()

	b := mqtttest.NewBroker(t)
	client := connected(b)
	go alarm(ctx, client)
	b.WantSubscribed("sensors/+/temp")

	b.Publish(&wire.Publish{Topic: "sensors/7/temp", Payload: []byte("104"), QoS: wire.AtLeastOnce})
	b.WantPublished("alarms", "104")

	b.Drop()
	b.Publish(&wire.Publish{Topic: "sensors/7/temp", Payload: []byte("105"), QoS: wire.AtLeastOnce})
	b.WantPublished("alarms", "105")

	client.Close()
	b.WantDisconnected("c")
	fmt.Println("ok")
	// Output: ok
}

func ExampleNewBrokerWith() {
	t, end := newT() // in a test: its t
	defer end()
	b := mqtttest.NewBrokerWith(t, mqtttest.Config{
		Broker:   broker.Config{MaximumPacketSize: 1024},
		Patience: time.Minute, // for methods that begin with Want
	})
	client, err := mqtt.Connect(ctx, b.URL(), mqtt.Config{}) // through a port on the loopback interface
	fmt.Println(err)
	fmt.Println(client.Publish(ctx, "t", make([]byte, 2000), mqtt.AtLeastOnce))
	client.Close()
	b.WantNoLeak() // no connection, goroutine or unacknowledged message is left
	// Output:
	// <nil>
	// mqtt: publish "t": packet of 2009 bytes is larger than the server's maximum of 1024 (not sent)
}

func ExampleBroker_CutAt() {
	t, end := newT() // in a test: its t
	defer end()
	b := mqtttest.NewBroker(t)
	client := connected(b)
	defer client.Close()

	// The connection breaks in the middle of the message,
	b.CutAt(mqtttest.Match{Type: wire.TypePublish}, -1)
	fmt.Println(client.Publish(ctx, "t", []byte("1"), mqtt.ExactlyOnce))
	// or when the broker has sent two bytes,
	b.WantConnected("c")
	b.CutAfter(mqtttest.Down, 2)
	fmt.Println(client.Publish(ctx, "t", []byte("2"), mqtt.ExactlyOnce))
	// and the broker has each message once, in their order.
	fmt.Println(len(b.WantPublished("t", "1", "2")), b.Stats().Received)
	// Output:
	// <nil>
	// <nil>
	// 2 2
}

func ExampleBroker_HalfOpen() {
	t, end := newT() // in a test: its t
	defer end()
	b := mqtttest.NewBroker(t)
	client := connected(b)
	defer client.Close()

	b.HalfOpen("c") // connections stay, and nothing arrives
	d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
	fmt.Println(err)
	b.Heal()
	_, err = d.Wait(ctx)
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
}

func ExampleBroker_Throttle() {
	t, end := newT() // in a test: its t
	defer end()
	b := mqtttest.NewBroker(t)
	client := connected(b)
	defer client.Close()

	b.Throttle(100_000)               // bytes a second
	b.Delay(time.Millisecond)         // for each packet
	b.Reorder(time.Millisecond, 4711) // packets overtake each other where MQTT permits it
	for range 10 {
		client.PublishAsync(ctx, &mqtt.Message{Topic: "t", QoS: mqtt.ExactlyOnce})
	}
	fmt.Println(client.Flush(ctx))
	b.Heal()
	// Output: <nil>
}

func ExampleBroker_Swallow() {
	t, end := newT() // in a test: its t
	defer end()
	b := mqtttest.NewBroker(t)
	client := connected(b)
	defer client.Close()
	answer := mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Down}

	b.Swallow(answer) // the next acknowledgement gets lost
	lost, _ := client.PublishAsync(ctx, &mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
	client.Publish(ctx, "next", nil, mqtt.AtLeastOnce) // when this is acknowledged, the other one was lost
	b.Drop()                                           // only another connection helps
	_, err := lost.Wait(ctx)
	fmt.Println(err)

	release := b.Hold(answer) // the next one waits
	held, _ := client.PublishAsync(ctx, &mqtt.Message{Topic: "held", QoS: mqtt.AtLeastOnce})
	b.WantPublished("held")
	release()
	_, err = held.Wait(ctx)
	fmt.Println(err)

	b.Duplicate(answer) // the next one comes twice
	fmt.Println(client.Publish(ctx, "t", nil, mqtt.AtLeastOnce))
	// Output:
	// <nil>
	// <nil>
	// <nil>
}

func ExampleBroker_AnswerWith() {
	t, end := newT() // in a test: its t
	defer end()
	b := mqtttest.NewBroker(t)
	client := connected(b)
	defer client.Close()
	// The next SUBSCRIBE, whose identifier is 1, is answered by bytes: not authorized.
	b.AnswerWith(mqtttest.Match{Type: wire.TypeSubscribe}, []byte{0x90, 4, 0, 1, 0, 0x87})
	_, err := client.Subscribe(ctx, "secret", mqtt.AtLeastOnce)
	fmt.Println(err)
	// Output: mqtt: subscribe "secret": filter "secret": server answered SUBACK: not authorized (0x87)
}

func ExampleBroker_Control() {
	t, end := newT() // in a test: its t
	defer end()
	b := mqtttest.NewBroker(t)
	client := connected(b)
	defer client.Close()
	stop := b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
		m := p.Packet.(*wire.Publish)
		switch m.Topic {
		case "lost":
			p.Drop()
		case "slow":
			p.Delay(time.Millisecond)
		case "twice":
			p.Repeat()
		case "last": // the connection ends behind it
			p.Cut()
		case "half": // the connection ends within it
			if !m.Duplicate {
				p.CutAt(-1)
			}
		case "other": // another message takes its place
			changed := *m
			changed.Topic = "changed"
			p.Replace(&changed)
		case "bytes": // a PUBLISH at QoS 0 on topic "b"
			p.ReplaceBytes([]byte{0x30, 4, 0, 1, 'b', 0})
		case "refused": // the broker never sees it
			p.Drop()
			p.Answer(&wire.Puback{PacketID: m.PacketID, ReasonCode: wire.QuotaExceeded})
		case "raw": // the same with bytes
			p.Drop()
			p.AnswerBytes([]byte{0x40, 3, byte(m.PacketID >> 8), byte(m.PacketID), 0x97})
		}
	})
	defer stop()
	sub, _ := client.Subscribe(ctx, "b", mqtt.AtMostOnce)
	for _, topic := range []string{"slow", "half", "other", "refused", "raw"} {
		fmt.Println(client.Publish(ctx, topic, nil, mqtt.AtLeastOnce))
	}
	for _, topic := range []string{"lost", "twice", "bytes"} {
		client.Publish(ctx, topic, nil, mqtt.AtMostOnce)
	}
	b.WantPublished("changed")
	msg, err := sub.Next(ctx)
	fmt.Println(msg.Topic, err)
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// mqtt: publish "refused": server answered PUBACK: quota exceeded (0x97)
	// mqtt: publish "raw": server answered PUBACK: quota exceeded (0x97)
	// b <nil>
}

func ExampleBroker_Stop() {
	t, end := newT() // in a test: its t
	defer end()
	b := mqtttest.NewBroker(t)
	client := connected(b)
	defer client.Close()

	b.Stop()
	d, _ := client.PublishAsync(ctx, &mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
	b.Start()
	_, err := d.Wait(ctx)
	fmt.Println(err)

	b.Restart()      // with its state
	b.LoseSession()  // those of all clients, or of those that are named
	b.RestartEmpty() // nothing is left
	fmt.Println(client.Publish(ctx, "t", nil, mqtt.AtLeastOnce))
	// Output:
	// <nil>
	// <nil>
}

func ExampleBroker_RefuseConnect() {
	t, end := newT() // in a test: its t
	defer end()
	b := mqtttest.NewBroker(t)
	b.RefuseConnect(1, wire.ServerBusy)
	_, err := mqtt.Connect(ctx, b.URL(), mqtt.Config{Dial: b.Dial})
	fmt.Println(errors.Is(err, mqtt.ServerBusy))

	b.Announce(func(c *wire.Connack) { c.ReceiveMaximum = 1 })
	client := connected(b)
	defer client.Close()
	fmt.Println(client.ServerInfo().Limits.ReceiveMaximum)
	// Output:
	// true
	// 1
}

func ExampleBroker_Timeline() {
	t, end := newT() // in a test: its t
	defer end()
	b := mqtttest.NewBroker(t)
	connected(b).Close()
	b.WantDisconnected("c")
	b.Want(mqtttest.Match{Type: wire.TypeDisconnect})
	for _, e := range b.Timeline() {
		if e.Packet != nil {
			fmt.Println(e.Direction, e.Packet.Type())
		}
	}
	// Output:
	// up CONNECT
	// down CONNACK
	// up DISCONNECT
}
