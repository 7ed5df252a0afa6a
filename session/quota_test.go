package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestQuota(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(keeping(wire.V5), &wire.Connack{ReceiveMaximum: 2})
	for i := range 8 {
		s.publish(fmt.Sprint(i), wire.QoS(1+i%2))
	}
	s.want(pub(1, 1, "0"), pub(2, 2, "1"))
	s.wantIdle()
	s.send(puback(1)) // PUBACK gives one back
	s.want(pub(3, 1, "2"))
	s.wantIdle()
	s.send(&wire.Puback{PacketID: 3, ReasonCode: wire.QuotaExceeded}) // also with a failure
	s.want(pub(4, 2, "3"))
	s.wantIdle()
	s.send(pubrec(2), pubrec(4)) // PUBREC gives nothing
	s.want(pubrel(2), pubrel(4))
	s.wantIdle()
	s.send(&wire.Pubcomp{PacketID: 2, ReasonCode: wire.PacketIdentifierNotFound}) // PUBCOMP gives one back, whatever its code
	s.want(pub(5, 1, "4"))
	s.wantIdle()
	s.send(pubcomp(4), puback(5))
	s.want(pub(6, 2, "5"), pub(7, 1, "6"))
	s.wantIdle()
	s.send(&wire.Pubrec{PacketID: 6, ReasonCode: wire.NotAuthorized}) // a failing PUBREC gives one back
	s.want(pub(8, 2, "7"))
	s.wantIdle()
}

func TestQuotaBelongsToTheConnection(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	for i := range 5 {
		s.publish(fmt.Sprint(i), wire.AtLeastOnce)
	}
	s.up(keeping(wire.V5), &wire.Connack{ReceiveMaximum: 3})
	s.want(pub(1, 1, "0"), pub(2, 1, "1"), pub(3, 1, "2"))
	s.wantIdle()
	s.lose()
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true})
	s.want(dup(1, 1, "0"), dup(2, 1, "1"), dup(3, 1, "2"), pub(4, 1, "3"), pub(5, 1, "4"))
	s.wantIdle()
	s.lose()
	s.publish("new", wire.AtMostOnce)
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true, ReceiveMaximum: 2})
	s.want(dup(1, 1, "0"), dup(2, 1, "1"))
	s.wantIdle() // new messages wait for the repeats
	sent, err := s.c.Sender.SendAtMostOnce(pub(0, 0, "quick"))
	require.NoError(t, err)
	require.False(t, sent)
	s.send(puback(2))
	s.want(dup(3, 1, "2"))
	s.send(puback(1), puback(3))
	s.want(dup(4, 1, "3"), dup(5, 1, "4"), pub(0, 0, "new"))
	s.wantIdle()
}

func TestAcknowledgementOfWhatThisConnectionHasNotRepeated(t *testing.T) {
	for _, last := range []bool{false, true} {
		s := connectedScript(t, wire.V5)
		for i := range 4 {
			s.publish(fmt.Sprint(i), wire.QoS(1+i%2))
		}
		s.lose()
		s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true, ReceiveMaximum: 1})
		s.want(dup(1, 1, "0"))
		// Odd, but the identifiers are in use. The quota must not grow from it.
		s.send(pubrec(2), puback(3))
		s.want(pubrel(2))
		s.wantIdle()
		if last {
			s.send(pubrec(4), puback(1))
			s.want(pubrel(4))
		} else {
			s.send(puback(1))
			s.want(dup(4, 2, "3"))
			s.send(pubrec(4))
			s.want(pubrel(4))
		}
		s.send(pubcomp(4), pubcomp(2))
		require.Zero(t, s.c.Sender.Inflight())
		s.wantIdle()
	}
}

func TestPubrelTakesNoQuotaAndItsPubcompGivesNone(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(keeping(wire.V5), &wire.Connack{ReceiveMaximum: 2})
	for i := range 8 {
		s.publish(fmt.Sprint(i), wire.ExactlyOnce)
	}
	s.send(pubrec(1))
	s.skip()
	s.lose()
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true, ReceiveMaximum: 2})
	s.want(pubrel(1), dup(2, 2, "1"), pub(3, 2, "2"))
	s.wantIdle()
	s.send(pubcomp(1))
	s.wantIdle() // two are open still
	s.send(pubrec(2), pubcomp(2))
	s.want(pubrel(2), pub(4, 2, "3"))
	s.wantIdle()
}

func TestQuotaHoldsUpNothingElse(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	p := keeping(wire.V5)
	p.KeepAlive = 10
	s.up(p, &wire.Connack{ReceiveMaximum: 1})
	s.publish("open", wire.ExactlyOnce)
	s.want(pub(1, 2, "open"))
	sent, err := s.c.Sender.SendAtMostOnce(pub(0, 0, "zero"))
	require.NoError(t, err)
	require.True(t, sent)
	s.want(pub(0, 0, "zero"))
	s.publish("waits", wire.AtLeastOnce)
	s.send(pub(1, 1, "one"), pub(2, 2, "two"))
	s.ack(s.wantMessages("one", "two")...)
	s.want(puback(1), pubrec(2))
	s.send(pubrel(2), pubrec(1))
	s.want(pubcomp(2), pubrel(1))
	r := s.request(subscribe("a"))
	s.want(r.Subscribe)
	require.NoError(t, s.advance(9*time.Second))
	s.want(&wire.Pingreq{})
	require.NoError(t, s.c.Disconnect(&wire.Disconnect{}))
	s.want(&wire.Disconnect{})
}

func TestOwnInflightLimit(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := newScript(t, v, ClientSettings{Inflight: 2})
		s.up(keeping(v), &wire.Connack{})
		for i := range 4 {
			s.publish(fmt.Sprint(i), wire.AtLeastOnce)
		}
		s.want(pub(1, 1, "0"), pub(2, 1, "1"))
		s.wantIdle()
		s.send(puback(2))
		s.want(pub(3, 1, "2"))
		s.wantIdle()
	})
}

func TestInflightLimitByDefault(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		for range 2000 {
			s.publish("x", wire.AtLeastOnce)
		}
		s.skip()
		want := 20
		if v == wire.V5 {
			want = 1024
		}
		require.Equal(t, want, s.c.Sender.Inflight())
	})
}

// A message that is given up before the first packet of a connection has taken nothing
// of the quota of this connection.
func TestLostMessagesGiveNoQuotaBack(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{FailLost: true})
	s.up(keeping(wire.V5), &wire.Connack{})
	lost := s.publish("0", wire.ExactlyOnce)
	s.want(pub(1, 2, "0"))
	s.lose()
	s.dial(keeping(wire.V5)) // not answered: the session may be a new one
	s.lose()
	s.publish("1", wire.AtLeastOnce)
	s.publish("2", wire.AtLeastOnce)
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true, ReceiveMaximum: 1})
	s.wantCompleted(lost)
	require.ErrorIs(t, lost.Result().Err, ErrSessionLost)
	s.want(pub(2, 1, "1"))
	s.wantIdle()
}
