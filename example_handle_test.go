package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync"
	"time"

	"github.com/seed65a45251/mqtt"
)

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
	// Subscribed: whoever waits for that can publish now.
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
