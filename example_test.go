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

// exampleConfig makes the examples run on an embedded broker. An ordinary
// program leaves Dial out.
func exampleConfig() (mqtt.Config, *broker.Broker) {
	b := broker.New(broker.Config{})
	dial := func(ctx context.Context, network, address string) (net.Conn, error) { return b.Dial(ctx) }
	return mqtt.Config{Dial: dial}, b
}

// exampleClient is a connected client for the examples.
func exampleClient(ctx context.Context) (client *mqtt.Client, end func()) {
	config, b := exampleConfig()
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	return client, func() {
		client.Close()
		b.Close()
	}
}

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig() // an ordinary program: mqtt.Config{}
	defer b.Close()

	client, err := mqtt.Connect(ctx, "mqtt://localhost:1883", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sub, err := client.Subscribe(ctx, "sensors/+/temp", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Publish(ctx, "sensors/7/temp", []byte("21.5"), mqtt.ExactlyOnce); err != nil {
		log.Fatal(err)
	}
	msg := <-sub.Messages()
	fmt.Printf("%s %s\n", msg.Topic, msg.Payload)
	// Output: sensors/7/temp 21.5
}

func ExampleConnect_refused() {
	ctx := context.Background()
	b := broker.New(broker.Config{
		Authenticators: []broker.Authenticator{
			broker.AuthenticatorFunc(func(context.Context, *broker.Login) broker.Decision {
				return broker.Deny(wire.BadUserNameOrPassword, "")
			}),
		},
	})
	defer b.Close()
	_, err := mqtt.Connect(ctx, "mqtt://localhost", mqtt.Config{
		Username: "worker", Password: "guess",
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) { return b.Dial(ctx) },
	})
	fmt.Println(errors.Is(err, mqtt.BadUserNameOrPassword))
	// Output: true
}

func ExampleClient_Publish() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	err := client.Publish(ctx, "orders/42", []byte("paid"), mqtt.ExactlyOnce)
	switch {
	case err == nil:
		fmt.Println("the server has it")
	case mqtt.NotSent(err):
		fmt.Println("certainly not sent; safe to do again")
	default:
		fmt.Println("perhaps sent:", err)
	}
	// Output: the server has it
}

func ExampleClient_PublishMessage() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "doors/#", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	err = client.PublishMessage(ctx, &mqtt.Message{
		Topic:                 "doors/front",
		Payload:               []byte(`{"open":true}`),
		QoS:                   mqtt.AtLeastOnce,
		Retain:                true,
		ContentType:           "application/json",
		MessageExpiryInterval: new(time.Hour),
		UserProperties:        []mqtt.UserProperty{{Name: "trace", Value: "4711"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	msg, err := sub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(msg.ContentType, msg.UserProperties[0].Value)
	// Output: application/json 4711
}

func ExampleClient_PublishAsync() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	var deliveries []*mqtt.Delivery
	for i := range 3 {
		d, err := client.PublishAsync(ctx, &mqtt.Message{
			Topic: "log", Payload: fmt.Appendf(nil, "line %d", i), QoS: mqtt.AtLeastOnce})
		if err != nil {
			log.Fatal(err) // no room in the queue within ctx
		}
		deliveries = append(deliveries, d)
	}
	for _, d := range deliveries {
		ack, err := d.Wait(ctx)
		fmt.Println(ack.ReasonCode, err)
	}
	// Output:
	// no matching subscribers (0x10) <nil>
	// no matching subscribers (0x10) <nil>
	// no matching subscribers (0x10) <nil>
}

func ExampleClient_Flush() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	for i := range 1000 {
		m := &mqtt.Message{Topic: "metrics", Payload: fmt.Append(nil, i), QoS: mqtt.AtLeastOnce}
		if _, err := client.PublishAsync(ctx, m); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(client.Flush(ctx), client.Stats().Inflight)
	// Output: <nil> 0
}

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

func ExampleClient_Watch() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	defer b.Close()
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	events := client.Watch(ctx)
	b.DropConnections()
	for e := range events {
		fmt.Println(e.State)
		if e.State == mqtt.Connected {
			fmt.Println("session resumed:", e.Session == mqtt.SessionResumed)
			go client.Close()
		}
	}
	// Output:
	// reconnecting
	// connecting
	// connected
	// session resumed: true
	// closed
}

func ExampleClient_Disconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	m := &mqtt.Message{Topic: "last words", Payload: []byte("bye"), QoS: mqtt.ExactlyOnce}
	d, err := client.PublishAsync(ctx, m)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Disconnect(ctx)) // after the acknowledgement
	_, err = d.Wait(ctx)
	fmt.Println(err, client.State(), client.Err())
	// Output: <nil>
	// <nil> closed client closed
}

func ExampleNotSent() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()

	err := client.Publish(ctx, "rooms/+/light", []byte("on"), mqtt.AtLeastOnce)
	fmt.Println(err)
	fmt.Println(mqtt.NotSent(err), errors.Is(err, mqtt.ErrInvalid))
	// Output:
	// mqtt: publish "rooms/+/light": topic name "rooms/+/light" has a wildcard (not sent)
	// true true
}

func ExampleClient_State() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()

	fmt.Println(client.State())
	client.Close()
	fmt.Println(client.State())
	// Output:
	// connected
	// closed
}

func ExampleClient_Stats() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	if err := client.Publish(ctx, "metrics", []byte("1"), mqtt.AtLeastOnce); err != nil {
		log.Fatal(err)
	}
	s := client.Stats()
	fmt.Println(s.Connections, s.Published, s.Queued, s.Inflight)
	// Output: 1 1 0 0
}

func ExampleClient_ServerInfo() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()

	info := client.ServerInfo()
	fmt.Println(info.Version, info.KeepAlive, info.SessionPresent, info.Limits.NoShared)
	// Output: 5.0 1m0s false false
}

func ExampleClient_Close() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()

	client.Close()
	<-client.Done() // closed by now
	fmt.Println(client.Err())
	fmt.Println(client.Publish(ctx, "t", nil, mqtt.AtMostOnce))
	// Output:
	// client closed
	// mqtt: publish "t": client closed (not sent)
}

func ExampleClient_Done() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	defer b.Close()
	config.ClientID = "pump"
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	b.Disconnect("pump", wire.NotAuthorized) // which is permanent
	<-client.Done()
	fmt.Println(errors.Is(client.Err(), mqtt.NotAuthorized))
	// Output: true
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

func ExampleDelivery_Wait() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "log", QoS: mqtt.ExactlyOnce})
	if err != nil {
		log.Fatal(err)
	}
	ack, err := d.Wait(ctx) // for PUBCOMP
	fmt.Println(ack.ReasonCode == mqtt.NoMatchingSubscribers, err)
	// Output: true <nil>
}

func ExampleDelivery_Done() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	d, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "log", QoS: mqtt.AtLeastOnce})
	if err != nil {
		log.Fatal(err)
	}
	select {
	case <-d.Done():
		_, err := d.Wait(ctx) // does not wait any more
		fmt.Println("done:", err)
	case <-time.After(time.Minute):
		fmt.Println("still on its way")
	}
	// Output: done: <nil>
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

func ExampleIsPermanent() {
	config := mqtt.Config{
		// A server whose user database is often late.
		Permanent: func(err error) bool {
			return mqtt.IsPermanent(err) && !errors.Is(err, mqtt.BadUserNameOrPassword)
		},
	}
	fmt.Println(mqtt.IsPermanent(mqtt.ErrKeepAlive))
	fmt.Println(config.Permanent(&mqtt.ServerError{Packet: wire.TypeConnack, ReasonCode: mqtt.Banned}))
	fmt.Println(config.Permanent(&mqtt.ServerError{Packet: wire.TypeConnack, ReasonCode: mqtt.BadUserNameOrPassword}))
	// Output:
	// false
	// true
	// false
}
