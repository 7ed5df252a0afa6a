package migration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
)

func pythonService(ctx context.Context, server string, work func([]byte) []byte) error {
	// <py-service>
	client, err := mqtt.Connect(ctx, server, mqtt.Config{
		ClientID: "worker-7",
		Will: &mqtt.Will{Message: mqtt.Message{
			Topic: "workers/7", Payload: []byte("gone"), QoS: mqtt.AtLeastOnce, Retain: true,
		}},
	})
	if err != nil {
		return err
	}
	defer client.Close()
	filter := mqtt.Filter{Filter: "jobs/+", QoS: mqtt.AtLeastOnce}
	o := mqtt.SubscribeOptions{Filters: []mqtt.Filter{filter}}
	return client.Handle(ctx, o, func(ctx context.Context, msg *mqtt.Message) error {
		return client.Publish(ctx, "results/7", work(msg.Payload), mqtt.AtLeastOnce)
	})
	// </py-service>
}

func once(ctx context.Context, server string) error {
	// <py-once>
	err := mqtt.PublishOnce(ctx, server, mqtt.Config{}, &mqtt.Message{
		Topic: "sensors/7/unit", Payload: []byte("C"), QoS: mqtt.AtLeastOnce, Retain: true,
	})
	if err != nil {
		return err
	}
	messages, err := mqtt.ReceiveOnce(ctx, server, mqtt.Config{}, "sensors/7/unit", 1)
	if err != nil {
		return err
	}
	fmt.Println(string(messages[0].Payload))
	// </py-once>
	return nil
}

func secure(ctx context.Context, host string, roots *x509.CertPool) (*mqtt.Client, error) {
	// <py-tls>
	client, err := mqtt.Connect(ctx, "mqtts://"+host, mqtt.Config{
		Username: "device", Password: "secret",
		TLS: &tls.Config{RootCAs: roots},
	})
	// </py-tls>
	return client, err
}

func loop(ctx context.Context, client *mqtt.Client, work func([]byte) []byte) error {
	// <loop>
	sub, err := client.Subscribe(ctx, "jobs/+", mqtt.AtLeastOnce)
	if err != nil {
		return err
	}
	for msg, err := range sub.All(ctx) { // acknowledges a message after the body
		if err != nil {
			return err
		}
		if err := client.Publish(ctx, "results/7", work(msg.Payload), mqtt.AtLeastOnce); err != nil {
			return err
		}
	}
	// </loop>
	return nil
}

func serve(ctx context.Context, address string) (*broker.Broker, string, error) {
	// <broker>
	b := broker.New(broker.Config{})
	addr, err := b.Listen(ctx, "tcp", address) // such as localhost:1883
	if err != nil {
		return nil, "", err
	}
	// </broker>
	return b, "mqtt://" + addr.String(), nil
}
