package mqtt_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestPublishAtMostOnceReturnsWithoutAnAnswer(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		require.NoError(t, client.Publish(t.Context(), "t", []byte("x"), mqtt.AtMostOnce))
		conn.Want(pub(0, 0, "x"))
		conn.WantIdle()
	})
}

func TestPublishAtLeastOnceReturnsWithPuback(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		call := publish(t, client, "x", mqtt.AtLeastOnce)
		conn.Want(pub(1, 1, "x"))
		require.False(t, call.over())
		conn.Send(puback(1))
		require.NoError(t, call.wait())
		conn.WantIdle()
	})
}

func TestPublishExactlyOnceReturnsWithPubcomp(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		call := publish(t, client, "x", mqtt.ExactlyOnce)
		conn.Want(pub(1, 2, "x"))
		conn.Send(pubrec(1))
		conn.Want(pubrel(1))
		require.False(t, call.over())
		conn.Send(pubcomp(1))
		require.NoError(t, call.wait())
		conn.WantIdle()
	})
}

func TestPublishMessageCarriesAllProperties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		require.NoError(t, client.PublishMessage(t.Context(), &mqtt.Message{
			Topic: "t", Payload: []byte("x"), Retain: true, Duplicate: true,
			PayloadFormatUTF8:     true,
			MessageExpiryInterval: new(1500 * time.Millisecond),
			ContentType:           "text/plain",
			ResponseTopic:         "r",
			CorrelationData:       []byte{1},
			UserProperties:        []mqtt.UserProperty{{Name: "a", Value: "b"}, {Name: "a", Value: "c"}},
			SubscriptionIDs:       []uint32{7},
		}))
		conn.Want(&wire.Publish{Topic: "t", Payload: []byte("x"), Retain: true, Properties: &wire.PublishProperties{
			PayloadFormatUTF8:     true,
			MessageExpiryInterval: new(uint32(2)),
			ContentType:           "text/plain",
			ResponseTopic:         "r",
			CorrelationData:       []byte{1},
			UserProperties:        []mqtt.UserProperty{{Name: "a", Value: "b"}, {Name: "a", Value: "c"}},
		}})
	})
}

func TestRefusedPublishReturnsTheReasonCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		for _, refusal := range []struct {
			qos    mqtt.QoS
			packet func(id uint16) wire.Packet
		}{
			{mqtt.AtLeastOnce, func(id uint16) wire.Packet {
				return &wire.Puback{PacketID: id, ReasonCode: wire.NotAuthorized, ReasonString: "no", UserProperties: []mqtt.UserProperty{{Name: "a", Value: "b"}}}
			}},
			{mqtt.ExactlyOnce, func(id uint16) wire.Packet {
				return &wire.Pubrec{PacketID: id, ReasonCode: wire.NotAuthorized, ReasonString: "no", UserProperties: []mqtt.UserProperty{{Name: "a", Value: "b"}}}
			}},
		} {
			call := publish(t, client, "x", refusal.qos)
			p := mqtttest.Take[*wire.Publish](conn)
			conn.Send(refusal.packet(p.PacketID))
			err := call.wait()
			require.ErrorIs(t, err, mqtt.NotAuthorized)
			var said *mqtt.ServerError
			require.ErrorAs(t, err, &said)
			require.Equal(t, "no", said.ReasonString)
			require.Equal(t, []mqtt.UserProperty{{Name: "a", Value: "b"}}, said.UserProperties)
			require.False(t, mqtt.NotSent(err))
			conn.WantIdle() // no PUBREL after a failing PUBREC
		}
	})
}

func TestNoMatchingSubscribersIsSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		one, two := publishAsync(t, client, "1", mqtt.AtLeastOnce), publishAsync(t, client, "2", mqtt.ExactlyOnce)
		conn.Want(pub(1, 1, "1"), pub(2, 2, "2"))
		conn.Send(&wire.Puback{PacketID: 1, ReasonCode: wire.NoMatchingSubscribers, ReasonString: "nobody"},
			&wire.Pubrec{PacketID: 2, ReasonCode: wire.NoMatchingSubscribers, ReasonString: "nobody"})
		conn.Want(pubrel(2))
		conn.Send(pubcomp(2))
		for _, d := range []*mqtt.Delivery{one, two} {
			ack, err := d.Wait(t.Context())
			require.NoError(t, err)
			require.Equal(t, mqtt.Ack{ReasonCode: mqtt.NoMatchingSubscribers, ReasonString: "nobody"}, ack)
		}
	})
}

func TestPublishWaitsForAConnection(t *testing.T) {
	for qos := range mqtt.QoS(3) {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := open(t, srv, quiet(srv))
			conn.Close()
			synctest.Wait()
			call := publish(t, client, "x", qos)
			require.False(t, call.over())
			conn = srv.Connected(resumed())
			id := uint16(0)
			if qos > 0 {
				id = 1
			}
			conn.Want(pub(id, qos, "x"))
			switch qos {
			case mqtt.AtLeastOnce:
				conn.Send(puback(1))
			case mqtt.ExactlyOnce:
				conn.Send(pubrec(1), pubcomp(1))
			}
			require.NoError(t, call.wait())
		})
	}
}

func TestCancelledBeforeTransmissionIsWithdrawn(t *testing.T) {
	for qos := range mqtt.QoS(3) {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := open(t, srv, quiet(srv))
			conn.Close()
			synctest.Wait()
			ctx, cancel := context.WithCancelCause(t.Context())
			call := begin(func() error { return client.Publish(ctx, "t", []byte("never"), qos) })
			require.False(t, call.over())
			reason := fmt.Errorf("changed my mind")
			cancel(reason)
			err := call.wait()
			require.ErrorIs(t, err, reason)
			require.True(t, mqtt.NotSent(err))
			conn = srv.Connected(resumed())
			conn.WantIdle()
			require.Zero(t, client.Stats().Queued)
		})
	}
}

func TestPublishUnderAnEndedContextSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for qos := range mqtt.QoS(3) {
			err := client.Publish(ctx, "t", nil, qos)
			require.ErrorIs(t, err, context.Canceled)
			require.True(t, mqtt.NotSent(err))
		}
		conn.WantIdle()
	})
}

func TestCancelledAfterTransmissionGoesOnWithACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		payload, correlation := []byte("good"), []byte("corr")
		props := []mqtt.UserProperty{{Name: "a", Value: "b"}}
		call := begin(func() error {
			return client.PublishMessage(ctx, &mqtt.Message{Topic: "t", Payload: payload, QoS: mqtt.ExactlyOnce,
				CorrelationData: correlation, UserProperties: props})
		})
		want := &wire.Publish{Topic: "t", Payload: []byte("good"), QoS: 2, PacketID: 1, Properties: &wire.PublishProperties{
			CorrelationData: []byte("corr"), UserProperties: []mqtt.UserProperty{{Name: "a", Value: "b"}}}}
		conn.Want(want)
		cancel()
		err := call.wait()
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, mqtt.NotSent(err))
		copy(payload, "evil")
		copy(correlation, "evil")
		props[0].Value = "evil"

		conn.Close()
		conn = srv.Connected(resumed())
		want.Duplicate = true
		conn.Want(want)
		conn.Send(pubrec(1))
		conn.Want(pubrel(1))
		conn.Send(pubcomp(1))
		require.NoError(t, client.Flush(t.Context()))
		require.Zero(t, client.Stats().Inflight)
	})
}

func TestPublishesOfOneGoroutineReachTheWireInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := openWith(t, srv, quiet(srv), &wire.Connack{ReceiveMaximum: 2})
		call := begin(func() error {
			for i := range 12 {
				m := &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: mqtt.QoS(i % 3)}
				if _, err := client.PublishAsync(t.Context(), m); err != nil {
					return err
				}
			}
			return client.Publish(t.Context(), "t", []byte("12"), mqtt.AtMostOnce)
		})
		// The server acknowledges only after the connection was lost once.
		conn.Want(pub(0, 0, "0"), pub(1, 1, "1"), pub(2, 2, "2"), pub(0, 0, "3"))
		conn.WantIdle()
		conn.Close()
		conn = srv.Connected(&wire.Connack{SessionPresent: true, ReceiveMaximum: 2})
		conn.Want(dup(1, 1, "1"), dup(2, 2, "2"))
		for i := 4; i <= 12; i++ {
			if i%3 == 1 { // room for the next two
				conn.Send(puback(uint16(i/3*2 - 1)))
				conn.Send(pubrec(uint16(i / 3 * 2)))
				conn.Want(pub(uint16(i/3*2+1), 1, fmt.Sprint(i)))
				conn.Want(pubrel(uint16(i / 3 * 2)))
				conn.Send(pubcomp(uint16(i / 3 * 2)))
				continue
			}
			id := uint16(0)
			if i%3 > 0 {
				id = uint16(i/3*2 + 2)
			}
			conn.Want(pub(id, wire.QoS(i%3), fmt.Sprint(i)))
		}
		require.NoError(t, call.wait())
	})
}

func TestLostSessionRepublishesAsNewAndInOrder(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := open(t, srv, quiet(srv))
		published, released := publishAsync(t, client, "1", mqtt.AtLeastOnce), publishAsync(t, client, "2", mqtt.ExactlyOnce)
		conn.Want(pub(1, 1, "1"), pub(2, 2, "2"))
		conn.Send(pubrec(2))
		conn.Want(pubrel(2))
		conn.Close()
		synctest.Wait()
		queued := publishAsync(t, client, "3", mqtt.AtMostOnce)
		conn = srv.Connected(&wire.Connack{})
		first, second := mqtttest.Take[*wire.Publish](conn), mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "1", string(first.Payload))
		require.False(t, first.Duplicate)
		require.Equal(t, "2", string(second.Payload))
		require.False(t, second.Duplicate)
		conn.Want(pub(0, 0, "3"))
		conn.Send(puback(first.PacketID), pubrec(second.PacketID), pubcomp(second.PacketID))
		for _, d := range []*mqtt.Delivery{published, released, queued} {
			_, err := d.Wait(t.Context())
			require.NoError(t, err)
		}
	})
}

func TestLimitsAreCheckedBeforeSending(t *testing.T) {
	for name, test := range map[string]struct {
		ack  *wire.Connack
		bad  *mqtt.Message
		code mqtt.ReasonCode
	}{
		"QoS":    {&wire.Connack{MaximumQoS: new(mqtt.AtLeastOnce)}, &mqtt.Message{QoS: mqtt.ExactlyOnce}, mqtt.QoSNotSupported},
		"retain": {&wire.Connack{RetainAvailable: new(false)}, &mqtt.Message{Retain: true}, mqtt.RetainNotSupported},
		"size":   {&wire.Connack{MaximumPacketSize: 100}, &mqtt.Message{Payload: make([]byte, 100)}, mqtt.PacketTooLarge},
		"size 1": {&wire.Connack{MaximumPacketSize: 100}, &mqtt.Message{Payload: make([]byte, 100), QoS: 1}, mqtt.PacketTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := openWith(t, srv, quiet(srv), test.ack)
				test.bad.Topic = "t"
				err := client.PublishMessage(t.Context(), test.bad)
				require.ErrorIs(t, err, test.code)
				var limit *mqtt.LimitError
				require.ErrorAs(t, err, &limit)
				require.True(t, mqtt.NotSent(err))
				require.NoError(t, client.Publish(t.Context(), "t", []byte("ok"), 0))
				conn.Want(pub(0, 0, "ok"))
			})
		})
	}
}

func TestLimitsAreCheckedAgainAfterReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sent := publishAsync(t, client, "sent", mqtt.ExactlyOnce)
		conn.Want(pub(1, 2, "sent"))
		conn.Close()
		synctest.Wait()
		queued := publishAsync(t, client, "queued", mqtt.ExactlyOnce)
		behind := publishAsync(t, client, "behind", mqtt.AtLeastOnce)
		conn = srv.Connected(&wire.Connack{SessionPresent: true, MaximumQoS: new(mqtt.AtLeastOnce)})
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "behind", string(p.Payload))
		conn.Send(puback(p.PacketID))

		_, err := sent.Wait(t.Context())
		require.ErrorIs(t, err, mqtt.QoSNotSupported)
		require.False(t, mqtt.NotSent(err))
		_, err = queued.Wait(t.Context())
		require.ErrorIs(t, err, mqtt.QoSNotSupported)
		require.True(t, mqtt.NotSent(err))
		_, err = behind.Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestMessagesExpireInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		conn.Close()
		srv.Refuse()
		synctest.Wait()
		expiring := func(text string, d time.Duration) *mqtt.Delivery {
			delivery, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte(text), QoS: 1, MessageExpiryInterval: &d})
			require.NoError(t, err)
			return delivery
		}
		short, long := expiring("short", time.Minute), expiring("long", time.Hour)
		srv.WantNone(10 * time.Minute)
		srv.Listen()
		conn = srv.Connected(resumed())
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "long", string(p.Payload))
		left := time.Duration(*p.Properties.MessageExpiryInterval) * time.Second
		require.InDelta(t, 50*time.Minute, left, float64(time.Minute))
		conn.Send(puback(p.PacketID))

		_, err := short.Wait(t.Context())
		require.ErrorIs(t, err, mqtt.ErrExpired)
		require.True(t, mqtt.NotSent(err))
		_, err = long.Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestDeliveryDoneMayBeAskedBeforeAndAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		early, late := publishAsync(t, client, "1", 1), publishAsync(t, client, "2", 1)
		require.False(t, settled(early))
		conn.Want(pub(1, 1, "1"), pub(2, 1, "2"))
		conn.Send(puback(1), puback(2))
		require.True(t, settled(early))
		require.True(t, settled(late))
		require.Equal(t, early.Done(), early.Done())
		require.True(t, settled(publishAsync(t, client, "3", 0)), "QoS 0 is done when it is in the write buffer")
	})
}

func TestEndOfWaitLeavesTheDeliveryAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		d := publishAsync(t, client, "1", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := d.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, mqtt.NotSent(err))
		conn.Want(pub(1, 1, "1"))
		conn.Send(puback(1))
		_, err = d.Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestMessageExpiryOfZeroIsSentAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		for qos := range mqtt.QoS(2) {
			m := &mqtt.Message{Topic: "t", QoS: qos, MessageExpiryInterval: new(time.Duration(0))}
			_, err := client.PublishAsync(t.Context(), m)
			require.NoError(t, err)
			p := mqtttest.Take[*wire.Publish](conn)
			require.Zero(t, *p.Properties.MessageExpiryInterval)
		}
	})
}
