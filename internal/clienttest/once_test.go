package clienttest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func message(payload string, qos mqtt.QoS) *mqtt.Message {
	return &mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: qos}
}

func TestPublishOnceEndsWithTheLastAcknowledgement(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		b := Begin(func() error {
			return mqtt.PublishOnce(t.Context(), "mqtt://server", Quiet(srv), message("a", 1), message("b", 0), message("c", 2))
		})
		conn := srv.Connected(&wire.Connack{})
		conn.Want(Pub(1, 1, "a"), Pub(0, 0, "b"), Pub(2, 2, "c"))
		conn.Send(Puback(1), Pubrec(2))
		conn.Want(Pubrel(2))
		require.False(t, b.Over())
		conn.Send(Pubcomp(2))
		conn.WantDisconnect(wire.Success)
		require.NoError(t, b.Wait())
	})
}

func TestPublishOnceGoesOnAfterABreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		b := Begin(func() error {
			return mqtt.PublishOnce(t.Context(), "mqtt://server", Quiet(srv), message("a", 1))
		})
		conn := srv.Connected(&wire.Connack{})
		conn.Want(Pub(1, 1, "a"))
		conn.Close()
		conn = srv.Connected(Resumed())
		conn.Want(Dup(1, 1, "a"))
		conn.Send(Puback(1))
		conn.WantDisconnect(wire.Success)
		require.NoError(t, b.Wait())
	})
}

func TestPublishOnceReportsEveryFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		b := Begin(func() error {
			return mqtt.PublishOnce(t.Context(), "mqtt://server", Quiet(srv), message("a", 1), message("b", 2), message("c", 1))
		})
		conn := srv.Connected(&wire.Connack{MaximumQoS: new(wire.AtLeastOnce)})
		conn.Want(Pub(1, 1, "a"), Pub(2, 1, "c"))
		conn.Send(&wire.Puback{PacketID: 1, ReasonCode: wire.QuotaExceeded}, Puback(2))
		conn.WantDisconnect(wire.Success)
		err := b.Wait()
		require.ErrorIs(t, err, mqtt.QuotaExceeded)
		require.ErrorIs(t, err, mqtt.QoSNotSupported)
		require.False(t, mqtt.NotSent(err))
	})
}

func TestPublishOnceSaysWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		begin := func(d time.Duration) *Call {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			t.Cleanup(cancel)
			return Begin(func() error {
				return mqtt.PublishOnce(ctx, "mqtt://server", Quiet(srv), message("a", 1), message("b", 1))
			})
		}
		// The server refuses the connection.
		b := begin(time.Second)
		srv.Connected(&wire.Connack{ReasonCode: wire.NotAuthorized})
		err := b.Wait()
		require.ErrorIs(t, err, mqtt.NotAuthorized)
		require.ErrorContains(t, err, "connect to server:1883")
		require.True(t, mqtt.NotSent(err))

		// It takes one message at a time and does not answer.
		b = begin(time.Second)
		conn := srv.Connected(&wire.Connack{ReceiveMaximum: 1})
		conn.Want(Pub(1, 1, "a"))
		err = b.Wait()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, mqtt.NotSent(err))
		require.ErrorContains(t, err, `publish "t": context deadline exceeded (not sent)`, "about the second")
		conn.WantDisconnect(wire.Success)
	})
}

func TestPublishOnceRefusesBadMessagesBeforeItConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		err := mqtt.PublishOnce(t.Context(), "mqtt://server", Quiet(srv), message("a", 1), &mqtt.Message{Topic: "a/#"})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.True(t, mqtt.NotSent(err))
		require.NoError(t, mqtt.PublishOnce(t.Context(), "mqtt://server", Quiet(srv)))
		srv.WantNone(time.Second)
	})
}

func TestReceiveOnceTakesNoMoreThanAsked(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.Resume = true
		var got []*mqtt.Message
		b := Begin(func() (err error) {
			got, err = mqtt.ReceiveOnce(t.Context(), "mqtt://server", cfg, "t", 2)
			return err
		})
		conn := srv.Connected(&wire.Connack{})
		p := mqtttest.Take[*wire.Subscribe](conn)
		require.Equal(t, Filters("t"), p.Filters)
		conn.Send(Pub(1, 1, "a"), Pub(2, 1, "b"), Pub(3, 1, "c"), Suback(p))
		begun := time.Now()
		conn.Want(Puback(1), Puback(2))
		conn.WantDisconnect(wire.Success) // the third stays at the server
		require.NoError(t, b.Wait())
		require.Zero(t, time.Since(begun), "nobody is waited for")
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
		b := Begin(func() (err error) {
			got, err = mqtt.ReceiveOnce(ctx, "mqtt://server", Quiet(srv), "t", 2)
			return err
		})
		conn := srv.Connected(&wire.Connack{})
		Grant(conn)
		conn.Send(Pub(0, 0, "a"))
		err := b.Wait()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `mqtt: receive once "t": 1 of 2 messages`)
		require.Len(t, got, 1)
		conn.WantDisconnect(wire.Success)
	})
}

func TestReceiveOnceRefusesBadArguments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		_, err := mqtt.ReceiveOnce(t.Context(), "mqtt://server", Quiet(srv), "t", 0)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		_, err = mqtt.ReceiveOnce(t.Context(), "mqtt://server", Quiet(srv), "a/#/b", 1)
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		srv.WantNone(time.Second)
	})
}

func TestReceiveOnceReturnsRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		b := Begin(func() error {
			_, err := mqtt.ReceiveOnce(t.Context(), "mqtt://server", Quiet(srv), "t", 1)
			return err
		})
		conn := srv.Connected(&wire.Connack{})
		p := mqtttest.Take[*wire.Subscribe](conn)
		conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.NotAuthorized}})
		conn.WantDisconnect(wire.Success)
		_, ok := errors.AsType[*mqtt.ServerError](b.Wait())
		require.True(t, ok)
	})
}
