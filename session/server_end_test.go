package session

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestServerWill(t *testing.T) {
	for _, v := range versions {
		will := func(s *serverScript) *wire.Will {
			p := keeping(v)
			p.Will = &wire.Will{Topic: "gone", Payload: []byte("bye"), QoS: 1}
			s.up(p, &wire.Connack{})
			return p.Will
		}
		s := newServerScript(t, v, ServerSettings{})
		want := will(s)
		require.Equal(t, want, s.lose(), "the network broke")
		require.Nil(t, s.lose(), "once")

		will(s)
		s.send(&wire.Disconnect{})
		wantEvent[*wire.Disconnect](s)
		require.False(t, s.s.Connected())
		require.NoError(t, s.receive(s.encode(pub(0, 0, "after"))), "nothing that follows matters")
		s.wantMessages()
		require.Nil(t, s.lose(), "the client took leave")

		will(s)
		require.NoError(t, s.s.Disconnect(&wire.Disconnect{}))
		require.Equal(t, want, s.lose(), "we ended it")
		if v == wire.V5 {
			will(s)
			s.send(&wire.Disconnect{ReasonCode: wire.DisconnectWithWill})
			require.Equal(t, want, s.lose(), "the client asks for it")
		}
	}
}

func TestServerKeepAlive(t *testing.T) {
	for _, v := range versions {
		s := newServerScript(t, v, ServerSettings{ConnectTimeout: time.Second})
		p := keeping(v)
		p.KeepAlive = 10
		s.up(p, &wire.Connack{})
		s.now = s.now.Add(14 * time.Second)
		s.send(&wire.Pingreq{})
		s.skip()
		require.Equal(t, s.now.Add(15*time.Second), s.s.Deadline())
		s.now = s.now.Add(15*time.Second - 1)
		require.NoError(t, s.s.Tick(s.now))
		require.ErrorIs(t, s.s.Tick(s.now.Add(1)), ErrSilent)
		if v == wire.V5 {
			s.want(&wire.Disconnect{ReasonCode: wire.KeepAliveTimeout})
		}
		s.wantIdle()
		require.Zero(t, s.s.Deadline())
		require.NoError(t, s.s.Tick(s.now.Add(time.Hour)))
	}
	s := newServerScript(t, wire.V5, ServerSettings{})
	require.Zero(t, s.s.KeepAlive())
	s.up(keeping(wire.V5), &wire.Connack{ServerKeepAlive: new(uint16(2))})
	require.Equal(t, s.now.Add(3*time.Second), s.s.Deadline())
	s.again(keeping(wire.V5))
	require.Zero(t, s.s.Deadline())
}

func TestServerConnectTimeout(t *testing.T) {
	s := newServerScript(t, wire.V5, ServerSettings{})
	s.s.Open(s.now)
	require.Equal(t, s.now.Add(10*time.Second), s.s.Deadline())
	s.now = s.now.Add(9 * time.Second)
	s.send(keeping(wire.V5))
	require.NoError(t, s.s.Tick(s.now))
	s.now = s.now.Add(time.Second)
	require.ErrorIs(t, s.s.Tick(s.now), ErrConnectTimeout)
	s.wantIdle()
	require.ErrorIs(t, s.s.Accept(&wire.Connack{}, s.now), ErrOutOfTurn)
}

func TestServerDisconnect(t *testing.T) {
	s := newServerScript(t, wire.V5, ServerSettings{})
	s.dial(keeping(wire.V5))
	require.ErrorIs(t, s.s.Disconnect(&wire.Disconnect{}), ErrNotConnected)
	require.NoError(t, s.s.Accept(&wire.Connack{}, s.now))
	s.skip()
	require.Error(t, s.s.Disconnect(&wire.Disconnect{SessionExpiryInterval: new(uint32(1))}))
	require.Error(t, s.s.Disconnect(&wire.Disconnect{ReasonCode: wire.DisconnectWithWill}))
	s.wantIdle()
	require.NoError(t, s.s.Disconnect(&wire.Disconnect{ReasonCode: wire.UseAnotherServer, ServerReference: "other"}))
	s.publish("late", 1)
	s.want(&wire.Disconnect{ReasonCode: wire.UseAnotherServer, ServerReference: "other"})
	s.wantIdle()

	old := served(t, wire.V311)
	require.NoError(t, old.s.Disconnect(&wire.Disconnect{ReasonCode: wire.ServerShuttingDown}))
	old.wantIdle()
	require.False(t, old.s.Connected())
}

func TestServerAdoptsASession(t *testing.T) {
	for _, v := range versions {
		first := newServerScript(t, v, ServerSettings{})
		p := keeping(v)
		p.Will = &wire.Will{Topic: "gone", Payload: []byte("bye"), QoS: 1}
		first.up(p, &wire.Connack{})
		first.send(pub(9, 2, "held"))
		held := first.wantMessages("held")
		first.publish("one", 1)
		first.skip()
		require.NoError(t, first.s.Disconnect(&wire.Disconnect{ReasonCode: wire.SessionTakenOver}))
		if v == wire.V5 {
			first.want(&wire.Disconnect{ReasonCode: wire.SessionTakenOver})
		}

		second := newServerScript(t, v, ServerSettings{})
		second.dial(keeping(v))
		require.Equal(t, p.Will, second.s.Adopt(first.s))
		require.Nil(t, second.s.Adopt(second.s))
		require.False(t, first.s.HasSession())
		ack := new(wire.Connack)
		require.NoError(t, second.s.Accept(ack, second.now))
		require.True(t, ack.SessionPresent)
		second.want(ack, dup(1, 1, "one"))
		second.send(dup(9, 2, "held"))
		second.wantMessages()
		second.ack(held...)
		second.want(pubrec(9))

		// The first is as good as new.
		first.up(keeping(v), &wire.Connack{})
		first.publish("new", 1)
		first.want(pub(1, 1, "new"))
		second.wantIdle()
	}
}

func TestServerFail(t *testing.T) {
	s := served(t, wire.V5)
	s.s.Fail(&wire.Error{Reason: wire.PacketTooLarge})
	s.want(&wire.Disconnect{ReasonCode: wire.PacketTooLarge})
	s.lose()
	s.dial(keeping(wire.V5))
	s.s.Fail(errors.New("reset by peer"))
	s.wantIdle()
	require.False(t, s.s.Connected())
}

func TestServerTrim(t *testing.T) {
	s := served(t, wire.V5)
	for range 2 * keptReceived {
		s.send(pub(0, 0, "zero"))
	}
	s.publish("one", 1)
	s.s.Trim(0)
	require.Len(t, s.s.Events(), 2*keptReceived, "what waits stays")
	s.want(pub(1, 1, "one"))
	s.send(puback(1))
	s.s.Recycle()
	s.s.Trim(0)
	require.Zero(t, s.s.inbox)
	s.send(pub(1, 1, "one"))
	s.ack(s.wantMessages("one")...)
	s.want(puback(1))
}

// What is forwarded may still have the identifier of where it came from.
func TestAForwardedMessageWithoutSessionDisturbsNothing(t *testing.T) {
	s := NewServer(ServerSettings{})
	o := &Outgoing{Publish: wire.Publish{Topic: "a", QoS: wire.AtLeastOnce, PacketID: 5}}
	s.Publish(o, time.Time{})
	require.ErrorIs(t, o.Result().Err, ErrSessionEnded)
	require.Zero(t, s.Sender.ids.used)
}
