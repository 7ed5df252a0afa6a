package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"
	"sync"
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

func ExampleClient_Handle() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()
	for _, order := range []string{"2 nails", "rubbish", "1 hammer"} {
		// Retained, so that they wait for the handler below.
		m := &mqtt.Message{Topic: "orders/" + order[2:], Payload: []byte(order), QoS: mqtt.AtLeastOnce, Retain: true}
		if err := client.PublishMessage(ctx, m); err != nil {
			log.Fatal(err)
		}
	}

	ctx, stop := context.WithCancelCause(ctx) // an ordinary program: signal.NotifyContext
	errDone := errors.New("all handled")
	sum, count := 0, 0
	err := client.Handle(ctx, mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "orders/+", QoS: mqtt.AtLeastOnce}},
	}, func(_ context.Context, m *mqtt.Message) error {
		if count++; count == 3 {
			defer stop(errDone)
		}
		var n int
		if _, err := fmt.Sscan(string(m.Payload), &n); err != nil {
			return mqtt.PayloadFormatInvalid // it will never be better: the server is told
		}
		sum += n
		return nil // and the message is acknowledged
	})
	fmt.Println(sum, errors.Is(err, errDone))
	// Output: 3 true
}

func ExampleSubscription_Handle() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "orders/+", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	// Subscribed: what waits for that can be published now.
	for _, order := range []string{"nails", "hammer"} {
		if err := client.Publish(ctx, "orders/"+order, nil, mqtt.AtLeastOnce); err != nil {
			log.Fatal(err)
		}
	}

	errFull := errors.New("the shelf is full")
	err = sub.Handle(ctx, func(_ context.Context, m *mqtt.Message) error {
		if m.Topic == "orders/hammer" {
			return errFull // not acknowledged
		}
		fmt.Println("packed", m.Topic)
		return nil // and the message is acknowledged
	})
	fmt.Println(errors.Is(err, errFull))

	ctx, stop := context.WithCancel(ctx)
	err = sub.Handle(ctx, func(_ context.Context, m *mqtt.Message) error {
		fmt.Println("packed", m.Topic, "after all")
		stop()
		return nil
	})
	fmt.Println(errors.Is(err, context.Canceled), sub.Err())
	// Output:
	// packed orders/nails
	// true
	// packed orders/hammer after all
	// true <nil>
}

func ExampleClient_Handle_concurrency() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()
	begin := &mqtt.Message{Topic: "accounts/all/begin", Payload: []byte("go"), Retain: true}
	if err := client.PublishMessage(ctx, begin); err != nil {
		log.Fatal(err)
	}

	ctx, stop := context.WithCancel(ctx)
	var mu sync.Mutex
	steps := make(map[string][]string) // by account
	client.Handle(ctx, mqtt.SubscribeOptions{
		Filters:     []mqtt.Filter{{Filter: "accounts/#", QoS: mqtt.ExactlyOnce}},
		Concurrency: 8,
		// What concerns one account stays in order, whatever its topic.
		OrderBy: func(m *mqtt.Message) string { return strings.Split(m.Topic, "/")[1] },
	}, func(ctx context.Context, m *mqtt.Message) error {
		name, step := strings.Split(m.Topic, "/")[1], strings.Split(m.Topic, "/")[2]
		if step == "begin" {
			return publishSteps(ctx, client)
		}
		mu.Lock() // up to eight of these functions run at once
		defer mu.Unlock()
		steps[name] = append(steps[name], step)
		if len(steps["ann"]) == 3 && len(steps["bob"]) == 3 {
			stop()
		}
		return nil
	})
	fmt.Println(steps["ann"], steps["bob"])
	// Output: [open deposit close] [open deposit close]
}

func publishSteps(ctx context.Context, client *mqtt.Client) error {
	for _, step := range []string{"open", "deposit", "close"} {
		for _, name := range []string{"ann", "bob"} {
			m := &mqtt.Message{Topic: "accounts/" + name + "/" + step, QoS: mqtt.ExactlyOnce}
			if _, err := client.PublishAsync(ctx, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func ExampleMessage_Clone() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()
	m := &mqtt.Message{Topic: "sensors/7/temp", Payload: []byte("21.5"), Retain: true}
	if err := client.PublishMessage(ctx, m); err != nil {
		log.Fatal(err)
	}

	ctx, stop := context.WithCancel(ctx)
	var last *mqtt.Message
	client.Handle(ctx, mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "sensors/#"}},
		Lend:    true,
	}, func(_ context.Context, m *mqtt.Message) error {
		last = m.Clone() // m itself is used again
		stop()
		return nil
	})
	fmt.Printf("%s %s\n", last.Topic, last.Payload)
	// Output: sensors/7/temp 21.5
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
