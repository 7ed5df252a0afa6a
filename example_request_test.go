package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt"
)

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
