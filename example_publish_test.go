package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt"
)

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

func ExampleWhenFull() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	config.QueueMessages = 1
	config.WhenFull.Acknowledged = mqtt.FullDropOldest // the latest counts
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	events := client.Watch(ctx)
	b.Close() // no server: messages wait
	for e := range events {
		if e.State == mqtt.Reconnecting {
			break
		}
	}

	first, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "position", Payload: []byte("here"), QoS: mqtt.AtLeastOnce})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "position", Payload: []byte("there"), QoS: mqtt.AtLeastOnce}); err != nil {
		log.Fatal(err)
	}
	_, err = first.Wait(ctx)
	fmt.Println(errors.Is(err, mqtt.ErrQueueFull), mqtt.NotSent(err), client.Stats().QueueDropped)
	// Output: true true 1
}

func ExamplePublishOnce() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig() // an ordinary program: mqtt.Config{}
	defer b.Close()

	err := mqtt.PublishOnce(ctx, "mqtt://localhost:1883", config,
		&mqtt.Message{Topic: "orders/1", Payload: []byte("paid"), QoS: mqtt.AtLeastOnce, Retain: true},
		&mqtt.Message{Topic: "orders/2", Payload: []byte("open"), QoS: mqtt.AtLeastOnce, Retain: true})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleReceiveOnce() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig() // an ordinary program: mqtt.Config{}
	defer b.Close()
	if err := mqtt.PublishOnce(ctx, "mqtt://localhost:1883", config,
		&mqtt.Message{Topic: "orders/1", Payload: []byte("paid"), QoS: mqtt.AtLeastOnce, Retain: true}); err != nil {
		fmt.Println(err)
		return
	}

	messages, err := mqtt.ReceiveOnce(ctx, "mqtt://localhost:1883", config, "orders/+", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s %s\n", messages[0].Topic, messages[0].Payload)
	// Output: orders/1 paid
}

// upperCase is a service for the examples.
func upperCase(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
	if len(m.Payload) == 0 {
		return nil, errors.New("nothing to do")
	}
	return &mqtt.Message{Payload: []byte(strings.ToUpper(string(m.Payload)))}, nil
}

func ExampleClient_Request() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()
	go client.Respond(ctx, "services/upper", upperCase) // usually another program

	for _, text := range []string{"hello", ""} {
		request := &mqtt.Message{Topic: "services/upper", Payload: []byte(text), QoS: mqtt.AtLeastOnce}
		response, err := client.Request(ctx, request)
		for errors.Is(err, mqtt.NoMatchingSubscribers) { // not there yet
			response, err = client.Request(ctx, request)
		}
		if failed, ok := errors.AsType[*mqtt.ResponseError](err); ok {
			fmt.Println("failed:", failed.Text)
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", response.Payload)
	}
	// Output:
	// HELLO
	// failed: nothing to do
}

func ExampleClient_Respond() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()
	responses, err := client.Subscribe(ctx, "responses/7", mqtt.AtLeastOnce)
	if err != nil {
		fmt.Println(err)
		return
	}

	serving, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error)
	go func() { done <- client.Respond(serving, "services/upper", upperCase) }()

	// A requester that does without Request. Retained, so that it may come first.
	if err := client.PublishMessage(ctx, &mqtt.Message{
		Topic: "services/upper", Payload: []byte("hello"), QoS: mqtt.AtLeastOnce, Retain: true,
		ResponseTopic: "responses/7", CorrelationData: []byte("42"),
	}); err != nil {
		fmt.Println(err)
		return
	}
	m := <-responses.Messages()
	fmt.Printf("%s %s\n", m.CorrelationData, m.Payload)
	stop()
	fmt.Println(errors.Is(<-done, context.Canceled))
	// Output:
	// 42 HELLO
	// true
}

func ExampleClient_RespondWith() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	// Instances of a service share its requests; this one answers them one by one.
	go client.RespondWith(ctx, mqtt.RespondOptions{
		SubscribeOptions: mqtt.SubscribeOptions{
			Filters: []mqtt.Filter{{Filter: "$share/workers/services/upper", QoS: mqtt.AtLeastOnce}},
		},
		Concurrency: 1,
	}, upperCase)

	request := &mqtt.Message{Topic: "services/upper", Payload: []byte("hello"), QoS: mqtt.AtLeastOnce}
	response, err := client.Request(ctx, request)
	for errors.Is(err, mqtt.NoMatchingSubscribers) { // not there yet
		response, err = client.Request(ctx, request)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", response.Payload)
	// Output: HELLO
}
