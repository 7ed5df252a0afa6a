package migration_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/store"
)

func service(ctx context.Context, server string, handle func(context.Context, *mqtt.Message) error) error {
	// <after-service>
	client, err := mqtt.Start(server, mqtt.Config{
		ClientID: "worker-7",
		Will: &mqtt.Will{Message: mqtt.Message{
			Topic: "workers/7", Payload: []byte("gone"), QoS: mqtt.AtLeastOnce, Retain: true,
		}},
		Logger: slog.Default(), // says when and why a connection ends
	})
	if err != nil {
		return err
	}
	defer client.Close()
	filter := mqtt.Filter{Filter: "jobs/+", QoS: mqtt.AtLeastOnce}
	return client.Handle(ctx, mqtt.SubscribeOptions{Filters: []mqtt.Filter{filter}}, handle)
	// </after-service>
}

func publish(ctx context.Context, client *mqtt.Client, payload []byte) error {
	// <after-publish>
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return client.Publish(ctx, "results/7", payload, mqtt.AtLeastOnce) // NotSent(err) tells whether it may still be sent
	// </after-publish>
}

func ingest(ctx context.Context, server string, save func([]byte) error) error {
	// <after-ack>
	client, err := mqtt.Start(server, mqtt.Config{ClientID: "ingester", Resume: true})
	if err != nil {
		return err
	}
	defer client.Close()
	o := mqtt.SubscribeOptions{
		Filters:     []mqtt.Filter{{Filter: "readings/#", QoS: mqtt.AtLeastOnce}},
		Concurrency: 16, // in order for each topic
	}
	return client.Handle(ctx, o, func(_ context.Context, msg *mqtt.Message) error {
		return save(msg.Payload) // nil acknowledges
	})
	// </after-ack>
}

func stored(server string, file store.Store) (*mqtt.Client, error) {
	// <after-store>
	client, err := mqtt.Start(server, mqtt.Config{
		ClientID: "meter-12",
		Store:    file, // of bolt.Open(path, bolt.Config{})
	})
	// </after-store>
	return client, err
}

func credentials(server string, token func() string, certificate func() tls.Certificate) (*mqtt.Client, error) {
	// <after-credentials>
	client, err := mqtt.Start(server, mqtt.Config{
		Username: "device",
		Attempt: func(ctx context.Context, a *mqtt.Attempt) error {
			a.Password = mqtt.Secret(token())
			a.TLS.Certificates = []tls.Certificate{certificate()}
			return nil
		},
	})
	// </after-credentials>
	return client, err
}

func end(ctx context.Context, client *mqtt.Client) error {
	// <after-end>
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return client.Disconnect(ctx) // an *UnfinishedError counts what is left
	// </after-end>
}
