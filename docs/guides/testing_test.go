package guides_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// <program>
func watch(ctx context.Context, server string, cfg mqtt.Config) error {
	client, err := mqtt.Start(server, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	filter := mqtt.Filter{Filter: "sensors/+/temp", QoS: mqtt.AtLeastOnce}
	o := mqtt.SubscribeOptions{Filters: []mqtt.Filter{filter}}
	return client.Handle(ctx, o, func(ctx context.Context, msg *mqtt.Message) error {
		temperature, err := strconv.ParseFloat(string(msg.Payload), 64)
		if err != nil {
			return mqtt.PayloadFormatInvalid // refuses the message, and Handle goes on
		}
		if temperature < 90 {
			return nil
		}
		return client.Publish(ctx, "alarms", msg.Payload, mqtt.AtLeastOnce)
	})
}

// </program>

// <first>
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- watch(ctx, b.URL(), mqtt.Config{ClientID: "watcher", Dial: b.Dial}) }()

		b.WantSubscribed("sensors/+/temp")
		b.Publish(&wire.Publish{Topic: "sensors/7/temp", Payload: []byte("91.5"), QoS: wire.AtLeastOnce})
		b.WantPublished("alarms", "91.5")

		synctest.Wait() // until nothing moves any more: the message is acknowledged
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
		b.WantNoLeak()
	})
}

// </first>

// watching starts the program, and ends it after the test.
func watching(t *testing.T) *mqtttest.Broker {
	b := mqtttest.NewBroker(t)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- watch(ctx, b.URL(), mqtt.Config{ClientID: "watcher", Dial: b.Dial}) }()
	t.Cleanup(func() {
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	b.WantSubscribed("sensors/+/temp")
	return b
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := watching(t)
		alarm := func(payload string) {
			b.Publish(&wire.Publish{Topic: "sensors/7/temp", Payload: []byte(payload), QoS: wire.AtLeastOnce})
		}
		// <faults>
		b.LoseSession() // the server forgets the client, which has to subscribe again
		b.Want(mqtttest.Match{Type: wire.TypeSuback, Times: 2})
		alarm("92")
		b.WantPublished("alarms", "92")

		b.Stop() // the server is away, for less time than it keeps the session
		time.Sleep(time.Minute)
		alarm("93")
		b.Start()
		b.WantPublished("alarms", "93")

		b.HalfOpen() // nobody answers any more, and nobody says so
		time.Sleep(2 * time.Minute)
		alarm("94")
		b.Heal()
		b.WantPublished("alarms", "94")

		b.CutAt(mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Down}, 0)
		alarm("95") // its acknowledgement gets lost with the connection
		b.WantPublished("alarms", "95")
		// </faults>
	})
}

func TestControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := watching(t)
		// <control>
		stop := b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
			if publish := p.Packet.(*wire.Publish); publish.Topic == "alarms" && !publish.Duplicate {
				p.Drop()
				p.Cut() // the server vanishes each time, just before an alarm arrives
			}
		})
		defer stop()
		// </control>
		b.Publish(&wire.Publish{Topic: "sensors/7/temp", Payload: []byte("96"), QoS: wire.AtLeastOnce})
		b.WantPublished("alarms", "96")
	})
}

func TestBrokerWithHooks(t *testing.T) {
	// <config>
	b := mqtttest.NewBrokerWith(t, mqtttest.Config{Broker: broker.Config{
		Authenticators: []broker.Authenticator{
			broker.AuthenticatorFunc(func(_ context.Context, l *broker.Login) broker.Decision {
				if string(l.Password) == "sesame" {
					return broker.Allow()
				}
				return broker.Deny(wire.BadUserNameOrPassword, "")
			}),
		},
		MaximumPacketSize: 1024,
	}})
	// </config>
	_, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Username: "u", Password: "guess"})
	require.ErrorIs(t, err, mqtt.BadUserNameOrPassword)
	client, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Username: "u", Password: "sesame"})
	require.NoError(t, err)
	defer client.Close()
	require.ErrorIs(t, client.Publish(t.Context(), "t", make([]byte, 2048), mqtt.AtLeastOnce), mqtt.PacketTooLarge)
}

// <scripted>
func TestPublishIsRepeatedAfterReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		go func() {
			client, err := mqtt.Connect(t.Context(), srv.URL(), mqtt.Config{ClientID: "c", Dial: srv.Dial})
			if err == nil {
				err = client.Publish(t.Context(), "t", []byte("x"), mqtt.AtLeastOnce)
				client.Close()
			}
			if err != nil {
				t.Error(err)
			}
		}()
		conn := srv.Connected(&wire.Connack{})
		first := mqtttest.Take[*wire.Publish](conn)
		conn.Close() // the server has the message and vanishes

		conn = srv.Connected(&wire.Connack{SessionPresent: true})
		again := mqtttest.Take[*wire.Publish](conn)
		require.True(t, again.Duplicate)
		require.Equal(t, first.PacketID, again.PacketID)
		conn.Send(&wire.Puback{PacketID: again.PacketID})
		conn.WantDisconnect(wire.Success)
	})
}

// </scripted>
