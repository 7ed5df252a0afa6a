package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/wire"
)

func ExampleClient_Subscribe() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "jobs/#", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		client.Publish(ctx, "jobs/1", []byte("sweep"), mqtt.AtLeastOnce)
		client.Publish(ctx, "jobs/2", []byte("mop"), mqtt.AtLeastOnce)
		client.Publish(ctx, "jobs/3", []byte("stop"), mqtt.AtLeastOnce)
	}()
	for msg := range sub.Messages() {
		fmt.Printf("%s\n", msg.Payload)
		if string(msg.Payload) == "stop" {
			sub.Unsubscribe(ctx) // closes the channel
		}
	}
	fmt.Println(sub.Err())
	// Output:
	// sweep
	// mop
	// stop
	// <nil>
}

func ExampleClient_SubscribeWith() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{
			{Filter: "chat/lobby", QoS: mqtt.AtLeastOnce, NoLocal: true},
			{Filter: "chat/staff", QoS: mqtt.ExactlyOnce},
		},
		ManualAck:      true,
		BufferMessages: 100,
		Overflow:       mqtt.DropOldest,
	})
	if err != nil {
		log.Fatal(err)
	}
	client.Publish(ctx, "chat/lobby", []byte("to others only"), mqtt.AtLeastOnce)
	client.Publish(ctx, "chat/staff", []byte("hello"), mqtt.AtLeastOnce)
	msg, err := sub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, granted %v\n", msg.Payload, sub.Granted())
	msg.Ack() // now the server may forget it
	// Output: hello, granted [granted QoS 1 (0x01) granted QoS 2 (0x02)]
}

func ExampleSubscription_Stream() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "rooms/+", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	for _, room := range []string{"rooms/hall", "rooms/attic"} {
		if err := client.Publish(ctx, room, []byte("swept"), mqtt.AtLeastOnce); err != nil {
			log.Fatal(err)
		}
	}

	shift, stop := context.WithCancel(ctx) // an ordinary program: signal.NotifyContext
	defer stop()
	for msg := range sub.Stream(shift) {
		fmt.Println(msg.Topic)
		break
	}
	stop()                              // a loop that is left early would hold one message
	fmt.Println(shift.Err(), sub.Err()) // the Subscription lives on
	msg, err := sub.Next(ctx)           // and nothing is lost
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(msg.Topic)
	// Output:
	// rooms/hall
	// context canceled <nil>
	// rooms/attic
}

func ExampleSubscription_Next() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "news", mqtt.AtMostOnce)
	if err != nil {
		log.Fatal(err)
	}
	short, stop := context.WithTimeout(ctx, time.Millisecond)
	defer stop()
	_, err = sub.Next(short)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

func ExampleSubscription_All() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "tasks", mqtt.ExactlyOnce)
	if err != nil {
		log.Fatal(err)
	}
	client.Publish(ctx, "tasks", []byte("tidy up"), mqtt.ExactlyOnce)
	for msg, err := range sub.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("doing %s\n", msg.Payload)
		break // acknowledges this message: its body is done
	}
	// Output: doing tidy up
}

func ExampleSubscription_Drain() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "parcels", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		client.Publish(ctx, "parcels", fmt.Append(nil, i), mqtt.AtLeastOnce)
	}
	go sub.Drain(ctx) // no more; but what has arrived is still handed over
	count := 0
	for range sub.Messages() {
		count++
	}
	fmt.Println(count)
	// Output: 3
}

func ExampleClient_Route() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	defer b.Close()
	config.ClientID, config.Resume = "billing", true

	// An earlier process subscribes and goes.
	earlier, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := earlier.Subscribe(ctx, "invoices", mqtt.AtLeastOnce); err != nil {
		log.Fatal(err)
	}
	earlier.Close()
	b.Publish(&wire.Publish{Topic: "invoices", Payload: []byte("No. 1"), QoS: mqtt.AtLeastOnce})

	// The next one resumes the session and gets what came meanwhile.
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sub, err := client.Route("invoices")
	if err != nil {
		log.Fatal(err)
	}
	msg, err := sub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, session resumed: %v\n", msg.Payload, client.ServerInfo().SessionPresent)
	// Output: No. 1, session resumed: true
}

func ExampleClient_Unsubscribe() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	defer b.Close()
	config.ClientID, config.Resume = "billing", true

	// An earlier process leaves a subscription in its session.
	earlier, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := earlier.Subscribe(ctx, "invoices/old", mqtt.AtLeastOnce); err != nil {
		log.Fatal(err)
	}
	earlier.Close()

	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.Unsubscribe(ctx, "invoices/old"), b.Stats().Subscriptions)
	// Output: <nil> 0
}

func ExampleSubscription_Granted() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b := broker.New(broker.Config{
		Authorizers: []broker.Authorizer{
			broker.AuthorizerFunc(func(_ context.Context, a *broker.Access) broker.Decision {
				if a.Topic == "secrets" {
					return broker.Deny(wire.NotAuthorized, "")
				}
				return broker.Allow()
			}),
		},
	})
	defer b.Close()
	client, err := mqtt.Connect(ctx, "mqtt://localhost", mqtt.Config{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) { return b.Dial(ctx) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "news", QoS: mqtt.AtLeastOnce}, {Filter: "secrets"}},
	})
	fmt.Println(errors.Is(err, mqtt.NotAuthorized))
	for _, code := range sub.Granted() {
		fmt.Println(code)
	}
	// Output:
	// true
	// granted QoS 1 (0x01)
	// not authorized (0x87)
}

func ExampleSubscription_Dropped() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters:        []mqtt.Filter{{Filter: "ticks", QoS: mqtt.AtLeastOnce}},
		BufferMessages: 2,
		Overflow:       mqtt.DropOldest,
	})
	if err != nil {
		log.Fatal(err)
	}
	other, err := client.Subscribe(ctx, "ticks", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 5 {
		client.Publish(ctx, "ticks", fmt.Append(nil, i), mqtt.AtMostOnce)
	}
	for range 5 {
		other.Next(ctx) // keeps up, so it gets all
	}
	fmt.Println(sub.Dropped(), other.Dropped())
	// Output: 3 0
}

func ExampleSubscription_Unsubscribe() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "news", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sub.Unsubscribe(ctx))
	_, open := <-sub.Messages()
	fmt.Println(open, sub.Err())
	// Output:
	// <nil>
	// false <nil>
}

func ExampleSubscription_Err() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "news", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	client.Close()
	for range sub.Messages() {
	}
	fmt.Println(errors.Is(sub.Err(), mqtt.ErrClosed))
	// Output: true
}

func ExampleMessage_Ack() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters:   []mqtt.Filter{{Filter: "orders", QoS: mqtt.AtLeastOnce}},
		ManualAck: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	client.Publish(ctx, "orders", []byte("one chair"), mqtt.AtLeastOnce)
	msg, err := sub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Stats().Unfinished)
	fmt.Println(msg.Ack(), client.Stats().Unfinished) // once the order is safe
	// Output:
	// 1
	// <nil> 0
}

func ExampleSubscription_Answers() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()
	sub, err := client.Subscribe(ctx, "lamps/#", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range sub.Answers() {
		fmt.Printf("%v %q %v\n", a.ReasonCode, a.ReasonString, a.UserProperties)
	}
	// Output: granted QoS 1 (0x01) "" []
}

func ExampleClient_UnsubscribeWith() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()
	answers, err := client.UnsubscribeWith(ctx, mqtt.UnsubscribeOptions{
		Filters:        []string{"lamps/#"},
		UserProperties: []mqtt.UserProperty{{Name: "why", Value: "moved to another room"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answers[0].ReasonCode)
	// Output: no subscription existed (0x11)
}

func ExampleMessage_UserProperty() {
	m := &mqtt.Message{UserProperties: []mqtt.UserProperty{{Name: "tenant", Value: "acme"}}}
	if tenant, ok := m.UserProperty("tenant"); ok {
		fmt.Println(tenant)
	}
	// Output: acme
}
