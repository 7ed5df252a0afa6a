package clienttest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// manual is a Subscription whose program acknowledges.
func manual(t *testing.T, v wire.Version) (*mqtttest.Server, *mqtt.Client, *mqtttest.Conn, *mqtt.Subscription) {
	t.Helper()
	srv := mqtttest.NewServer(t, v)
	client, conn := Open(t, srv, Quiet(srv))
	return srv, client, conn, SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true})
}

func TestRefusedMessage(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		_, client, conn, sub := manual(t, v)
		conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"), Pub(3, 1, "3"), Pub(0, 0, "4"))
		m1, m2, m3, m4 := Next(t, sub), Next(t, sub), Next(t, sub), Next(t, sub)
		require.NoError(t, m2.Refuse(mqtt.QuotaExceeded, "no space"))
		require.NoError(t, m3.Ack())
		conn.WantIdle() // answers keep the order of arrival
		copied := *m1
		require.NoError(t, copied.Refuse(mqtt.ServerBusy, "text\x00 \xffand "+strings.Repeat("x", 2000)))
		if v < wire.V5 {
			conn.Want(Puback(1), Pubrec(2), Puback(3))
			conn.Send(Pubrel(2))
			conn.Want(Pubcomp(2))
		} else {
			text := "text \uFFFDand " + strings.Repeat("x", 2000)
			conn.Want(&wire.Puback{PacketID: 1, ReasonCode: wire.UnspecifiedError, ReasonString: text[:1024]}, // PUBACK cannot carry ServerBusy
				&wire.Pubrec{PacketID: 2, ReasonCode: wire.QuotaExceeded, ReasonString: "no space"}, Puback(3))
		}
		require.ErrorIs(t, m1.Refuse(mqtt.NotAuthorized, ""), mqtt.ErrStale, "again")
		require.ErrorIs(t, m3.Refuse(mqtt.NotAuthorized, ""), mqtt.ErrStale, "after Ack")
		require.NoError(t, m1.Ack(), "after Refuse")
		require.NoError(t, m4.Refuse(mqtt.NotAuthorized, "QoS 0 has no answer"))
		require.NoError(t, m3.Clone().Refuse(mqtt.NotAuthorized, "a copy has no answer"))
		conn.WantIdle()
		require.Equal(t, uint64(2), client.Stats().Rejected)
	})
}

func TestOnlyAFailureRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, sub := manual(t, wire.V5)
		conn.Send(Pub(1, 1, "1"))
		m := Next(t, sub)
		for _, code := range []mqtt.ReasonCode{mqtt.Success, mqtt.NoMatchingSubscribers} {
			err := m.Refuse(code, "")
			require.ErrorIs(t, err, mqtt.ErrInvalid)
			require.True(t, mqtt.NotSent(err))
		}
		conn.WantIdle()
		require.NoError(t, m.Ack())
		conn.Want(Puback(1))
		require.Zero(t, client.Stats().Rejected)
	})
}

func TestRefusalAfterALostSessionIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, conn, sub := manual(t, wire.V5)
		conn.Send(Pub(1, 1, "1"))
		m := Next(t, sub)
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		Grant(conn)
		synctest.Wait()
		require.ErrorIs(t, m.Refuse(mqtt.NotAuthorized, ""), mqtt.ErrStale)
		conn.WantIdle()
		require.Zero(t, client.Stats().Rejected)
	})
}

func TestRefusalWithoutAConnectionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, _, conn, sub := manual(t, wire.V5)
		conn.Send(Pub(1, 1, "1"))
		m := Next(t, sub)
		conn.Close()
		synctest.Wait()
		require.NoError(t, m.Refuse(mqtt.NotAuthorized, "late"))
		conn = srv.Connected(Resumed())
		Renewed(t, conn)
		conn.Send(Dup(1, 1, "1"))
		conn.Want(&wire.Puback{PacketID: 1, ReasonCode: wire.NotAuthorized, ReasonString: "late"})
		WantMessages(t, sub)
	})
}

func TestRefusalAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, sub := manual(t, wire.V5)
		conn.Send(Pub(1, 1, "1"))
		m := Next(t, sub)
		require.NoError(t, client.Close())
		require.ErrorIs(t, m.Refuse(mqtt.NotAuthorized, ""), mqtt.ErrClosed)
	})
}

func TestLastOfSeveralSubscriptionsSaysWhatTheServerHears(t *testing.T) {
	for _, refusedLast := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			_, client, conn, first := manual(t, wire.V5)
			second := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("+"), ManualAck: true})
			conn.Send(IDs(Pub(1, 1, "x"), 1, 2))
			m1, m2 := Next(t, first), Next(t, second)
			if !refusedLast {
				m1, m2 = m2, m1
				require.NoError(t, m2.Refuse(mqtt.NotAuthorized, ""))
				conn.WantIdle()
				require.NoError(t, m1.Ack())
				conn.Want(Puback(1))
				return
			}
			require.NoError(t, m1.Ack())
			conn.WantIdle()
			require.NoError(t, m2.Refuse(mqtt.NotAuthorized, ""))
			conn.Want(&wire.Puback{PacketID: 1, ReasonCode: wire.NotAuthorized})
		})
	}
}

func TestRefusingInTheBodyOfAllAndInHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"), Pub(3, 1, "3"), Pub(4, 1, "4"), Pub(5, 1, "5"))
		for m, err := range sub.All(t.Context()) {
			require.NoError(t, err)
			require.NoError(t, m.Refuse(mqtt.NotAuthorized, "one"))
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := sub.Handle(ctx, func(_ context.Context, m *mqtt.Message) error {
			switch string(m.Payload) {
			case "2":
				return m.Refuse(mqtt.NotAuthorized, "two")
			case "3":
				return fmt.Errorf("reading: %w", &mqtt.Refusal{ReasonCode: mqtt.PayloadFormatInvalid, ReasonString: "three"})
			case "4":
				return &mqtt.Refusal{ReasonCode: mqtt.ServerBusy}
			}
			cancel()
			return &mqtt.Refusal{} // no failure
		})
		require.ErrorIs(t, err, context.Canceled)
		conn.Want(&wire.Puback{PacketID: 1, ReasonCode: wire.NotAuthorized, ReasonString: "one"},
			&wire.Puback{PacketID: 2, ReasonCode: wire.NotAuthorized, ReasonString: "two"},
			&wire.Puback{PacketID: 3, ReasonCode: wire.PayloadFormatInvalid, ReasonString: "three"},
			&wire.Puback{PacketID: 4, ReasonCode: wire.UnspecifiedError}, Puback(5))
		require.Equal(t, uint64(4), client.Stats().Rejected)
	})
}

func TestRefusingInRespond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		Respond(t, client, conn, 1, func(_ context.Context, m *mqtt.Message) (*mqtt.Message, error) {
			return nil, m.Refuse(mqtt.NotAuthorized, "not you")
		})
		q := Pub(1, 1, "q")
		q.Properties = &wire.PublishProperties{ResponseTopic: "r"}
		conn.Send(q)
		conn.Want(&wire.Puback{PacketID: 1, ReasonCode: wire.NotAuthorized, ReasonString: "not you"})
		conn.WantIdle() // no response
		require.Zero(t, client.Stats().Unanswered)
	})
}

func TestTextOfARefusal(t *testing.T) {
	err := error(&mqtt.Refusal{ReasonCode: mqtt.NotAuthorized, ReasonString: "not you"})
	require.EqualError(t, err, "message refused: Not authorized: not you")
	require.ErrorIs(t, err, mqtt.NotAuthorized)
	require.EqualError(t, &mqtt.Refusal{ReasonCode: mqtt.QuotaExceeded}, "message refused: Quota exceeded")
}
