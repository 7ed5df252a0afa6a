package migration_test

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store/bolt"
)

func work(ctx context.Context, server string, handle func(context.Context, *mqtt.Message) error) error {
	// <after-auto-service>
	client, err := mqtt.Start(server, mqtt.Config{
		ClientID: "worker-7",
		Version:  mqtt.V5, // left out, a server of 3.1.1 will do, too
		Logger:   slog.Default(),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	filter := mqtt.Filter{Filter: "jobs/+", QoS: mqtt.AtLeastOnce}
	return client.Handle(ctx, mqtt.SubscribeOptions{Filters: []mqtt.Filter{filter}}, handle)
	// </after-auto-service>
}

func publishText(ctx context.Context, client *mqtt.Client, payload []byte) error {
	// <after-auto-publish>
	err := client.PublishMessage(ctx, &mqtt.Message{ // waits for a connection, and goes on with the next one
		Topic: "results/7", QoS: mqtt.AtLeastOnce, Payload: payload, ContentType: "text/plain",
	})
	// </after-auto-publish>
	return err
}

func queue(ctx context.Context, server, path string, payload []byte) (*mqtt.Client, *bolt.File, error) {
	// <after-queue>
	file, err := bolt.Open(path, bolt.Config{})
	if err != nil {
		return nil, nil, err
	}
	client, err := mqtt.Start(server, mqtt.Config{ClientID: "meter-12", Store: file})
	if err != nil {
		return nil, file, err
	}
	_, err = client.PublishAsync(ctx, &mqtt.Message{ // the Delivery tells what becomes of it
		Topic: "meters/12", QoS: mqtt.AtLeastOnce, Payload: payload,
	})
	// </after-queue>
	return client, file, err
}

func request(ctx context.Context, client *mqtt.Client) (string, error) {
	// <after-request>
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	response, err := client.Request(ctx, &mqtt.Message{
		Topic: "time/now", QoS: mqtt.AtLeastOnce, Payload: []byte("Berlin"),
	})
	if err != nil {
		return "", err
	}
	return string(response.Payload), nil
	// </after-request>
}
