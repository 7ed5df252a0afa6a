package guides_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/store/bolt"
	"github.com/seed65a45251/mqtt/wire"
)

// <embedded>
func serveLocally(ctx context.Context, address string) (*broker.Broker, error) { // such as localhost:1883
	b := broker.New(broker.Config{})
	if _, err := b.Listen(ctx, "tcp", address); err != nil {
		return nil, err
	}
	return b, nil // b.Close ends it; the end of ctx closes the address
}

// </embedded>

func TestServeLocally(t *testing.T) {
	b, err := serveLocally(t.Context(), "localhost:0")
	require.NoError(t, err)
	require.NoError(t, b.Close())
}

func connect(ctx context.Context, server string) (*mqtt.Client, error) {
	// <connect>
	client, err := mqtt.Connect(ctx, server, mqtt.Config{
		ClientID: "thermometer-7",
		Logger:   slog.Default(),
	})
	// </connect>
	return client, err
}

func publish(ctx context.Context, client *mqtt.Client) error {
	// <publish>
	err := client.Publish(ctx, "sensors/7/temp", []byte("21.5"), mqtt.AtLeastOnce)
	if err != nil {
		return err // the server does not have it, or refuses it; see below
	}
	// </publish>

	// <retained>
	err = client.PublishMessage(ctx, &mqtt.Message{
		Topic: "sensors/7/unit", Payload: []byte("°C"), QoS: mqtt.AtLeastOnce, Retain: true,
	})
	// </retained>
	return err
}

func TestPublish(t *testing.T) {
	b := newBroker(t)
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, publish(t.Context(), client))
	b.WantPublished("sensors/7/+", "21.5", "°C")
}

func publishMany(ctx context.Context, client *mqtt.Client, readings [][]byte) error {
	// <async>
	for _, reading := range readings {
		_, err := client.PublishAsync(ctx, &mqtt.Message{
			Topic: "sensors/7/temp", Payload: reading, QoS: mqtt.AtLeastOnce,
		})
		if err != nil {
			return err
		}
	}
	return client.Flush(ctx) // waits until the server has answered for all of them
	// </async>
}

func TestPublishMany(t *testing.T) {
	b := newBroker(t)
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, publishMany(t.Context(), client, [][]byte{[]byte("1"), []byte("2")}))
	b.WantPublished("sensors/7/temp", "1", "2")
}

func save(context.Context, *mqtt.Message) error { return nil }

func receive(ctx context.Context, client *mqtt.Client) error {
	// <handle>
	filter := mqtt.Filter{Filter: "sensors/+/temp", QoS: mqtt.AtLeastOnce}
	o := mqtt.SubscribeOptions{Filters: []mqtt.Filter{filter}}
	err := client.Handle(ctx, o, func(ctx context.Context, msg *mqtt.Message) error {
		return save(ctx, msg) // nil acknowledges the message
	})
	if ctx.Err() != nil {
		return nil // we were asked to stop
	}
	return err // the server refused the filter, save failed, or the client ended
	// </handle>
}

func TestReceive(t *testing.T) {
	b := newBroker(t)
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer client.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- receive(ctx, client) }()
	b.WantSubscribed("sensors/+/temp")
	b.Publish(&wire.Publish{Topic: "sensors/7/temp", QoS: wire.AtLeastOnce})
	b.Want(mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Up})
	stop()
	require.NoError(t, <-ended)
}

// <service>
func service(ctx context.Context, server string) error {
	client, err := mqtt.Start(server, mqtt.Config{ClientID: "alarm-service"})
	if err != nil {
		return err // the URL or the Config cannot work
	}
	defer client.Close()

	working := context.WithoutCancel(ctx) // the end of ctx breaks off no message
	ended := make(chan error, 1)
	go func() {
		filter := mqtt.Filter{Filter: "sensors/+/temp", QoS: mqtt.AtLeastOnce}
		o := mqtt.SubscribeOptions{Filters: []mqtt.Filter{filter}}
		ended <- client.Handle(working, o, func(ctx context.Context, msg *mqtt.Message) error {
			return client.Publish(ctx, "alarms/temp", msg.Payload, mqtt.AtLeastOnce)
		})
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done(): // by signal.NotifyContext, for example
	}
	limited, cancel := context.WithTimeout(working, 30*time.Second)
	defer cancel()
	return client.Disconnect(limited) // what was received is handled, what was published arrives
}

// </service>

func TestService(t *testing.T) {
	b := newBroker(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service(ctx, b.URL()) }()
	b.WantSubscribed("sensors/+/temp")
	b.Publish(&wire.Publish{Topic: "sensors/7/temp", Payload: []byte("91"), QoS: wire.AtLeastOnce})
	b.WantPublished("alarms/temp", "91")
	stop()
	require.NoError(t, <-ended)
	b.WantNoLeak()
}

func durable(ctx context.Context, server, file string) (err error) {
	// <durable>
	db, err := bolt.Open(file, bolt.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }() // after the client
	client, err := mqtt.Start(server, mqtt.Config{ClientID: "meter-12", Store: db})
	if err != nil {
		return err
	}
	defer client.Close()

	_, err = client.PublishAsync(ctx, &mqtt.Message{ // returns when the message is on the disk
		Topic: "meters/12", Payload: []byte("4711"), QoS: mqtt.ExactlyOnce,
	})
	// </durable>
	if err != nil {
		return err
	}
	return client.Flush(ctx)
}

func TestDurable(t *testing.T) {
	b := newBroker(t)
	require.NoError(t, durable(t.Context(), b.URL(), filepath.Join(t.TempDir(), "meter.db")))
	b.WantPublished("meters/12", "4711")
}

func classify(err error) string {
	// <errors>
	refused, _ := errors.AsType[*mqtt.ServerError](err)
	switch {
	case err == nil:
		return "the server has it"
	case errors.Is(err, mqtt.NotAuthorized):
		return "the server does not let us"
	case refused != nil:
		return fmt.Sprintf("the server says %v: %s", refused.ReasonCode, refused.ReasonString)
	case mqtt.NotSent(err):
		return "nothing was sent: publishing again cannot make a duplicate"
	default:
		return "nobody knows: the server may have it"
	}
	// </errors>
}

func TestClassify(t *testing.T) {
	b := mqtttest.NewBrokerWith(t, mqtttest.Config{Broker: broker.Config{
		Authorizers: []broker.Authorizer{broker.AuthorizerFunc(func(_ context.Context, a *broker.Access) broker.Decision {
			switch a.Topic {
			case "secret":
				return broker.Deny(wire.NotAuthorized, "")
			case "full":
				return broker.Deny(wire.QuotaExceeded, "come back tomorrow")
			}
			return broker.Allow()
		})},
	}})
	client, err := connect(t.Context(), b.URL())
	require.NoError(t, err)
	defer client.Close()
	ended, end := context.WithCancel(t.Context())
	end()
	require.Equal(t, "the server has it", classify(client.Publish(t.Context(), "t", nil, mqtt.AtLeastOnce)))
	require.Equal(t, "the server does not let us", classify(client.Publish(t.Context(), "secret", nil, mqtt.AtLeastOnce)))
	require.Equal(t, "the server says quota exceeded (0x97): come back tomorrow",
		classify(client.Publish(t.Context(), "full", nil, mqtt.AtLeastOnce)))
	require.Equal(t, "nothing was sent: publishing again cannot make a duplicate",
		classify(client.Publish(ended, "t", nil, mqtt.AtLeastOnce)))
	b.Swallow(mqtttest.Match{Type: wire.TypePuback})
	waiting, giveUp := context.WithCancel(t.Context())
	unknown := make(chan error, 1)
	go func() { unknown <- client.Publish(waiting, "slow", nil, mqtt.AtLeastOnce) }()
	b.WantPublished("slow")
	giveUp()
	require.Equal(t, "nobody knows: the server may have it", classify(<-unknown))
}
