package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/reconnect"
)

func ExampleMessage_Refuse() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "orders", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	client.Publish(ctx, "orders", []byte("a dozen"), mqtt.AtLeastOnce)
	for msg, err := range sub.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if _, err := strconv.Atoi(string(msg.Payload)); err != nil {
			msg.Refuse(mqtt.PayloadFormatInvalid, "an order is a number")
		}
		break
	}
	fmt.Println("refused:", client.Stats().Rejected)
	// Output: refused: 1
}

func ExampleRefusal() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	working, stop := context.WithCancel(ctx)
	err := client.Handle(working, mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "orders", QoS: mqtt.AtLeastOnce}},
		Subscribed: func(*mqtt.Subscription) { // from now on nothing is missed
			client.Publish(ctx, "orders", []byte("a dozen"), mqtt.AtLeastOnce)
			client.Publish(ctx, "orders", []byte("12"), mqtt.AtLeastOnce)
		},
	}, func(ctx context.Context, msg *mqtt.Message) error {
		n, err := strconv.Atoi(string(msg.Payload))
		if err != nil {
			return &mqtt.Refusal{ReasonCode: mqtt.PayloadFormatInvalid, ReasonString: "an order is a number"}
		}
		fmt.Println("ordered:", n)
		stop()
		return nil
	})
	fmt.Println(err)
	// Output:
	// ordered: 12
	// mqtt: handle "orders": context canceled
}

func ExampleFailurePolicy() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	dead, err := client.Subscribe(ctx, "dead/#", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	working, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- client.Handle(working, mqtt.SubscribeOptions{
			Filters: []mqtt.Filter{{Filter: "orders/+", QoS: mqtt.AtLeastOnce}},
			OnFailure: &mqtt.FailurePolicy{
				Attempts:   3,
				Backoff:    reconnect.Policy{Min: time.Millisecond}, // an ordinary program: a second
				DeadLetter: "dead/#",
			},
			Subscribed: func(*mqtt.Subscription) {
				client.Publish(ctx, "orders/7", []byte("12"), mqtt.AtLeastOnce)
			},
		}, func(ctx context.Context, msg *mqtt.Message) error {
			return errors.New("the shop is closed")
		})
	}()

	msg, err := dead.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	reason, _ := msg.UserProperty(mqtt.DeadLetterError)
	attempts, _ := msg.UserProperty(mqtt.DeadLetterAttempts)
	fmt.Printf("%s: %s after %s attempts\n", msg.Topic, reason, attempts)
	stop()
	<-done
	// Output: dead/orders/7: the shop is closed after 3 attempts
}

func ExampleSubscription_HandleBatches() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, end := exampleClient(ctx)
	defer end()

	sub, err := client.Subscribe(ctx, "readings/#", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 5 {
		client.Publish(ctx, fmt.Sprint("readings/", i), []byte("21.5"), mqtt.AtLeastOnce)
	}
	working, stop := context.WithCancel(ctx)
	stored := 0
	err = sub.HandleBatches(working, mqtt.BatchOptions{Messages: 100, Wait: 10 * time.Millisecond},
		func(ctx context.Context, batch []*mqtt.Message) error {
			stored += len(batch) // an ordinary program: BEGIN, INSERT for each, COMMIT
			if stored == 5 {
				stop()
			}
			return nil // all of the batch are acknowledged
		})
	fmt.Println(stored, err)
	// Output: 5 mqtt: handle "readings/#": context canceled
}
