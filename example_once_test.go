package mqtt_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt"
)

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
