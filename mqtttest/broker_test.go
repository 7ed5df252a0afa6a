package mqtttest_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

// bubble runs f in fake time.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// connect connects a client in memory; it ends before the broker does.
func connect(t *testing.T, b *mqtttest.Broker, cfg mqtt.Config) *mqtt.Client {
	t.Helper()
	cfg.Dial = b.Dial
	if cfg.ClientID == "" {
		cfg.ClientID = "c1"
	}
	client, err := mqtt.Connect(t.Context(), b.URL(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// quickly tries again soon.
var quickly = reconnect.Policy{Min: time.Second, Max: time.Second}

func subscribe(t *testing.T, c *mqtt.Client, filter string) *mqtt.Subscription {
	t.Helper()
	sub, err := c.Subscribe(t.Context(), filter, mqtt.ExactlyOnce)
	require.NoError(t, err)
	return sub
}

func publish(t *testing.T, c *mqtt.Client, topic, payload string, qos mqtt.QoS) {
	t.Helper()
	require.NoError(t, c.Publish(t.Context(), topic, []byte(payload), qos))
}

func next(t *testing.T, sub *mqtt.Subscription) *mqtt.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	m, err := sub.Next(ctx)
	require.NoError(t, err)
	return m
}

func TestEveryVersionAndQoSInMemory(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		t.Run(version.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				c := connect(t, b, mqtt.Config{Version: version})
				sub := subscribe(t, c, "a/+")
				for qos := range mqtt.ExactlyOnce + 1 {
					publish(t, c, "a/b", "hello", qos)
					m := next(t, sub)
					require.Equal(t, "hello", string(m.Payload))
					require.Equal(t, qos, m.QoS)
				}
				require.Equal(t, wire.ExactlyOnce, b.WantSubscribed("a/+"))
				require.Len(t, b.WantPublished("a/b"), 3)
				require.NoError(t, c.Disconnect(t.Context()))
				b.WantNoLeak()
			})
		})
	}
}

func TestLoopbackAndMemorySideBySide(t *testing.T) {
	b := mqtttest.NewBroker(t)
	require.Equal(t, b.URL(), b.URL(), "one port")
	far, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{ClientID: "far"})
	require.NoError(t, err)
	near := connect(t, b, mqtt.Config{ClientID: "near"})
	sub := subscribe(t, near, "t")
	publish(t, far, "t", "over a socket", mqtt.AtLeastOnce)
	require.Equal(t, "over a socket", string(next(t, sub).Payload))
	b.WantConnected("near", "far")
	require.Equal(t, 2, b.Stats().Sessions)

	require.NoError(t, far.Disconnect(t.Context()))
	b.WantDisconnected("far")
	require.NoError(t, near.Disconnect(t.Context()))
	b.WantNoLeak()
}

func TestURLInABubbleOpensNoSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		_, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{})
		require.Error(t, err, "only with Dial")
		require.ErrorAs(t, err, new(*net.OpError))
	})
}

func TestHoursTakeNoTime(t *testing.T) {
	started := time.Now()
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{KeepAlive: time.Minute})
		time.Sleep(2 * time.Hour) // of the bubble
		require.Equal(t, mqtt.Connected, c.State())
		b.Want(mqtttest.Match{Type: wire.TypePingresp, Times: 100})
	})
	require.Less(t, time.Since(started), time.Minute)
}

func TestPublishWithoutAClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		b.Publish(&wire.Publish{Topic: "t", Payload: []byte("kept"), Retain: true})
		m := next(t, subscribe(t, connect(t, b, mqtt.Config{}), "t"))
		require.Equal(t, "kept", string(m.Payload))
		require.True(t, m.Retain)
	})
}

func TestConfigReachesTheBroker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBrokerWith(t, mqtttest.Config{Broker: broker.Config{
			Authenticators: []broker.Authenticator{broker.AuthenticatorFunc(func(_ context.Context, l *broker.Login) broker.Decision {
				if l.Username != "alice" {
					return broker.Deny(wire.NotAuthorized, "")
				}
				return broker.Allow()
			})},
		}})
		_, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{Dial: b.Dial, Username: "mallory"})
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		connect(t, b, mqtt.Config{Username: "alice"})
	})
}

func TestRestartKeepsTheState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{Reconnect: quickly})
		sub := subscribe(t, c, "t")
		b.Stop()
		b.WantDisconnected("c1")
		b.Want(mqtttest.Match{Type: wire.TypeDisconnect, Direction: mqtttest.Down, If: func(p wire.Packet) bool {
			return p.(*wire.Disconnect).ReasonCode == wire.ServerShuttingDown
		}})
		_, err := b.Dial(t.Context(), "tcp", "")
		require.ErrorContains(t, err, "refused")
		b.Publish(&wire.Publish{Topic: "t", Payload: []byte("while away"), QoS: wire.AtLeastOnce, PacketID: 1})
		b.Start()
		require.Equal(t, "while away", string(next(t, sub).Payload))
		require.True(t, c.ServerInfo().SessionPresent)
	})
}

func TestRestartEmptyForgets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		b.Publish(&wire.Publish{Topic: "kept", Payload: []byte("x"), Retain: true})
		c := connect(t, b, mqtt.Config{Reconnect: quickly})
		sub := subscribe(t, c, "t")
		events := c.Watch(t.Context())
		b.RestartEmpty()
		require.Equal(t, mqtt.SessionLost, untilConnected(events).Session)
		require.Zero(t, b.Stats().Retained)
		b.WantSubscribed("t")
		publish(t, c, "t", "again", mqtt.ExactlyOnce)
		require.Equal(t, "again", string(next(t, sub).Payload))
	})
}

// untilConnected waits for the next connection.
func untilConnected(events <-chan mqtt.Event) mqtt.Event {
	for e := range events {
		if e.State == mqtt.Connected && e.Session != mqtt.SessionNew {
			return e
		}
	}
	return mqtt.Event{}
}

func TestStoppedPortResets(t *testing.T) {
	b := mqtttest.NewBroker(t)
	url := b.URL()
	b.Stop()
	_, err := mqtt.Connect(t.Context(), url, mqtt.Config{})
	require.Error(t, err)
	b.Start()
	c, err := mqtt.Connect(t.Context(), url, mqtt.Config{})
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestLoseSession(t *testing.T) {
	for _, version := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		t.Run(version.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				for _, id := range []string{"c1", "c2"} {
					c := connect(t, b, mqtt.Config{ClientID: id, Version: version, Resume: true, Reconnect: quickly})
					subscribe(t, c, "t")
				}
				require.Equal(t, 2, b.Stats().Subscriptions)
				b.LoseSession("c1")
				b.Want(mqtttest.Match{Type: wire.TypeConnack, ClientID: "c1", Times: 2})
				b.WantConnected("c2")
				b.Want(mqtttest.Match{Type: wire.TypeSubscribe, ClientID: "c1", Times: 2})
				if version == mqtt.V31 {
					return // a client that cannot know subscribes on every connection
				}

				b.LoseSession()
				b.Want(mqtttest.Match{Type: wire.TypeSubscribe, ClientID: "c1", Times: 3})
				b.Want(mqtttest.Match{Type: wire.TypeSubscribe, ClientID: "c2", Times: 2})

				b.Drop()
				last := b.Want(mqtttest.Match{Type: wire.TypeConnack, ClientID: "c1", Times: 4})
				require.True(t, last.Packet.(*wire.Connack).SessionPresent, "it is lost once")
			})
		})
	}
}
