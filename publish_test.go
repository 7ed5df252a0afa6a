package mqtt_test

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

func TestPublishAtMostOnceReturnsWithoutAnAnswer(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		require.NoError(t, client.Publish(t.Context(), "t", []byte("x"), mqtt.AtMostOnce))
		conn.Want(Pub(0, 0, "x"))
		conn.WantIdle()
	})
}

func TestPublishAtLeastOnceReturnsWithPuback(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		call := Publish(t, client, "x", mqtt.AtLeastOnce)
		conn.Want(Pub(1, 1, "x"))
		require.False(t, call.Over())
		conn.Send(Puback(1))
		require.NoError(t, call.Wait())
		conn.WantIdle()
	})
}

func TestPublishExactlyOnceReturnsWithPubcomp(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		call := Publish(t, client, "x", mqtt.ExactlyOnce)
		conn.Want(Pub(1, 2, "x"))
		conn.Send(Pubrec(1))
		conn.Want(Pubrel(1))
		require.False(t, call.Over())
		conn.Send(Pubcomp(1))
		require.NoError(t, call.Wait())
		conn.WantIdle()
	})
}

func TestPublishMessageCarriesAllProperties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
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
		client, conn := Open(t, srv, Quiet(srv))
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
			call := Publish(t, client, "x", refusal.qos)
			p := mqtttest.Take[*wire.Publish](conn)
			conn.Send(refusal.packet(p.PacketID))
			err := call.Wait()
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
		client, conn := Open(t, srv, Quiet(srv))
		one, two := PublishAsync(t, client, "1", mqtt.AtLeastOnce), PublishAsync(t, client, "2", mqtt.ExactlyOnce)
		conn.Want(Pub(1, 1, "1"), Pub(2, 2, "2"))
		conn.Send(&wire.Puback{PacketID: 1, ReasonCode: wire.NoMatchingSubscribers, ReasonString: "nobody"},
			&wire.Pubrec{PacketID: 2, ReasonCode: wire.NoMatchingSubscribers, ReasonString: "nobody"})
		conn.Want(Pubrel(2))
		conn.Send(Pubcomp(2))
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
			client, conn := Open(t, srv, Quiet(srv))
			conn.Close()
			synctest.Wait()
			call := Publish(t, client, "x", qos)
			require.False(t, call.Over())
			conn = srv.Connected(Resumed())
			id := uint16(0)
			if qos > 0 {
				id = 1
			}
			conn.Want(Pub(id, qos, "x"))
			switch qos {
			case mqtt.AtLeastOnce:
				conn.Send(Puback(1))
			case mqtt.ExactlyOnce:
				conn.Send(Pubrec(1), Pubcomp(1))
			}
			require.NoError(t, call.Wait())
		})
	}
}

func TestCancelledBeforeTransmissionIsWithdrawn(t *testing.T) {
	for qos := range mqtt.QoS(3) {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			conn.Close()
			synctest.Wait()
			ctx, cancel := context.WithCancelCause(t.Context())
			call := Begin(func() error { return client.Publish(ctx, "t", []byte("never"), qos) })
			require.False(t, call.Over())
			reason := fmt.Errorf("changed my mind")
			cancel(reason)
			err := call.Wait()
			require.ErrorIs(t, err, reason)
			require.True(t, mqtt.NotSent(err))
			conn = srv.Connected(Resumed())
			conn.WantIdle()
			require.Zero(t, client.Stats().Queued)
		})
	}
}

func TestPublishUnderAnEndedContextSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
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
		client, conn := Open(t, srv, Quiet(srv))
		ctx, cancel := context.WithCancel(t.Context())
		payload, correlation := []byte("good"), []byte("corr")
		props := []mqtt.UserProperty{{Name: "a", Value: "b"}}
		call := Begin(func() error {
			return client.PublishMessage(ctx, &mqtt.Message{Topic: "t", Payload: payload, QoS: mqtt.ExactlyOnce,
				CorrelationData: correlation, UserProperties: props})
		})
		want := &wire.Publish{Topic: "t", Payload: []byte("good"), QoS: 2, PacketID: 1, Properties: &wire.PublishProperties{
			CorrelationData: []byte("corr"), UserProperties: []mqtt.UserProperty{{Name: "a", Value: "b"}}}}
		conn.Want(want)
		cancel()
		err := call.Wait()
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, mqtt.NotSent(err))
		copy(payload, "evil")
		copy(correlation, "evil")
		props[0].Value = "evil"

		conn.Close()
		conn = srv.Connected(Resumed())
		want.Duplicate = true
		conn.Want(want)
		conn.Send(Pubrec(1))
		conn.Want(Pubrel(1))
		conn.Send(Pubcomp(1))
		require.NoError(t, client.Flush(t.Context()))
		require.Zero(t, client.Stats().Inflight)
	})
}

func TestPublishesOfOneGoroutineReachTheWireInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{ReceiveMaximum: 2})
		call := Begin(func() error {
			for i := range 12 {
				m := &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: mqtt.QoS(i % 3)}
				if _, err := client.PublishAsync(t.Context(), m); err != nil {
					return err
				}
			}
			return client.Publish(t.Context(), "t", []byte("12"), mqtt.AtMostOnce)
		})
		// The server acknowledges only after the connection was lost once.
		conn.Want(Pub(0, 0, "0"), Pub(1, 1, "1"), Pub(2, 2, "2"), Pub(0, 0, "3"))
		conn.WantIdle()
		conn.Close()
		conn = srv.Connected(&wire.Connack{SessionPresent: true, ReceiveMaximum: 2})
		conn.Want(Dup(1, 1, "1"), Dup(2, 2, "2"))
		for i := 4; i <= 12; i++ {
			if i%3 == 1 { // room for the next two
				conn.Send(Puback(uint16(i/3*2 - 1)))
				conn.Send(Pubrec(uint16(i / 3 * 2)))
				conn.Want(Pub(uint16(i/3*2+1), 1, fmt.Sprint(i)))
				conn.Want(Pubrel(uint16(i / 3 * 2)))
				conn.Send(Pubcomp(uint16(i / 3 * 2)))
				continue
			}
			id := uint16(0)
			if i%3 > 0 {
				id = uint16(i/3*2 + 2)
			}
			conn.Want(Pub(id, wire.QoS(i%3), fmt.Sprint(i)))
		}
		require.NoError(t, call.Wait())
	})
}

func TestLostSessionRepublishesAsNewAndInOrder(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		published, released := PublishAsync(t, client, "1", mqtt.AtLeastOnce), PublishAsync(t, client, "2", mqtt.ExactlyOnce)
		conn.Want(Pub(1, 1, "1"), Pub(2, 2, "2"))
		conn.Send(Pubrec(2))
		conn.Want(Pubrel(2))
		conn.Close()
		synctest.Wait()
		queued := PublishAsync(t, client, "3", mqtt.AtMostOnce)
		conn = srv.Connected(&wire.Connack{})
		first, second := mqtttest.Take[*wire.Publish](conn), mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "1", string(first.Payload))
		require.False(t, first.Duplicate)
		require.Equal(t, "2", string(second.Payload))
		require.False(t, second.Duplicate)
		conn.Want(Pub(0, 0, "3"))
		conn.Send(Puback(first.PacketID), Pubrec(second.PacketID), Pubcomp(second.PacketID))
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
				client, conn := OpenWith(t, srv, Quiet(srv), test.ack)
				test.bad.Topic = "t"
				err := client.PublishMessage(t.Context(), test.bad)
				require.ErrorIs(t, err, test.code)
				var limit *mqtt.LimitError
				require.ErrorAs(t, err, &limit)
				require.True(t, mqtt.NotSent(err))
				require.NoError(t, client.Publish(t.Context(), "t", []byte("ok"), 0))
				conn.Want(Pub(0, 0, "ok"))
			})
		})
	}
}

func TestLimitsAreCheckedAgainAfterReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sent := PublishAsync(t, client, "sent", mqtt.ExactlyOnce)
		conn.Want(Pub(1, 2, "sent"))
		conn.Close()
		synctest.Wait()
		queued := PublishAsync(t, client, "queued", mqtt.ExactlyOnce)
		behind := PublishAsync(t, client, "behind", mqtt.AtLeastOnce)
		conn = srv.Connected(&wire.Connack{SessionPresent: true, MaximumQoS: new(mqtt.AtLeastOnce)})
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "behind", string(p.Payload))
		conn.Send(Puback(p.PacketID))

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
		client, conn := Open(t, srv, Quiet(srv))
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
		conn = srv.Connected(Resumed())
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "long", string(p.Payload))
		left := time.Duration(*p.Properties.MessageExpiryInterval) * time.Second
		require.InDelta(t, 50*time.Minute, left, float64(time.Minute))
		conn.Send(Puback(p.PacketID))

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
		client, conn := Open(t, srv, Quiet(srv))
		early, late := PublishAsync(t, client, "1", 1), PublishAsync(t, client, "2", 1)
		require.False(t, Settled(early))
		conn.Want(Pub(1, 1, "1"), Pub(2, 1, "2"))
		conn.Send(Puback(1), Puback(2))
		require.True(t, Settled(early))
		require.True(t, Settled(late))
		require.Equal(t, early.Done(), early.Done())
		require.True(t, Settled(PublishAsync(t, client, "3", 0)), "QoS 0 is done when it is in the write buffer")
	})
}

func TestEndOfWaitLeavesTheDeliveryAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		d := PublishAsync(t, client, "1", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := d.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, mqtt.NotSent(err))
		conn.Want(Pub(1, 1, "1"))
		conn.Send(Puback(1))
		_, err = d.Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestMessageExpiryOfZeroIsSentAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		for qos := range mqtt.QoS(2) {
			m := &mqtt.Message{Topic: "t", QoS: qos, MessageExpiryInterval: new(time.Duration(0))}
			_, err := client.PublishAsync(t.Context(), m)
			require.NoError(t, err)
			p := mqtttest.Take[*wire.Publish](conn)
			require.Zero(t, *p.Properties.MessageExpiryInterval)
		}
	})
}

func TestFlushWaitsForWhatWasAcceptedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		PublishAsync(t, client, "1", 2)
		flush := Begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.Over())
		PublishAsync(t, client, "later", 1)
		conn.Want(Pub(1, 2, "1"), Pub(2, 1, "later"))
		conn.Send(Pubrec(1))
		conn.Want(Pubrel(1))
		require.False(t, flush.Over())
		conn.Send(Pubcomp(1))
		require.NoError(t, flush.Wait())
	})
}

func TestFlushWaitsForTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1024})
		client, conn := Open(t, srv, Quiet(srv))
		require.NoError(t, client.Publish(t.Context(), "t", make([]byte, 4096), 0))
		flush := Begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.Over())
		mqtttest.Take[*wire.Publish](conn)
		require.NoError(t, flush.Wait())
	})
}

func TestFlushSaysWhenQoS0MessagesWereLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1024})
		client, conn := Open(t, srv, Quiet(srv))
		require.NoError(t, client.Publish(t.Context(), "t", make([]byte, 4096), 0))
		flush := Begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.Over())
		conn.Close()
		require.ErrorIs(t, flush.Wait(), mqtt.ErrConnectionLost)
	})
}

func TestFlushAndDisconnectKnowWhatEarlierConnectionsLost(t *testing.T) {
	large := make([]byte, 4096)
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1024})
		client, conn := Open(t, srv, Quiet(srv))
		for range 3 {
			require.NoError(t, client.Publish(t.Context(), "t", large, 0))
		}
		conn.Close()
		synctest.Wait()
		err := client.Flush(t.Context())
		require.ErrorIs(t, err, mqtt.ErrConnectionLost)
		require.ErrorContains(t, err, "3 QoS 0 messages")
		require.False(t, mqtt.NotSent(err))
		require.NoError(t, client.Flush(t.Context()), "it was told")

		conn = srv.Connected(Resumed())
		require.NoError(t, client.Publish(t.Context(), "t", []byte("small"), 0))
		conn.Want(Pub(0, 0, "small"))
		acknowledged := PublishAsync(t, client, "acknowledged", 1)
		conn.Want(Pub(1, 1, "acknowledged"))
		require.NoError(t, client.Publish(t.Context(), "t", large, 0))
		flushes := []*Call{
			Begin(func() error { return client.Flush(t.Context()) }),
			Begin(func() error { return client.Flush(t.Context()) }),
		}
		require.False(t, flushes[0].Over())
		conn.Close()
		conn = srv.Connected(Resumed())
		conn.Want(Dup(1, 1, "acknowledged"))
		require.False(t, flushes[0].Over(), "it waits for the rest")
		conn.Send(Puback(1))
		<-acknowledged.Done()
		for _, flush := range flushes {
			require.ErrorContains(t, flush.Wait(), "1 QoS 0 messages")
		}

		require.NoError(t, client.Publish(t.Context(), "t", large, 0))
		conn.Close()
		synctest.Wait()
		require.ErrorContains(t, client.Disconnect(t.Context()), "1 QoS 0 messages")
	})
}

func TestFlushKnowsThatMessagesAtMostOnceWereWrittenBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		for i := range 10 {
			require.NoError(t, client.Publish(t.Context(), "t", fmt.Append(nil, i), 0))
		}
		synctest.Wait()
		conn.Close()
		synctest.Wait()
		require.NoError(t, client.Flush(t.Context()))
	})
}

func TestFlushOfAcknowledgedMessagesDoesNotWaitForTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1024})
		client, conn := Open(t, srv, Quiet(srv))
		PublishAsync(t, client, "1", 1)
		conn.Want(Pub(1, 1, "1"))
		flush := Begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.Over())
		PublishAsync(t, client, string(make([]byte, 4096)), 1)
		conn.Send(Puback(1))
		require.True(t, flush.Over())
		require.NoError(t, flush.Wait())
	})
}

func TestFlushEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, _ := Open(t, srv, Quiet(srv))
		PublishAsync(t, client, "1", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, client.Flush(ctx), context.DeadlineExceeded)
	})
}

func TestFlushDoesNotSayThatCloseHasDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, _ := Open(t, srv, Quiet(srv))
		PublishAsync(t, client, "1", 1)
		flush := Begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.Over())
		require.NoError(t, client.Close())
		require.ErrorIs(t, flush.Wait(), mqtt.ErrClosed)
	})
}

func TestWithdrawnMessageDoesNotHoldUpFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{ReceiveMaximum: 1})
		PublishAsync(t, client, "1", 1)
		ctx, cancel := context.WithCancel(t.Context())
		call := Begin(func() error { return client.Publish(ctx, "t", nil, 1) })
		synctest.Wait()
		flush := Begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.Over())
		cancel()
		require.True(t, mqtt.NotSent(call.Wait()))
		require.False(t, flush.Over())
		conn.Want(Pub(1, 1, "1"))
		conn.Send(Puback(1))
		require.NoError(t, flush.Wait())
	})
}

func TestPublishUsesAliasesOnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.SendTopicAliases = 5
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{TopicAliasMaximum: 10})
		send := func() {
			require.NoError(t, client.Publish(t.Context(), "plant/1/temperature", []byte("x"), 0))
		}
		want := func(topic string, alias uint16) {
			p := &wire.Publish{Topic: topic, Payload: []byte("x")}
			if alias > 0 {
				p.Properties = &wire.PublishProperties{TopicAlias: alias}
			}
			conn.Want(p)
		}
		send()
		send()
		send()
		want("plant/1/temperature", 0)
		want("plant/1/temperature", 1)
		want("", 1)
		conn.Close()
		conn = srv.Connected(&wire.Connack{SessionPresent: true, TopicAliasMaximum: 10})
		synctest.Wait()
		send()
		send()
		want("plant/1/temperature", 0)
		want("plant/1/temperature", 1)
	})
}

func TestPublishUsesNoAliasesUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{TopicAliasMaximum: 10})
		for range 4 {
			require.NoError(t, client.Publish(t.Context(), "plant/1/temperature", nil, 0))
			conn.Want(&wire.Publish{Topic: "plant/1/temperature"})
		}
	})
}
