package mqtt_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/seed65a45251/mqtt"
)

// A server with a quota of 100 messages and 512 KiB a second.
func ExamplePublishRate() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config, b := exampleConfig()
	defer b.Close()
	config.PublishRate = mqtt.PublishRate{Messages: 95, Bytes: 500 << 10}
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	begun := time.Now()
	for range 20 { // they wait in the queue
		if _, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "sensors/7/temp", Payload: []byte("21.5"), QoS: mqtt.AtLeastOnce}); err != nil {
			log.Fatal(err)
		}
	}
	if err := client.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(time.Since(begun) > 180*time.Millisecond)
	// Output: true
}

// The will of each connection says since when there was one.
func ExampleAttempt_will() {
	ctx := context.Background()
	config, b := exampleConfig()
	defer b.Close()
	config.ClientID = "meter-12"
	config.Will = &mqtt.Will{Message: mqtt.Message{Topic: "meters/12/gone", QoS: mqtt.AtLeastOnce}}
	config.Attempt = func(_ context.Context, a *mqtt.Attempt) error {
		a.Will.Payload = fmt.Appendf(nil, "was there since %v", time.Now()) // of a copy
		return nil
	}
	client, err := mqtt.Connect(ctx, "mqtt://localhost", config)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	fmt.Println(client.ServerInfo().ClientID)
	// Output: meter-12
}
