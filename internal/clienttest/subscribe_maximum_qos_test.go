package clienttest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// strict is a broker that never answers a SUBSCRIBE above QoS max, and says its maximum
// only if it is announced. It counts such requests.
func strict(t *testing.T, max wire.QoS, announced bool) (b *mqtttest.Broker, above *int) {
	b, above = mqtttest.NewBroker(t), new(int)
	if announced {
		b.Announce(func(ack *wire.Connack) { ack.MaximumQoS = &max })
	}
	b.Control(wire.TypeSubscribe, func(p *mqtttest.Packet) {
		for _, f := range p.Packet.(*wire.Subscribe).Filters {
			if f.QoS > max {
				*above++
				p.Drop()
			}
		}
	})
	return b, above
}

// TestNothingIsSubscribedAboveTheMaximumQoS uses all that subscribes by itself, and a
// Subscription that asks for too much, before and after a reconnect.
func TestNothingIsSubscribedAboveTheMaximumQoS(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		for max := mqtt.AtMostOnce; max <= mqtt.AtLeastOnce; max++ {
			t.Run(fmt.Sprint(v, "/", max), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, above := strict(t, max, v == mqtt.V5)
					cfg := mqtt.Config{Dial: b.Dial, Version: v, ClientID: "c"}
					if v < mqtt.V5 {
						cfg.MaximumQoS = &max
					}
					c, err := mqtt.Connect(t.Context(), b.URL(), cfg)
					require.NoError(t, err)
					defer c.Close()
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					sub, err := c.Subscribe(ctx, "a", mqtt.ExactlyOnce)
					require.NoError(t, err)
					require.Equal(t, []mqtt.ReasonCode{mqtt.ReasonCode(max)}, sub.Granted())
					respond := Begin(func() error {
						return c.Respond(ctx, "question", func(context.Context, *mqtt.Message) (*mqtt.Message, error) {
							return &mqtt.Message{Topic: "answer", Payload: []byte("!")}, nil
						})
					})
					synctest.Wait()
					require.NoError(t, c.Reconnect(ctx))
					require.NoError(t, c.Publish(ctx, "a", []byte("x"), max))
					WantMessages(t, sub, "x")
					m, err := c.Request(ctx, &mqtt.Message{Topic: "question", ResponseTopic: "answer", QoS: max})
					require.NoError(t, err)
					require.Equal(t, "!", string(m.Payload))
					if v == mqtt.V5 {
						_, err = c.Request(ctx, &mqtt.Message{Topic: "question", QoS: max})
						require.NoError(t, err)
					}
					cfg.ClientID = "once"
					go func() {
						time.Sleep(time.Second)
						c.Publish(ctx, "b", nil, max)
					}()
					_, err = mqtt.ReceiveOnce(ctx, b.URL(), cfg, "b", 1)
					require.NoError(t, err)
					require.ErrorIs(t, c.Publish(ctx, "a", nil, max+1), mqtt.QoSNotSupported)
					cancel()
					require.Error(t, respond.Wait())
					require.Zero(t, *above)
				})
			})
		}
	}
}

// TestOptionsFollowTheMaximumQoSOfTheNextServer: what was lowered for one connection is
// not lowered for the next.
func TestOptionsFollowTheMaximumQoSOfTheNextServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{MaximumQoS: new(wire.AtLeastOnce)})
		first := Subscribe(t, client, conn, "t", 1)
		b := Begin(func() error { _, err := client.Subscribe(t.Context(), "t", mqtt.ExactlyOnce); return err })
		require.Equal(t, wire.AtLeastOnce, Grant(conn).Filters[0].QoS)
		require.NoError(t, b.Wait())
		conn.WantIdle() // nothing is asked for again because it was not granted in full
		conn.Close()
		conn = srv.Connected(&wire.Connack{SessionPresent: true})
		require.Equal(t, wire.ExactlyOnce, Grant(conn).Filters[0].QoS)
		require.NoError(t, first.Err())
	})
}

func TestSubscriptionIdentifiersCanBeLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.NoSubscriptionIDs = true
		client, conn := Open(t, srv, cfg)
		plus := Subscribe(t, client, conn, "x/+", 1)
		var sub *mqtt.Subscription
		call := Begin(func() (err error) {
			sub, err = client.Subscribe(t.Context(), "x/y", mqtt.AtLeastOnce)
			return err
		})
		require.Zero(t, Grant(conn).SubscriptionID)
		require.NoError(t, call.Wait())
		conn.Send(To("x/y", Pub(1, 1, "both")))
		WantMessages(t, plus, "both")
		WantMessages(t, sub, "both")
		conn.Want(Puback(1))
	})
}

func TestMaximumQoSIsOneOfThree(t *testing.T) {
	_, err := mqtt.Connect(t.Context(), "mqtt://server", mqtt.Config{MaximumQoS: new(mqtt.QoS(3))})
	require.ErrorIs(t, err, mqtt.ErrInvalid)
}
