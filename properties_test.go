package mqtt_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestUserPropertiesGoWithUnsubscribe(t *testing.T) {
	for v, want := range map[wire.Version][]wire.UserProperty{
		wire.V5:   {{Name: "k", Value: "1"}, {Name: "k", Value: "2"}},
		wire.V311: nil,
	} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, v)
				client, conn := open(t, srv, quiet(srv))
				o := mqtt.UnsubscribeOptions{Filters: []string{"a/#"}, UserProperties: []mqtt.UserProperty{{Name: "k", Value: "1"}, {Name: "k", Value: "2"}}}
				var acks []mqtt.Ack
				end := begin(func() (err error) {
					acks, err = client.UnsubscribeWith(t.Context(), o)
					return err
				})
				p := mqtttest.Take[*wire.Unsubscribe](conn)
				require.Equal(t, want, p.UserProperties)
				ack := &wire.Unsuback{PacketID: p.PacketID}
				if v == wire.V5 {
					ack.ReasonCodes, ack.ReasonString = []wire.ReasonCode{wire.NoSubscriptionExisted}, "never heard of it"
				}
				conn.Send(ack)
				require.NoError(t, end.wait())
				said := mqtt.Ack{ReasonString: ack.ReasonString}
				if v == wire.V5 {
					said.ReasonCode = mqtt.NoSubscriptionExisted
				}
				require.Equal(t, []mqtt.Ack{said}, acks)

				o.UserProperties[0].Name = "\x00"
				_, err := client.UnsubscribeWith(t.Context(), o)
				require.ErrorIs(t, err, mqtt.ErrInvalid)
				conn.WantIdle()
			})
		})
	}
}

func TestProblemInformationIsRefusedOnDemand(t *testing.T) {
	for _, refused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := quiet(srv)
			cfg.NoProblemInformation = refused
			opening := dial(t, cfg)
			conn := srv.Accept()
			p := conn.WantConnect()
			if refused {
				require.Equal(t, new(false), p.RequestProblemInformation)
			} else {
				require.Nil(t, p.RequestProblemInformation)
			}
			conn.Send(&wire.Connack{})
			client := opening.client(t)
			done := publish(t, client, "x", 1)
			conn.Want(pub(1, 1, "x"))
			conn.Send(&wire.Puback{PacketID: 1, ReasonCode: wire.QuotaExceeded, ReasonString: "full"})
			if refused {
				// [MQTT-3.1.2-29] the server has broken its word.
				conn.WantDisconnect(wire.ProtocolError)
				require.NoError(t, client.Close())
			}
			require.Error(t, done.wait())
		})
	}
}

func TestWhatTheServerSaysOfFiltersReachesTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		var sub *mqtt.Subscription
		subscribing := begin(func() (err error) {
			sub, err = client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: filters("a", "b")})
			return err
		})
		p := mqtttest.Take[*wire.Subscribe](conn)
		said := []wire.UserProperty{{Name: "region", Value: "north"}}
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{0, wire.QuotaExceeded}, ReasonString: "one is enough", UserProperties: said})
		require.ErrorIs(t, subscribing.wait(), mqtt.QuotaExceeded)
		require.Equal(t, []mqtt.Ack{
			{ReasonCode: mqtt.Success, ReasonString: "one is enough", UserProperties: said},
			{ReasonCode: mqtt.QuotaExceeded, ReasonString: "one is enough", UserProperties: said},
		}, sub.Answers())
		require.Equal(t, []mqtt.ReasonCode{mqtt.Success, mqtt.QuotaExceeded}, sub.Granted())
	})
}
