package payload_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/contrib/payload"
	"github.com/seed65a45251/mqtt/wire"
)

type reading struct {
	Sensor string  `json:"sensor"`
	Value  float64 `json:"value"`
}

var readings payload.JSON[reading]

// connected returns a client of an embedded broker.
func connected(t *testing.T, v mqtt.Version) *mqtt.Client {
	t.Helper()
	b := broker.New(broker.Config{})
	t.Cleanup(func() { b.Close() })
	client, err := mqtt.Connect(t.Context(), "mqtt://broker", mqtt.Config{Version: v,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

func eachVersion(t *testing.T, f func(*testing.T, mqtt.Version)) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		t.Run(v.String(), func(t *testing.T) { f(t, v) })
	}
}

func TestValuesGoThroughTheBroker(t *testing.T) {
	eachVersion(t, func(t *testing.T, v mqtt.Version) {
		client := connected(t, v)
		sub, err := client.Subscribe(t.Context(), "readings/#", mqtt.AtLeastOnce)
		require.NoError(t, err)
		for i := range 3 {
			require.NoError(t, payload.Publish(t.Context(), client, readings,
				mqtt.Message{Topic: fmt.Sprint("readings/", i), QoS: mqtt.AtLeastOnce}, reading{"s", float64(i)}))
		}
		for r, err := range payload.All(readings, sub.All(t.Context())) {
			require.NoError(t, err)
			require.Equal(t, reading{"s", 0}, r.Value)
			require.Equal(t, "readings/0", r.Topic)
			require.Equal(t, v == mqtt.V5, r.PayloadFormatUTF8)
			require.Equal(t, v == mqtt.V5, r.ContentType == "application/json")
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = sub.Handle(ctx, payload.Handler(readings, func(_ context.Context, r reading, m *mqtt.Message) error {
			require.Equal(t, fmt.Sprint("readings/", r.Value), m.Topic)
			if r.Value == 2 {
				cancel()
			}
			return nil
		}))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestPropertiesOfTheProgramAreNotLeftOut(t *testing.T) {
	client := connected(t, mqtt.V311)
	err := payload.Publish(t.Context(), client, readings, mqtt.Message{Topic: "t", ResponseTopic: "r"}, reading{})
	_, ok := errors.AsType[*wire.FieldError](err)
	require.True(t, ok, "%v", err)
	require.True(t, mqtt.NotSent(err))
}

func TestWhatCannotBeEncodedIsNotPublished(t *testing.T) {
	client := connected(t, mqtt.V5)
	err := payload.Publish(t.Context(), client, payload.JSON[func()]{}, mqtt.Message{Topic: "t"}, func() {})
	require.ErrorContains(t, err, `payload for "t": json: unsupported type`)
	require.Zero(t, client.Stats().Published)
}

func TestUndecodableMessage(t *testing.T) {
	handler := payload.Handler(readings, func(context.Context, reading, *mqtt.Message) error { panic("called") })
	err := handler(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte("{")})
	require.EqualError(t, err, `payload on "t": unexpected end of JSON input`)
	require.ErrorIs(t, err, mqtt.PayloadFormatInvalid)
	bad, ok := errors.AsType[*payload.DecodeError](err)
	require.True(t, ok)
	require.Equal(t, "t", bad.Topic)
	require.Error(t, bad.Err)
}

func TestLoopGoesOnAfterAnUndecodableMessage(t *testing.T) {
	failure := errors.New("the end")
	messages := func(yield func(*mqtt.Message, error) bool) {
		_ = yield(&mqtt.Message{Payload: []byte(`{"value":1}`)}, nil) && yield(&mqtt.Message{Payload: []byte("x")}, nil) &&
			yield(&mqtt.Message{Payload: []byte(`{"value":3}`)}, nil) && yield(nil, failure)
	}
	var got []string
	for r, err := range payload.All(readings, messages) {
		got = append(got, fmt.Sprint(r.Value.Value, " ", r.Message != nil, " ", errors.Is(err, mqtt.PayloadFormatInvalid), " ", errors.Is(err, failure)))
	}
	require.Equal(t, []string{"1 true false false", "0 true true false", "3 true false false", "0 false false true"}, got)
}

// The policy of a Subscription refuses what cannot be decoded, alone or in a batch.
func TestUndecodableMessagesAreRefused(t *testing.T) {
	for name, handle := range map[string]func(context.Context, *mqtt.Subscription, func(reading)) error{
		"Handle": func(ctx context.Context, sub *mqtt.Subscription, got func(reading)) error {
			return sub.Handle(ctx, payload.Handler(readings, func(_ context.Context, r reading, _ *mqtt.Message) error {
				got(r)
				return nil
			}))
		},
		"HandleBatches": func(ctx context.Context, sub *mqtt.Subscription, got func(reading)) error {
			return sub.HandleBatches(ctx, mqtt.BatchOptions{}, payload.BatchHandler(readings, func(_ context.Context, batch []payload.Received[reading]) error {
				for _, r := range batch {
					got(r.Value)
				}
				return nil
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := connected(t, mqtt.V5)
			sub, err := client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{
				Filters: []mqtt.Filter{{Filter: "t", QoS: mqtt.AtLeastOnce}},
				OnFailure: &mqtt.FailurePolicy{
					Attempts: -1, Permanent: func(err error) bool { return errors.Is(err, mqtt.PayloadFormatInvalid) },
					Refuse: mqtt.PayloadFormatInvalid,
				},
			})
			require.NoError(t, err)
			for _, text := range []string{`{"value":1}`, `1`, `{"value":3}`} {
				require.NoError(t, client.Publish(t.Context(), "t", []byte(text), mqtt.AtLeastOnce))
			}
			ctx, cancel := context.WithCancel(t.Context())
			var got []float64
			err = handle(ctx, sub, func(r reading) {
				if got = append(got, r.Value); r.Value == 3 {
					cancel()
				}
			})
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, []float64{1, 3}, got)
			require.Equal(t, uint64(1), client.Stats().Rejected)
		})
	}
}
