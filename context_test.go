package mqtt_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// errTooLate is why the contexts of these tests have ended.
var errTooLate = errors.New("too late")

// ended are the calls that take a context, by receiver and method. What they do under one
// that has ended before is the same each time, whatever else is there.
var ended = map[string]func(context.Context, *endedWorld) error{
	"Client.Publish": func(ctx context.Context, w *endedWorld) error {
		return w.client.Publish(ctx, "t", nil, mqtt.AtLeastOnce)
	},
	"Client.PublishMessage": func(ctx context.Context, w *endedWorld) error {
		return w.client.PublishMessage(ctx, &mqtt.Message{Topic: "t"})
	},
	"Client.PublishAsync": func(ctx context.Context, w *endedWorld) error {
		_, err := w.client.PublishAsync(ctx, &mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
		return err
	},
	"Client.Subscribe": func(ctx context.Context, w *endedWorld) error {
		_, err := w.client.Subscribe(ctx, "s", mqtt.AtLeastOnce)
		return err
	},
	"Client.SubscribeWith": func(ctx context.Context, w *endedWorld) error {
		_, err := w.client.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: Filters("s")})
		return err
	},
	"Client.Handle": func(ctx context.Context, w *endedWorld) error {
		return w.client.Handle(ctx, mqtt.SubscribeOptions{Filters: Filters("s")}, w.handle)
	},
	"Client.Unsubscribe": func(ctx context.Context, w *endedWorld) error { return w.client.Unsubscribe(ctx, "s") },
	"Client.UnsubscribeWith": func(ctx context.Context, w *endedWorld) error {
		_, err := w.client.UnsubscribeWith(ctx, mqtt.UnsubscribeOptions{Filters: []string{"s"}})
		return err
	},
	"Client.Request": func(ctx context.Context, w *endedWorld) error {
		_, err := w.client.Request(ctx, &mqtt.Message{Topic: "t"})
		return err
	},
	"Client.Respond": func(ctx context.Context, w *endedWorld) error {
		return w.client.Respond(ctx, "s", w.respond)
	},
	"Client.RespondWith": func(ctx context.Context, w *endedWorld) error {
		return w.client.RespondWith(ctx, mqtt.RespondOptions{SubscribeOptions: mqtt.SubscribeOptions{Filters: Filters("s")}}, w.respond)
	},
	"Client.Ping": func(ctx context.Context, w *endedWorld) error {
		_, err := w.client.Ping(ctx)
		return err
	},
	"Client.Reconnect":      func(ctx context.Context, w *endedWorld) error { return w.client.Reconnect(ctx) },
	"Client.Reauthenticate": func(ctx context.Context, w *endedWorld) error { return w.client.Reauthenticate(ctx) },
	"Client.Watch": func(ctx context.Context, w *endedWorld) error {
		for e := range w.client.Watch(ctx) {
			w.t.Errorf("Watch has %v", e)
		}
		return errTooLate
	},
	"Subscription.Next": func(ctx context.Context, w *endedWorld) error {
		_, err := w.sub.Next(ctx)
		return err
	},
	"Subscription.All": func(ctx context.Context, w *endedWorld) error {
		for m, err := range w.sub.All(ctx) {
			if err != nil {
				return err
			}
			w.t.Errorf("All has %q", m.Payload)
		}
		return nil
	},
	"Subscription.Stream": func(ctx context.Context, w *endedWorld) error {
		for m := range w.sub.Stream(ctx) {
			w.t.Errorf("Stream has %q", m.Payload)
		}
		return errTooLate
	},
	"Subscription.Handle": func(ctx context.Context, w *endedWorld) error { return w.sub.Handle(ctx, w.handle) },
	"Subscription.HandleBatches": func(ctx context.Context, w *endedWorld) error {
		return w.sub.HandleBatches(ctx, mqtt.BatchOptions{Messages: 1}, func(context.Context, []*mqtt.Message) error {
			w.t.Error("HandleBatches has a batch")
			return nil
		})
	},
}

// endedWaits only wait, for what is there already.
var endedWaits = map[string]func(context.Context, *endedWorld) error{
	"Client.WaitConnected": func(ctx context.Context, w *endedWorld) error { return w.client.WaitConnected(ctx) },
	"Client.Flush":         func(ctx context.Context, w *endedWorld) error { return w.client.Flush(ctx) },
	"Delivery.Wait": func(ctx context.Context, w *endedWorld) error {
		_, err := w.delivery.Wait(ctx)
		return err
	},
}

// endedCleanups end what they are called on, whatever became of the context.
var endedCleanups = []string{"Client.Disconnect", "Client.DisconnectWith", "Subscription.Unsubscribe", "Subscription.Drain"}

// endedWorld is what the calls are made on: a client with a connection and an acknowledged
// message, and a Subscription for which messages wait.
type endedWorld struct {
	t        *testing.T
	client   *mqtt.Client
	sub      *mqtt.Subscription
	delivery *mqtt.Delivery
}

func (w *endedWorld) handle(_ context.Context, m *mqtt.Message) error {
	w.t.Errorf("Handle has %q", m.Payload)
	return nil
}

func (w *endedWorld) respond(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
	w.t.Errorf("Respond has %q", m.Payload)
	return nil, nil
}

func TestACallUnderAnEndedContextDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg, authenticator := authenticated(srv)
		client, conn := OpenWith(t, srv, cfg, proven())
		w := &endedWorld{t: t, client: client, sub: Subscribe(t, client, conn, "in", mqtt.AtLeastOnce)}
		w.delivery = PublishAsync(t, client, "x", mqtt.AtLeastOnce)
		conn.Send(Puback(mqtttest.Take[*wire.Publish](conn).PacketID))
		const waiting = 3
		for i := range uint16(waiting) {
			conn.Send(To("in", Pub(i+1, 1, "waits")))
		}
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errTooLate)
		for range 20 { // a coin that is tossed falls on both sides
			for name, call := range ended {
				require.ErrorIs(t, call(ctx, w), errTooLate, name)
			}
			for name, call := range endedWaits {
				require.NoError(t, call(ctx, w), name)
			}
		}
		conn.WantIdle()
		require.Equal(t, waiting, w.sub.Held().Messages)
		require.Equal(t, mqtt.Connected, client.State())
		require.Zero(t, client.Stats().Queued)
		require.Equal(t, 1, authenticator.exchanges)
	})
}

func TestConnectUnderAnEndedContextDialsNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errTooLate)
	cfg := mqtt.Config{Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("Dial is called")
		return nil, errors.ErrUnsupported
	}}
	const server = "mqtt://server"
	for range 20 {
		_, err := mqtt.Connect(ctx, server, cfg)
		require.ErrorIs(t, err, errTooLate)
		require.ErrorIs(t, mqtt.PublishOnce(ctx, server, cfg, &mqtt.Message{Topic: "t"}), errTooLate)
		_, err = mqtt.ReceiveOnce(ctx, server, cfg, "t", 1)
		require.ErrorIs(t, err, errTooLate)
	}
}

// TestEveryCallIsTriedUnderAnEndedContext finds methods that are in none of the lists.
func TestEveryCallIsTriedUnderAnEndedContext(t *testing.T) {
	takesContext := reflect.TypeFor[context.Context]()
	var want, have []string
	for _, receiver := range []reflect.Type{reflect.TypeFor[*mqtt.Client](), reflect.TypeFor[*mqtt.Subscription](), reflect.TypeFor[*mqtt.Delivery]()} {
		for m := range receiver.Methods() {
			if m.Type.NumIn() > 1 && m.Type.In(1) == takesContext {
				want = append(want, receiver.Elem().Name()+"."+m.Name)
			}
		}
	}
	have = slices.AppendSeq(have, maps.Keys(ended))
	have = slices.AppendSeq(have, maps.Keys(endedWaits))
	require.ElementsMatch(t, want, append(have, endedCleanups...))
}
