package mosquittotest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/mosquitto"
)

// respondTo answers on filter until the test is over.
func respondTo(t *testing.T, client *mqtt.Client, filter string, f ResponderFunc) {
	t.Helper()
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { done <- client.Respond(ctx, filter, f) }()
	t.Cleanup(func() {
		stop()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// askUntilHeard asks until somebody listens.
func askUntilHeard(ctx context.Context, client *mqtt.Client, m *mqtt.Message) (*mqtt.Message, error) {
	for {
		response, err := client.Request(ctx, m)
		if !errors.Is(err, mqtt.NoMatchingSubscribers) {
			return response, err
		}
	}
}

func TestMosquittoCarriesManyRequests(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	cfg := mqtt.Config{Version: mqtt.V5, RequestResponseInformation: true}
	service, client := connectTo(t, server.URL(), cfg), connectTo(t, server.URL(), cfg)
	respondTo(t, service, "$share/workers/orders/+", func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
		if string(m.Payload) == "13" {
			return nil, errors.New("unlucky")
		}
		return &mqtt.Message{Payload: append([]byte(m.Topic+" "), m.Payload...)}, nil
	})
	_, err := askUntilHeard(ctx, client, &mqtt.Message{Topic: "orders/new", Payload: []byte("13"), QoS: mqtt.AtLeastOnce})
	failed, ok := errors.AsType[*mqtt.ResponseError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "unlucky", failed.Text)

	calls := make([]*Requesting, 100)
	for i := range calls {
		calls[i] = BeginRequest(ctx, client, &mqtt.Message{Topic: "orders/new", Payload: fmt.Append(nil, 100+i), QoS: mqtt.QoS(i % 3)})
	}
	for i, r := range calls {
		require.NoError(t, r.Wait())
		require.Equal(t, fmt.Sprint("orders/new ", 100+i), string(r.Response.Payload))
	}
	require.Zero(t, client.Stats().StrayResponses)
	require.Zero(t, service.Stats().Unanswered)
}

func TestMosquittoCarriesRequestsOnANamedTopic(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V311})
	// What the responder has said before must not be taken for the response.
	require.NoError(t, client.PublishMessage(ctx, &mqtt.Message{Topic: "response", Payload: []byte("old"), QoS: mqtt.AtLeastOnce, Retain: true}))
	requests := subscribeTo(t, client, "request", mqtt.AtLeastOnce)
	for i := range 20 {
		r := BeginRequest(ctx, client, &mqtt.Message{Topic: "request", Payload: fmt.Append(nil, i), QoS: mqtt.AtLeastOnce, ResponseTopic: "response"})
		wantPayloads(t, requests, fmt.Sprint(i))
		publish(t, client, "response", fmt.Sprint("re ", i), mqtt.AtLeastOnce)
		require.NoError(t, r.Wait())
		require.Equal(t, fmt.Sprint("re ", i), string(r.Response.Payload))
	}
}

// The deadline of a Request reaches the function of Respond by way of the server.
func TestMosquittoCarriesTheDeadlineOfARequest(t *testing.T) {
	server := startServer(t, mosquitto.Options{})
	ctx := testContext(t)
	client := connectTo(t, server.URL(), mqtt.Config{Version: mqtt.V5})
	left := make(chan time.Duration, 1)
	respondTo(t, client, "orders", func(ctx context.Context, m *mqtt.Message) (*mqtt.Message, error) {
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		select {
		case left <- time.Until(deadline):
		default:
		}
		return m, nil
	})
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err := askUntilHeard(limited, client, &mqtt.Message{Topic: "orders", QoS: mqtt.AtLeastOnce})
	require.NoError(t, err)
	got := <-left
	require.Positive(t, got)
	require.LessOrEqual(t, got, 31*time.Second)
	require.Zero(t, client.Stats().Unanswered)
}
