package session

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

var versions = []wire.Version{wire.V31, wire.V311, wire.V5}

// each runs a test once per version.
func each(t *testing.T, test func(*testing.T, wire.Version)) {
	for _, v := range versions {
		t.Run(v.String(), func(t *testing.T) { test(t, v) })
	}
}

func TestConnectIsTheFirstPacket(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := newScript(t, v, ClientSettings{})
		early := []*Outgoing{s.publish("zero", wire.AtMostOnce), s.publish("one", wire.AtLeastOnce)}
		s.dial(keeping(v))
		late := s.publish("two", wire.ExactlyOnce)
		s.wantIdle() // nothing before CONNACK says what the server allows
		s.send(&wire.Connack{})
		s.want(pub(0, 0, "zero"), pub(1, 1, "one"), pub(2, 2, "two"))
		s.wantIdle()
		s.wantCompleted(early[0])
		require.True(t, late.Sent())
	})
}

func TestFirstPacketMustBeConnack(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		for _, p := range []wire.Packet{pub(0, 0, "x"), puback(1), &wire.Pingresp{}, &wire.Suback{PacketID: 1, ReasonCodes: []wire.ReasonCode{0}}} {
			s := newScript(t, v, ClientSettings{})
			s.dial(keeping(v))
			s.sendBad(wire.ProtocolError, p)
			require.Nil(t, s.c.Connack())
		}
	})
}

func TestSecondConnackIsAProtocolError(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		connectedScript(t, v).sendBad(wire.ProtocolError, &wire.Connack{})
	})
}

func TestDisconnectInsteadOfConnackIsReported(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.dial(keeping(wire.V5))
	said := s.refuse(&wire.Disconnect{ReasonCode: wire.ServerBusy})
	require.Equal(t, wire.TypeDisconnect, said.Packet)
	require.ErrorIs(t, said, wire.ServerBusy)
}

func TestSessionPresentMustFit(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		t.Run(v.String(), func(t *testing.T) {
			clean := keeping(v)
			clean.CleanStart = true

			s := newScript(t, v, ClientSettings{HasSession: true})
			s.dial(clean)
			s.sendBad(wire.ProtocolError, &wire.Connack{SessionPresent: true})

			s = newScript(t, v, ClientSettings{})
			s.dial(keeping(v))
			s.sendBad(wire.ProtocolError, &wire.Connack{SessionPresent: true})

			s = newScript(t, v, ClientSettings{HasSession: true})
			s.up(keeping(v), &wire.Connack{SessionPresent: true})
			require.True(t, s.c.Connack().SessionPresent)
			s.lose()

			// A clean start without an answer may have arrived, or not: the session is
			// the one of before, or a new one.
			s.dial(clean)
			s.lose()
			s.up(keeping(v), &wire.Connack{SessionPresent: true})
			require.Equal(t, Doubtful, s.c.Continuity())
		})
	}
}

// A CONNECT that was given up may arrive behind a later one, and delete its session.
func TestCleanStartThatIsStillOnItsWayCastsDoubt(t *testing.T) {
	clean := &wire.Connect{ClientID: "c1", CleanStart: true, SessionExpiryInterval: 60}
	s := newScript(t, wire.V5, ClientSettings{})
	lose := func() {
		s.c.LostBecause(nil, s.now)
		s.out = nil
	}
	s.dial(clean)
	lose()
	s.up(clean, &wire.Connack{})
	for range 2 {
		lose()
		s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true})
		require.Equal(t, Doubtful, s.c.Continuity())
	}
	s.now = s.now.Add(eraserLasts)
	lose()
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true})
	require.Equal(t, Proven, s.c.Continuity(), "it has come by now, or never will")
}

func TestSessionThatEndedWithItsConnectionIsNotPresent(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(&wire.Connect{ClientID: "c1"}, &wire.Connack{}) // expiry 0
	s.lose()
	s.dial(&wire.Connect{ClientID: "c1"})
	s.sendBad(wire.ProtocolError, &wire.Connack{SessionPresent: true})

	s = newScript(t, wire.V5, ClientSettings{})
	s.up(keeping(wire.V5), &wire.Connack{SessionExpiryInterval: new(uint32(0))})
	require.Zero(t, s.c.SessionExpiryInterval())
	s.lose()
	s.dial(keeping(wire.V5))
	s.sendBad(wire.ProtocolError, &wire.Connack{SessionPresent: true})

	s = newScript(t, wire.V311, ClientSettings{})
	s.up(&wire.Connect{ClientID: "c1", CleanStart: true}, &wire.Connack{})
	s.lose()
	s.dial(keeping(wire.V311))
	s.sendBad(wire.ProtocolError, &wire.Connack{SessionPresent: true})
}

func TestServerMayKeepASessionLongerThanAskedFor(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(&wire.Connect{ClientID: "c1"}, &wire.Connack{SessionExpiryInterval: new(uint32(60))})
	require.EqualValues(t, 60, s.c.SessionExpiryInterval())
	s.lose()
	s.up(&wire.Connect{ClientID: "c1"}, &wire.Connack{SessionPresent: true})
}

func TestSessionPresentOf31IsIgnored(t *testing.T) {
	s := newScript(t, wire.V31, ClientSettings{})
	s.dial(keeping(wire.V31))
	require.NoError(t, s.receive(unhex(t, "20 02 01 00"))) // the byte is reserved
	require.True(t, s.c.Connected())
	require.False(t, s.c.Connack().SessionPresent)
	one := s.publish("one", wire.AtLeastOnce)
	s.want(pub(1, 1, "one"))
	s.lose()
	// The server does not say whether it has the session; without clean session it may.
	s.dial(keeping(wire.V31))
	require.NoError(t, s.receive(unhex(t, "20 02 00 00")))
	s.want(dup(1, 1, "one"))
	s.send(puback(1))
	s.wantCompleted(one)
}

func TestRefusalsCarryWhatTheServerSaid(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.dial(keeping(wire.V5))
	said := s.refuse(&wire.Connack{ReasonCode: wire.UseAnotherServer, ReasonString: "full", ServerReference: "b.example",
		UserProperties: []wire.UserProperty{{Name: "a", Value: "b"}}})
	require.Equal(t, &ServerError{Packet: wire.TypeConnack, ReasonCode: wire.UseAnotherServer, ReasonString: "full",
		ServerReference: "b.example", UserProperties: []wire.UserProperty{{Name: "a", Value: "b"}}}, said)
	require.Contains(t, said.Error(), "full")
	require.False(t, s.c.Connected())
	s.wantIdle()
	require.Zero(t, s.c.Deadline())
	require.ErrorIs(t, s.c.Request(subscribe("a")), ErrNotConnected)
	s.lose()
	s.up(keeping(wire.V5), &wire.Connack{})
}

func TestRefusalOfOlderVersions(t *testing.T) {
	want := []wire.ReasonCode{1: wire.UnsupportedProtocolVersion, 2: wire.ClientIdentifierNotValid, 3: wire.ServerUnavailable,
		4: wire.BadUserNameOrPassword, 5: wire.NotAuthorized}
	for _, v := range []wire.Version{wire.V31, wire.V311} {
		for code := byte(1); code <= 5; code++ {
			s := newScript(t, v, ClientSettings{})
			s.dial(keeping(v))
			err := s.receive([]byte{0x20, 2, 0, code})
			require.ErrorIs(t, err, want[code])
			require.ErrorAs(t, err, new(*ServerError))
		}
		s := newScript(t, v, ClientSettings{})
		s.dial(keeping(v))
		require.ErrorAs(t, s.receive([]byte{0x20, 2, 0, 6}), new(*wire.Error))
	}
}

func TestConnackOfAnOldServerIsAVersionRefusal(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.dial(keeping(wire.V5))
	err := s.receive(unhex(t, "20 02 00 01"))
	require.ErrorIs(t, err, wire.UnsupportedProtocolVersion)
	require.ErrorAs(t, err, new(*ServerError))
	s.wantIdle()

	// Success in that shape is no CONNACK of 5.0, nor are codes that 3.1.1 lacks.
	for _, text := range []string{"20 02 00 00", "20 02 00 84", "20 02 00 06"} {
		s := newScript(t, wire.V5, ClientSettings{})
		s.dial(keeping(wire.V5))
		require.ErrorAs(t, s.receive(unhex(t, text)), new(*wire.Error))
		s.wantIdle()
	}
}

func TestServerThatTakesNoAcknowledgementIsRefusedWithoutAWord(t *testing.T) {
	for most := range uint32(6) {
		s := newScript(t, wire.V5, ClientSettings{})
		s.dial(keeping(wire.V5))
		if most == 0 || most >= 4 { // 0 is never sent
			s.send(&wire.Connack{MaximumPacketSize: most})
			continue
		}
		s.sendBad(wire.ProtocolError, &wire.Connack{MaximumPacketSize: most})
		s.wantIdle()
	}
}

func TestAuthenticationMethodOfConnackMustFit(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.dial(keeping(wire.V5))
	s.sendBad(wire.ProtocolError, &wire.Connack{AuthenticationMethod: "M"})

	with := keeping(wire.V5)
	with.AuthenticationMethod = "M"
	s = newScript(t, wire.V5, ClientSettings{})
	s.dial(with)
	s.sendBad(wire.ProtocolError, &wire.Connack{})

	s = newScript(t, wire.V5, ClientSettings{})
	s.up(with, &wire.Connack{AuthenticationMethod: "M"})
}

func TestAuthNobodyAskedForIsAProtocolError(t *testing.T) {
	connectedScript(t, wire.V5).sendBad(wire.ProtocolError,
		&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "M"})
}

func TestPacketsOnlyClientsSend(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		for _, text := range []string{"c000", "820600010001 6100"} {
			s := connectedScript(t, v)
			err := s.receive(unhex(t, text))
			require.ErrorAs(t, err, new(*wire.Error))
			require.False(t, s.c.Connected())
		}
	})
}

func TestServerDisconnectIsReported(t *testing.T) {
	s := connectedScript(t, wire.V5)
	o := s.publish("one", wire.AtLeastOnce)
	said := s.refuse(&wire.Disconnect{ReasonCode: wire.ServerShuttingDown, ReasonString: "bye", ServerReference: "b"})
	require.Equal(t, &ServerError{Packet: wire.TypeDisconnect, ReasonCode: wire.ServerShuttingDown, ReasonString: "bye", ServerReference: "b"}, said)
	require.Equal(t, 1, s.c.Sender.Inflight())
	s.resume()
	s.want(dup(1, 1, "one"))
	s.send(puback(1))
	s.wantCompleted(o)
}

func TestNothingFollowsDisconnect(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.send(pub(5, 1, "in"))
		tokens := s.wantMessages("in")
		s.publish("before", wire.AtLeastOnce)
		require.NoError(t, s.c.Disconnect(&wire.Disconnect{}))
		s.publish("after", wire.AtMostOnce)
		sent, err := s.c.Sender.SendAtMostOnce(pub(0, 0, "after"))
		require.NoError(t, err)
		require.False(t, sent)
		s.ack(tokens...)
		s.send(puback(1), pub(6, 1, "late")) // what still arrives is ignored
		s.wantMessages()
		require.ErrorIs(t, s.c.Request(subscribe("a")), ErrNotConnected)
		require.ErrorIs(t, s.c.Disconnect(&wire.Disconnect{}), ErrNotConnected)
		require.NoError(t, s.c.Tick(s.now.Add(time.Hour)))
		s.want(pub(1, 1, "before"), &wire.Disconnect{})
		s.wantIdle()
		require.False(t, s.c.Connected())
	})
}

func TestErrorIsToldOnceAndOnlyTo50(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.sendBad(wire.ProtocolError, &wire.Connack{}) // checks the DISCONNECT of 5.0
		s.c.Fail(&wire.Error{Reason: wire.ProtocolError})
		s.wantIdle()
	})
}

func TestFailWithAnotherErrorTellsNothing(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.c.Fail(errors.New("socket is gone"))
	s.wantIdle()
	require.False(t, s.c.Connected())
}

func TestErrorKeepsTheSession(t *testing.T) {
	s := connectedScript(t, wire.V5)
	o := s.publish("one", wire.AtLeastOnce)
	s.skip()
	s.sendBad(wire.ProtocolError, &wire.Connack{})
	s.resume()
	s.want(dup(1, 1, "one"))
	s.send(puback(1))
	s.wantCompleted(o)
}

func TestDisconnectCanEndTheSession(t *testing.T) {
	s := connectedScript(t, wire.V5)
	require.NoError(t, s.c.Disconnect(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))}))
	s.want(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
	s.lose()
	s.dial(keeping(wire.V5))
	s.sendBad(wire.ProtocolError, &wire.Connack{SessionPresent: true})
}

func TestDisconnectCanNotReviveAnEndedSession(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(&wire.Connect{ClientID: "c1"}, &wire.Connack{})
	// After expiry 0 in CONNECT any other in DISCONNECT is a protocol error.
	require.Error(t, s.c.Disconnect(&wire.Disconnect{SessionExpiryInterval: new(uint32(60))}))
	s.wantIdle()
	require.True(t, s.c.Connected())
}

func TestDisconnectTextGivesWayToTheSizeLimit(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(keeping(wire.V5), &wire.Connack{MaximumPacketSize: 10})
	require.NoError(t, s.c.Disconnect(&wire.Disconnect{ReasonCode: wire.DisconnectWithWill, ReasonString: "a reason longer than that"}))
	s.want(&wire.Disconnect{ReasonCode: wire.DisconnectWithWill})
}

func TestDisconnectOf311KeepsTheSession(t *testing.T) {
	s := connectedScript(t, wire.V311)
	// 3.1.1 has no such field; the refusal must not make us forget the session.
	require.Error(t, s.c.Disconnect(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))}))
	s.wantIdle()
	s.resume()
}

func TestEngineWithoutConnectionIsHarmless(t *testing.T) {
	c := NewClient(ClientSettings{})
	now := time.Unix(1, 0)
	h := wire.Header{Type: wire.TypePingresp, Size: 2}
	require.NoError(t, c.Handle(h, nil, now))
	require.NoError(t, c.Tick(now))
	require.Zero(t, c.Deadline())
	require.Zero(t, c.SessionExpiryInterval())
	require.Zero(t, c.KeepAlive())
	require.Empty(t, c.Take(nil, now))
	require.Empty(t, c.Answered(nil))
	require.NoError(t, c.Receiver.Ack(Token{}, wire.Success))
	require.ErrorIs(t, c.Request(subscribe("a")), ErrNotConnected)
	require.ErrorIs(t, c.Disconnect(&wire.Disconnect{}), ErrNotConnected)
	c.Alive(now)
	c.Wrote(now)
	c.Fail(&wire.Error{})
	c.Lost(true)
	c.Lost(true)
	require.NoError(t, invariants(c))
}

// Filters are subscribed before anything is repeated, and what is new comes last.
func TestFiltersAreSubscribedBeforeMessagesGoOut(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(keeping(wire.V5), &wire.Connack{ReceiveMaximum: 7})
	s.publish("old", 1)
	s.publish("zero", 0)
	s.lose()
	s.c.Subscriptions.Add(&Interest{Filters: []wire.SubscribeFilter{{Filter: "a"}}})
	fresh := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: []byte("fresh"), QoS: 1}}
	s.c.Sender.Submit(fresh, s.now)
	s.up(keeping(wire.V5), &wire.Connack{ReceiveMaximum: 7, SessionPresent: true})
	s.want(&wire.Subscribe{PacketID: 2, Filters: []wire.SubscribeFilter{{Filter: "a"}}}, dup(1, 1, "old"), pub(fresh.Publish.PacketID, 1, "fresh"))
	s.wantIdle()
}

// The server may give the client another identifier than that of CONNECT, or one in place
// of an empty one. The session is the one that it names.
func TestAssignedIdentifierNamesTheSession(t *testing.T) {
	for _, asked := range []string{"", "c1"} {
		s := newScript(t, wire.V5, ClientSettings{})
		p := keeping(wire.V5)
		p.ClientID, p.CleanStart = asked, true
		s.up(p, &wire.Connack{AssignedClientID: "s1"})
		require.Equal(t, SessionID{"", "s1"}, s.c.Session())
		require.True(t, s.c.HasSessionOf("s1"))
		require.True(t, s.c.HasSessionOf(asked))
		s.lose()
		p.ClientID, p.CleanStart = "s1", false
		s.up(p, &wire.Connack{SessionPresent: true})
		require.Equal(t, Proven, s.c.Continuity())
		s.lose()
		p.ClientID = "c2"
		require.False(t, s.c.HasSessionOf("c2"))
		s.up(p, &wire.Connack{})
		require.True(t, s.c.HasSessionOf("s1"))
		s.lose()
		p.ClientID = "s1"
		s.up(p, &wire.Connack{SessionPresent: true})
		require.Equal(t, Inherited, s.c.Continuity())
	}
}
