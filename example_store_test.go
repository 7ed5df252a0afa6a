package mqtt_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store"
)

func ExampleClient_Pending() {
	ctx := context.Background()
	file := store.Memory() // an ordinary program opens a store/bolt
	config, b := exampleConfig()
	defer b.Close()
	config.ClientID, config.Store = "meter", file
	dial := config.Dial

	// A process without a network accepts a message, and ends.
	config.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, fmt.Errorf("no network") }
	client, err := mqtt.Start("mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	client.PublishAsync(ctx, &mqtt.Message{Topic: "meters/12", Payload: []byte("4711"), QoS: mqtt.ExactlyOnce})
	client.Close()

	// The next one finds it, and waits until the server has it.
	online := make(chan bool)
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		<-online // the network comes later, too
		return dial(ctx, network, address)
	}
	client, err = mqtt.Start("mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	var left []*mqtt.Delivery
	for msg, delivery := range client.Pending() {
		fmt.Println(msg.Topic, string(msg.Payload))
		left = append(left, delivery)
	}
	close(online)
	for _, delivery := range left {
		_, err := delivery.Wait(ctx)
		fmt.Println(err)
	}
	// Output:
	// meters/12 4711
	// <nil>
}

func ExampleMessage_Key() {
	ctx := context.Background()
	config, b := exampleConfig()
	defer b.Close()
	config.ClientID, config.Store = "ingester", store.Memory()
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	sub, err := client.Subscribe(ctx, "orders", mqtt.ExactlyOnce)
	if err != nil {
		log.Fatal(err)
	}
	client.Publish(ctx, "orders", []byte("a pump"), mqtt.ExactlyOnce)

	taken := map[string]bool{} // an ordinary program: a table, written in the transaction of the order
	msg, err := sub.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if key := msg.Key(); !taken[key] {
		taken[key] = true
		fmt.Println(string(msg.Payload))
	}
	// Output: a pump
}
