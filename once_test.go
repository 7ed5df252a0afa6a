package mqtt_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func message(payload string, qos mqtt.QoS) *mqtt.Message {
	return &mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: qos}
}

func TestPublishOnceEndsWithTheLastAcknowledgement(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		b := begin(func() error {
			return mqtt.PublishOnce(t.Context(), "mqtt://server", quiet(srv), message("a", 1), message("b", 0), message("c", 2))
		})
		conn := srv.Connected(&wire.Connack{})
		conn.Want(pub(1, 1, "a"), pub(0, 0, "b"), pub(2, 2, "c"))
		conn.Send(puback(1), pubrec(2))
		conn.Want(pubrel(2))
		require.False(t, b.over())
		conn.Send(pubcomp(2))
		conn.WantDisconnect(wire.Success)
		require.NoError(t, b.wait())
	})
}

func TestPublishOnceGoesOnAfterABreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		b := begin(func() error {
			return mqtt.PublishOnce(t.Context(), "mqtt://server", quiet(srv), message("a", 1))
		})
		conn := srv.Connected(&wire.Connack{})
		conn.Want(pub(1, 1, "a"))
		conn.Close()
		conn = srv.Connected(resumed())
		conn.Want(dup(1, 1, "a"))
		conn.Send(puback(1))
		conn.WantDisconnect(wire.Success)
		require.NoError(t, b.wait())
	})
}

func TestPublishOnceReportsEveryFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		b := begin(func() error {
			return mqtt.PublishOnce(t.Context(), "mqtt://server", quiet(srv), message("a", 1), message("b", 2), message("c", 1))
		})
		conn := srv.Connected(&wire.Connack{MaximumQoS: new(wire.AtLeastOnce)})
		conn.Want(pub(1, 1, "a"), pub(2, 1, "c"))
		conn.Send(&wire.Puback{PacketID: 1, ReasonCode: wire.QuotaExceeded}, puback(2))
		conn.WantDisconnect(wire.Success)
		err := b.wait()
		require.ErrorIs(t, err, mqtt.QuotaExceeded)
		require.ErrorIs(t, err, mqtt.QoSNotSupported)
		require.False(t, mqtt.NotSent(err))
	})
}

func TestPublishOnceSaysWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		begin := func(d time.Duration) *call {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return begin(func() error {
				return mqtt.PublishOnce(ctx, "mqtt://server", quiet(srv), message("a", 1), message("b", 1))
			})
		}
		// The server refuses the connection.
		b := begin(time.Second)
		srv.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		err := b.wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.ErrorContains(t, err, "connect to server:1883")
		require.True(t, mqtt.NotSent(err))

		// It takes one message at a time and does not answer.
		b = begin(time.Second)
		conn := srv.Connected(&wire.Connack{ReceiveMaximum: 1})
		conn.Want(pub(1, 1, "a"))
		err = b.wait()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, mqtt.NotSent(err))
		require.ErrorContains(t, err, `publish "t": context deadline exceeded (not sent)`, "about the second")
		conn.WantDisconnect(wire.Success)
	})
}

func TestPublishOnceRefusesBadMessagesBeforeItConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		err := mqtt.PublishOnce(t.Context(), "mqtt://server", quiet(srv), message("a", 1), &mqtt.Message{Topic: "a/#"})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.True(t, mqtt.NotSent(err))
		require.NoError(t, mqtt.PublishOnce(t.Context(), "mqtt://server", quiet(srv)))
		srv.WantNone(time.Second)
	})
}

func TestReceiveOnceTakesNoMoreThanAsked(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := quiet(srv)
		cfg.Resume = true
		var got []*mqtt.Message
		b := begin(func() (err error) {
			got, err = mqtt.ReceiveOnce(t.Context(), "mqtt://server", cfg, "t", 2)
			return err
		})
		conn := srv.Connected(&wire.Connack{})
		p := mqtttest.Take[*wire.Subscribe](conn)
		require.Equal(t, filters("t"), p.Filters)
		conn.Send(pub(1, 1, "a"), pub(2, 1, "b"), pub(3, 1, "c"), suback(p))
		conn.Want(puback(1), puback(2))
		conn.WantDisconnect(wire.Success) // the third stays at the server
		require.NoError(t, b.wait())
		require.Len(t, got, 2)
		require.Equal(t, "b", string(got[1].Payload))
	})
}

func TestReceiveOnceReturnsWhatCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		var got []*mqtt.Message
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b := begin(func() (err error) {
			got, err = mqtt.ReceiveOnce(ctx, "mqtt://server", quiet(srv), "t", 2)
			return err
		})
		conn := srv.Connected(&wire.Connack{})
		grant(conn)
		conn.Send(pub(0, 0, "a"))
		err := b.wait()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `mqtt: receive once "t": 1 of 2 messages`)
		require.Len(t, got, 1)
		conn.WantDisconnect(wire.Success)
	})
}

func TestReceiveOnceRefusesBadArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		_, err := mqtt.ReceiveOnce(t.Context(), "mqtt://server", quiet(srv), "t", 0)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		_, err = mqtt.ReceiveOnce(t.Context(), "mqtt://server", quiet(srv), "a/#/b", 1)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		srv.WantNone(time.Second)
	})
}

func TestReceiveOnceReturnsRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		b := begin(func() error {
			_, err := mqtt.ReceiveOnce(t.Context(), "mqtt://server", quiet(srv), "t", 1)
			return err
		})
		conn := srv.Connected(&wire.Connack{})
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.NotAuthorized}})
		conn.WantDisconnect(wire.Success)
		_, ok := errors.AsType[*mqtt.ServerError](b.wait())
		require.True(t, ok)
	})
}
