package guides_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

func devices(ctx context.Context, client *mqtt.Client) error {
	// <mux>
	mux, err := mqtt.NewMux(
		mqtt.MuxHandler{
			Pattern: "devices/{id}/up", QoS: mqtt.AtLeastOnce,
			Handle: func(ctx context.Context, msg *mqtt.Message) error {
				log.Printf("%s says %s", mqtt.MuxValues(ctx).Get("id"), msg.Payload)
				return nil
			},
		},
		mqtt.MuxHandler{
			Pattern: "devices/{id}/state/{path...}", // all levels that follow
			Handle: func(ctx context.Context, msg *mqtt.Message) error {
				log.Printf("%s: %s", mqtt.MuxValues(ctx).Get("path"), msg.Payload)
				return nil
			},
		},
	)
	if err != nil {
		return err // two patterns that cannot be told apart, for example
	}
	return client.Handle(ctx, mqtt.SubscribeOptions{Filters: mux.Filters()}, mux.Handle)
	// </mux>
}

// consuming runs f with a client of a broker until the bubble rests, and returns its error.
func consuming(t *testing.T, messages []*wire.Publish, f func(context.Context, *mqtt.Client) error, check func(*mqtttest.Broker)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{ClientID: "c", Dial: b.Dial})
		require.NoError(t, err)
		defer client.Close()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f(ctx, client) }()
		synctest.Wait()
		for _, m := range messages {
			b.Publish(m)
		}
		synctest.Wait()
		check(b)
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

func TestDevices(t *testing.T) {
	consuming(t, []*wire.Publish{{Topic: "devices/7/up", QoS: wire.AtLeastOnce}, {Topic: "devices/7/state/door"}}, devices, func(b *mqtttest.Broker) {
		b.Want(mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Up})
	})
}

var errOldFormat = errors.New("old format")

func insert(context.Context, *mqtt.Message) error { return errors.New("database is away") }

func withPolicy(ctx context.Context, client *mqtt.Client) error {
	// <failure>
	o := mqtt.SubscribeOptions{
		Filters:     []mqtt.Filter{{Filter: "orders/#", QoS: mqtt.AtLeastOnce}},
		Concurrency: 8,
		OnFailure: &mqtt.FailurePolicy{
			Attempts:   5,
			Backoff:    reconnect.Policy{Min: time.Second, Max: time.Minute},
			Permanent:  func(err error) bool { return errors.Is(err, errOldFormat) },
			DeadLetter: "dead/#", // orders/7 goes to dead/orders/7
		},
	}
	return client.Handle(ctx, o, func(ctx context.Context, msg *mqtt.Message) error {
		if len(msg.Payload) == 0 {
			return &mqtt.Refusal{ReasonCode: mqtt.PayloadFormatInvalid, ReasonString: "an order without content"}
		}
		return insert(ctx, msg) // an error: try again
	})
	// </failure>
}

func TestWithPolicy(t *testing.T) {
	messages := []*wire.Publish{
		{Topic: "orders/1", QoS: wire.AtLeastOnce},
		{Topic: "orders/7", Payload: []byte("tea"), QoS: wire.AtLeastOnce},
	}
	consuming(t, messages, withPolicy, func(b *mqtttest.Broker) {
		b.WantPublished("dead/orders/7", "tea")
		refused := b.Want(mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Up}).Packet.(*wire.Puback)
		require.Equal(t, wire.PayloadFormatInvalid, refused.ReasonCode)
	})
}

func batches(ctx context.Context, client *mqtt.Client, db *sql.DB) error {
	// <batches>
	sub, err := client.Subscribe(ctx, "readings/#", mqtt.AtLeastOnce)
	if err != nil {
		return err
	}
	o := mqtt.BatchOptions{Messages: 500, Wait: 100 * time.Millisecond}
	return sub.HandleBatches(ctx, o, func(ctx context.Context, batch []*mqtt.Message) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, msg := range batch {
			if _, err := tx.ExecContext(ctx, "insert into readings values (?, ?)", msg.Topic, msg.Payload); err != nil {
				return err
			}
		}
		return tx.Commit() // nil acknowledges the whole batch
	})
	// </batches>
}

func TestBatches(t *testing.T) {
	db := openRecorder(t)
	messages := []*wire.Publish{
		{Topic: "readings/1", Payload: []byte("a"), QoS: wire.AtLeastOnce},
		{Topic: "readings/2", Payload: []byte("b"), QoS: wire.AtLeastOnce},
	}
	f := func(ctx context.Context, client *mqtt.Client) error { return batches(ctx, client, db) }
	consuming(t, messages, f, func(b *mqtttest.Broker) {
		b.Want(mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Up, Times: 2})
	})
}

func ask(ctx context.Context, client *mqtt.Client) (string, error) {
	// <request>
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // travels with the request
	defer cancel()
	response, err := client.Request(ctx, &mqtt.Message{
		Topic: "prices", Payload: []byte("tea"), QoS: mqtt.AtLeastOnce,
	})
	switch {
	case errors.Is(err, mqtt.NoMatchingSubscribers):
		return "", errors.New("nobody answers there")
	case err != nil:
		return "", err // a *mqtt.ResponseError is the error of the responder
	}
	return string(response.Payload), nil
	// </request>
}

func answer(ctx context.Context, client *mqtt.Client) error {
	// <respond>
	return client.Respond(ctx, "prices", func(ctx context.Context, request *mqtt.Message) (*mqtt.Message, error) {
		if string(request.Payload) != "tea" {
			return nil, fmt.Errorf("no price for %s", request.Payload)
		}
		return &mqtt.Message{Payload: []byte("3.20")}, nil
	})
	// </respond>
}

func TestAskAndAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{ClientID: "c", Dial: b.Dial})
		require.NoError(t, err)
		defer client.Close()
		_, err = ask(t.Context(), client)
		require.EqualError(t, err, "nobody answers there")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- answer(ctx, client) }()
		b.WantSubscribed("prices")
		price, err := ask(t.Context(), client)
		require.NoError(t, err)
		require.Equal(t, "3.20", price)
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}
