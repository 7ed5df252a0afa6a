package payload_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/payload"
)

// Order is what the examples send.
type Order struct {
	Item  string `json:"item"`
	Count int    `json:"count"`
}

// <policy>
var undecodableAreDead = &mqtt.FailurePolicy{
	Attempts:   5,
	Permanent:  func(err error) bool { return errors.Is(err, mqtt.PayloadFormatInvalid) },
	DeadLetter: "dead/#",
}

// </policy>

// exampleClient returns a client of an embedded broker, with a Subscription to orders.
func exampleClient(ctx context.Context, o mqtt.SubscribeOptions) (*mqtt.Client, *mqtt.Subscription, func()) {
	b := broker.New(broker.Config{})
	client, err := mqtt.Connect(ctx, "mqtt://localhost", mqtt.Config{ // an ordinary program: without Dial
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) },
	})
	if err != nil {
		log.Fatal(err)
	}
	o.Filters = []mqtt.Filter{{Filter: "orders", QoS: mqtt.AtLeastOnce}}
	sub, err := client.SubscribeWith(ctx, o)
	if err != nil {
		log.Fatal(err)
	}
	return client, sub, func() {
		client.Close()
		b.Close()
	}
}

// <orders>
var orders payload.JSON[Order]

func sell(ctx context.Context, client *mqtt.Client, o Order) error {
	return payload.Publish(ctx, client, orders, mqtt.Message{Topic: "orders", QoS: mqtt.AtLeastOnce}, o)
}

func deliver(ctx context.Context, sub *mqtt.Subscription) error {
	return sub.Handle(ctx, payload.Handler(orders, func(ctx context.Context, o Order, m *mqtt.Message) error {
		fmt.Println(o.Count, o.Item, "as", m.ContentType)
		return nil
	}))
}

// </orders>

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, sub, end := exampleClient(ctx, mqtt.SubscribeOptions{})
	defer end()

	if err := sell(ctx, client, Order{"tea", 3}); err != nil {
		log.Fatal(err)
	}
	go sub.Drain(ctx) // an ordinary program: goes on
	fmt.Println(errors.Is(deliver(ctx, sub), mqtt.ErrUnsubscribed))
	// Output:
	// 3 tea as application/json
	// true
}

func ExampleAll() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, sub, end := exampleClient(ctx, mqtt.SubscribeOptions{})
	defer end()

	orders := payload.JSON[Order]{Strict: true}
	client.Publish(ctx, "orders", []byte("three teas"), mqtt.AtLeastOnce)
	client.Publish(ctx, "orders", []byte(`{"item":"tea","count":3}`), mqtt.AtLeastOnce)
	for r, err := range payload.All(orders, sub.All(ctx)) {
		if bad, ok := errors.AsType[*payload.DecodeError](err); ok {
			r.Refuse(mqtt.PayloadFormatInvalid, bad.Error())
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Value.Count, r.Value.Item)
		break
	}
	// Output: 3 tea
}

func ExampleBatchHandler() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, sub, end := exampleClient(ctx, mqtt.SubscribeOptions{})
	defer end()

	for i := range 3 {
		if err := sell(ctx, client, Order{"tea", i + 1}); err != nil {
			log.Fatal(err)
		}
	}
	working, stop := context.WithCancel(ctx)
	sum, n := 0, 0
	sub.HandleBatches(working, mqtt.BatchOptions{}, payload.BatchHandler(orders, func(ctx context.Context, batch []payload.Received[Order]) error {
		for _, r := range batch {
			sum += r.Value.Count
			if n++; n == 3 {
				stop()
			}
		}
		return nil
	}))
	fmt.Println(sum)
	// Output: 6
}

// What cannot be decoded becomes a dead letter at once. Other failures are tried again.
func ExampleDecodeError() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, sub, end := exampleClient(ctx, mqtt.SubscribeOptions{OnFailure: undecodableAreDead})
	defer end()
	dead, err := client.Subscribe(ctx, "dead/#", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	client.Publish(ctx, "orders", []byte("three teas"), mqtt.AtLeastOnce)
	go sub.Handle(ctx, payload.Handler(payload.JSON[Order]{}, func(context.Context, Order, *mqtt.Message) error { return nil }))
	m, err := dead.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s on %s\n", m.Payload, m.Topic)
	// Output: three teas on dead/orders
}
