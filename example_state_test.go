package mqtt_test

import (
	"context"
	"fmt"
	"log"

	"github.com/seed65a45251/mqtt"
)

func ExampleClient_Err() {
	client, end := exampleClient(context.Background())
	defer end()
	fmt.Println(client.Err())
	client.Close()
	fmt.Println(client.Err())
	// Output:
	// <nil>
	// client closed
}

func ExampleSubscription_Held() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()
	sub, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{
		Filters:   []mqtt.Filter{{Filter: "jobs", QoS: mqtt.AtLeastOnce}},
		ManualAck: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	client.Publish(ctx, "jobs", []byte("dig"), mqtt.AtLeastOnce)
	job, err := sub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sub.Held().Messages)
	job.Ack()
	fmt.Println(sub.Held().Messages)
	// Output:
	// 1
	// 0
}

func ExampleSubscription_Messages() {
	ctx := context.Background()
	client, end := exampleClient(ctx)
	defer end()
	sub, err := client.Subscribe(ctx, "t", mqtt.AtLeastOnce)
	if err != nil {
		log.Fatal(err)
	}
	client.Publish(ctx, "t", []byte("1"), mqtt.AtLeastOnce)
	client.Publish(ctx, "t", []byte("2"), mqtt.AtLeastOnce)
	go sub.Drain(ctx) // the loop takes what has come, and ends
	for msg := range sub.Messages() {
		fmt.Println(string(msg.Payload))
	}
	// Output:
	// 1
	// 2
}
