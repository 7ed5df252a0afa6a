package session

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestServerRefuses(t *testing.T) {
	for _, v := range versions {
		s := newServerScript(t, v, ServerSettings{})
		s.dial(keeping(v))
		require.Error(t, s.s.Refuse(&wire.Connack{}))
		refusal := &wire.Connack{ReasonCode: wire.NotAuthorized, SessionPresent: true}
		require.NoError(t, s.s.Refuse(refusal))
		s.want(&wire.Connack{ReasonCode: wire.NotAuthorized})
		require.ErrorIs(t, s.s.Refuse(refusal), ErrOutOfTurn)
		require.ErrorIs(t, s.s.Accept(&wire.Connack{}, s.now), ErrOutOfTurn)
		require.NoError(t, s.receive(s.encode(pub(1, 1, "after"))))
		s.wantMessages()
		s.wantIdle()
		require.Nil(t, s.lose())
	}
	// Quota exceeded has no return code before 5.0.
	s := newServerScript(t, wire.V311, ServerSettings{})
	s.dial(keeping(wire.V311))
	require.NoError(t, s.s.Refuse(&wire.Connack{ReasonCode: wire.QuotaExceeded}))
	s.wantIdle()
}

func TestServerRefusalSparesTheSession(t *testing.T) {
	s := served(t, wire.V5)
	s.publish("one", 1)
	s.lose()
	p := keeping(wire.V5)
	p.CleanStart = true
	s.dial(p)
	require.NoError(t, s.s.Refuse(&wire.Connack{ReasonCode: wire.NotAuthorized}))
	s.again(keeping(wire.V5))
	s.want(dup(1, 1, "one"))
}

func TestServerChecksItsConnack(t *testing.T) {
	s := newServerScript(t, wire.V5, ServerSettings{})
	s.dial(&wire.Connect{CleanStart: true, MaximumPacketSize: 10})
	require.Error(t, s.s.Accept(&wire.Connack{ReasonCode: wire.NotAuthorized}, s.now))
	require.Error(t, s.s.Accept(&wire.Connack{}, s.now), "no assigned client identifier")
	require.ErrorIs(t, s.s.Accept(&wire.Connack{AssignedClientID: "far too long"}, s.now), wire.PacketTooLarge)
	s.wantIdle()
	require.False(t, s.s.HasSession())
	require.NoError(t, s.s.Accept(&wire.Connack{AssignedClientID: "c"}, s.now))
	s.want(&wire.Connack{AssignedClientID: "c"})

	s.lose()
	s.dial(keeping(wire.V5))
	require.Error(t, s.s.Accept(&wire.Connack{AssignedClientID: "other"}, s.now))

	// Before 5.0 the identifier is given without a word.
	old := newServerScript(t, wire.V311, ServerSettings{})
	old.up(&wire.Connect{CleanStart: true}, &wire.Connack{})
}

func TestServerRefusesWills(t *testing.T) {
	for _, test := range []struct {
		will   wire.Will
		ack    wire.Connack
		reason wire.ReasonCode
	}{
		{wire.Will{Topic: "w", QoS: 2}, wire.Connack{MaximumQoS: new(wire.AtLeastOnce)}, wire.QoSNotSupported},
		{wire.Will{Topic: "w", Retain: true}, wire.Connack{RetainAvailable: new(false)}, wire.RetainNotSupported},
	} {
		s := newServerScript(t, wire.V5, ServerSettings{})
		s.dial(&wire.Connect{ClientID: "c", Will: &test.will})
		require.ErrorIs(t, s.s.Accept(&test.ack, s.now), test.reason)
		s.want(&wire.Connack{ReasonCode: test.reason})
		s.wantIdle()
		require.Nil(t, s.lose())
	}
}

func TestServerFirstPackets(t *testing.T) {
	now := time.Unix(1, 0)
	connack := func(v wire.Version, code wire.ReasonCode) []byte {
		b, err := (&wire.Connack{ReasonCode: code}).Append(nil, v)
		require.NoError(t, err)
		return b
	}
	for _, test := range []struct {
		name, hex string
		want      []byte
	}{
		{"PINGREQ", "c000", nil},
		{"another protocol", "100c 0004 54545454 04 02 003c 0000", nil},
		{"a later level", "100c 0004 4d515454 06 02 003c 0000", connack(wire.V5, wire.UnsupportedProtocolVersion)},
		{"an earlier level", "100c 0004 4d515454 02 02 003c 0000", connack(wire.V311, wire.UnsupportedProtocolVersion)},
		{"no level", "1006 0004 4d515454", nil},
		{"identifier missing", "100c 0004 4d515454 04 00 003c 0000", connack(wire.V311, wire.ClientIdentifierNotValid)},
		{"fault in 3.1.1", "100c 0004 4d515454 04 01 003c 0000", nil},
		{"fault in 5.0", "100d 0004 4d515454 05 01 003c 00 0000", connack(wire.V5, wire.MalformedPacket)},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := NewServer(ServerSettings{})
			var fault *wire.Error
			s.Open(now)
			require.ErrorAs(t, feedServer(s, unhex(t, test.hex), now), &fault)
			require.Equal(t, test.want, s.Take(nil, now))
			require.Empty(t, s.Events())
			require.NoError(t, s.Handle(wire.Header{Type: wire.TypePingreq}, nil, now))
		})
	}
}

func TestServerLimits(t *testing.T) {
	limited := func(t *testing.T) *serverScript {
		s := newServerScript(t, wire.V5, ServerSettings{})
		s.up(keeping(wire.V5), &wire.Connack{
			ReceiveMaximum: 2, MaximumPacketSize: 50, TopicAliasMaximum: 1, MaximumQoS: new(wire.AtLeastOnce),
			RetainAvailable: new(false), WildcardSubscriptionAvailable: new(false),
			SubscriptionIDAvailable: new(false), SharedSubscriptionAvailable: new(false),
		})
		return s
	}
	identified := subscribing(1, "a")
	identified.SubscriptionID = 7
	retained := pub(0, 0, "")
	retained.Retain = true
	aliased := func(topic string, alias uint16) *wire.Publish {
		return &wire.Publish{Topic: topic, Properties: &wire.PublishProperties{TopicAlias: alias}}
	}
	for _, test := range []struct {
		name   string
		reason wire.ReasonCode
		packet wire.Packet
	}{
		{"packet size", wire.PacketTooLarge, pub(0, 0, string(make([]byte, 50)))},
		{"QoS", wire.QoSNotSupported, pub(1, 2, "")},
		{"retained", wire.RetainNotSupported, retained},
		{"wildcard", wire.WildcardSubscriptionsNotSupported, subscribing(1, "a/#")},
		{"identifier", wire.SubscriptionIdentifiersNotSupported, identified},
		{"shared", wire.SharedSubscriptionsNotSupported, subscribing(1, "$share/g/a")},
		{"alias", wire.TopicAliasInvalid, aliased("a", 2)},
		{"unknown alias", wire.ProtocolError, aliased("", 1)},
		{"second CONNECT", wire.ProtocolError, keeping(wire.V5)},
	} {
		t.Run(test.name, func(t *testing.T) {
			limited(t).sendBad(test.reason, test.packet)
		})
	}
	s := limited(t)
	require.ErrorIs(t, s.receive(unhex(t, "300a 000161 06 080003612f2b")), wire.ProtocolError, "response topic with a wildcard")

	s = limited(t)
	s.send(aliased("long", 1), aliased("", 1))
	for _, e := range s.s.Events() {
		require.Equal(t, "long", e.Packet.(*wire.Publish).Topic)
	}
	s.s.Recycle()
	s.send(pub(1, 1, "one"), pub(2, 1, "two"))
	s.sendBad(wire.ReceiveMaximumExceeded, pub(3, 1, "three"))
	s.wantMessages("one", "two")
}

func TestServerKeepsTheLimitsOfTheClient(t *testing.T) {
	s := newServerScript(t, wire.V5, ServerSettings{Inflight: 2})
	p := keeping(wire.V5)
	p.ReceiveMaximum, p.MaximumPacketSize, p.TopicAliasMaximum = 1, 40, 3
	s.up(p, &wire.Connack{})
	require.Equal(t, uint16(3), s.s.Limits().TopicAliasMaximum)
	large := s.publish(string(make([]byte, 40)), 1)
	one, two := s.publish("one", 1), s.publish("two", 1)
	s.wantCompleted(large) // [MQTT-3.1.2-25]
	require.ErrorIs(t, large.Result().Err, wire.PacketTooLarge)
	s.want(pub(1, 1, "one"))
	s.wantIdle()
	s.send(puback(1))
	s.want(pub(2, 1, "two"))
	s.send(puback(2))
	s.wantCompleted(one, two)

	p.ReceiveMaximum = 10
	s.again(p)
	s.publish("a", 1)
	s.publish("b", 1)
	s.publish("c", 1)
	s.want(pub(3, 1, "a"), pub(4, 1, "b"))
	s.wantIdle()
}

func TestServerDropsMessagesThatGetTooOld(t *testing.T) {
	s := newServerScript(t, wire.V5, ServerSettings{Inflight: 1})
	s.up(keeping(wire.V5), &wire.Connack{})
	one := s.publish("one", 1)
	old := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1}, Expires: new(s.now.Add(time.Second))}
	s.s.Publish(old, s.now)
	s.now = s.now.Add(2 * time.Second)
	s.send(puback(1))
	s.wantCompleted(one, old)
	require.ErrorIs(t, old.Result().Err, ErrExpired)
	s.want(pub(1, 1, "one"))
	s.wantIdle()
}

func TestServerUsesTopicAliases(t *testing.T) {
	for _, allowed := range []uint16{0, 1} {
		s := newServerScript(t, wire.V5, ServerSettings{TopicAliases: 5})
		p := keeping(wire.V5)
		p.TopicAliasMaximum = allowed
		s.up(p, &wire.Connack{})
		message := func(topic string, alias uint16) *wire.Publish {
			m := &wire.Publish{Topic: topic}
			if alias > 0 {
				m.Properties = &wire.PublishProperties{TopicAlias: alias}
			}
			return m
		}
		for range 3 {
			s.s.Publish(&Outgoing{Publish: wire.Publish{Topic: "a/long/topic"}}, s.now)
		}
		plain := message("a/long/topic", 0)
		if allowed == 0 {
			s.want(plain, plain, plain)
		} else {
			s.want(plain, message("a/long/topic", 1), message("", 1))
		}
		s.wantIdle()
	}
}

func TestServerDropsPropertiesForOldClients(t *testing.T) {
	s := served(t, wire.V5)
	message := func() {
		s.s.Publish(&Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1, Properties: &wire.PublishProperties{ContentType: "c"}}}, s.now)
	}
	message()
	s.lose()
	s.v = wire.V311
	s.up(keeping(wire.V311), &wire.Connack{})
	message()
	s.want(dup(1, 1, ""), pub(2, 1, ""))
}

func TestServerAuthentication(t *testing.T) {
	step := func(code wire.ReasonCode, data string) *wire.Auth {
		return &wire.Auth{ReasonCode: code, AuthenticationMethod: "M", AuthenticationData: []byte(data)}
	}
	begin := func(t *testing.T) *serverScript {
		s := newServerScript(t, wire.V5, ServerSettings{})
		p := keeping(wire.V5)
		p.AuthenticationMethod, p.AuthenticationData = "M", []byte("hello")
		s.dial(p)
		return s
	}
	finish := func(t *testing.T) *serverScript {
		s := begin(t)
		require.Error(t, s.s.Auth(&wire.Auth{}), "success comes with CONNACK")
		require.NoError(t, s.s.Auth(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationData: []byte("1")}))
		s.want(step(wire.ContinueAuthentication, "1"))
		require.ErrorIs(t, s.s.Auth(&wire.Auth{ReasonCode: wire.ContinueAuthentication}), ErrOutOfTurn)
		s.send(step(wire.ContinueAuthentication, "2"))
		require.Equal(t, "2", string(wantEvent[*wire.Auth](s).AuthenticationData))
		require.NoError(t, s.s.Accept(&wire.Connack{AuthenticationData: []byte("3")}, s.now))
		s.want(&wire.Connack{AuthenticationMethod: "M", AuthenticationData: []byte("3")})
		return s
	}
	t.Run("again, while other traffic goes on", func(t *testing.T) {
		s := finish(t)
		s.send(step(wire.Reauthenticate, "4"), pub(0, 0, "zero"))
		require.Len(t, s.s.Events(), 2)
		s.s.Recycle()
		require.NoError(t, s.s.Auth(&wire.Auth{ReasonCode: wire.ContinueAuthentication}))
		s.send(step(wire.ContinueAuthentication, "5"))
		wantEvent[*wire.Auth](s)
		require.NoError(t, s.s.Auth(&wire.Auth{ReasonCode: wire.Success, AuthenticationData: []byte("6")}))
		s.want(&wire.Auth{ReasonCode: wire.ContinueAuthentication, AuthenticationMethod: "M"}, step(wire.Success, "6"))
		s.send(step(wire.Reauthenticate, "7"))
		require.Error(t, s.s.Auth(&wire.Auth{ReasonCode: wire.Reauthenticate}))
	})
	t.Run("refused", func(t *testing.T) {
		s := begin(t)
		require.NoError(t, s.s.Auth(&wire.Auth{ReasonCode: wire.ContinueAuthentication}))
		s.skip()
		require.NoError(t, s.s.Refuse(&wire.Connack{ReasonCode: wire.NotAuthorized}))
		s.want(&wire.Connack{ReasonCode: wire.NotAuthorized})
	})
	t.Run("given up by the client", func(t *testing.T) {
		s := begin(t)
		require.NoError(t, s.s.Auth(&wire.Auth{ReasonCode: wire.ContinueAuthentication}))
		s.send(&wire.Disconnect{ReasonCode: wire.UnspecifiedError})
		wantEvent[*wire.Disconnect](s)
		require.ErrorIs(t, s.s.Accept(&wire.Connack{}, s.now), ErrOutOfTurn)
	})
	t.Run("faults before CONNACK", func(t *testing.T) {
		other := step(wire.ContinueAuthentication, "")
		other.AuthenticationMethod = "N"
		for _, p := range []wire.Packet{pub(0, 0, "early"), other, step(wire.Reauthenticate, "")} {
			s := begin(t)
			require.NoError(t, s.s.Auth(&wire.Auth{ReasonCode: wire.ContinueAuthentication}))
			s.skip()
			require.ErrorIs(t, s.receive(s.encode(p)), wire.ProtocolError)
			s.want(&wire.Connack{ReasonCode: wire.ProtocolError})
			s.wantIdle()
			require.Empty(t, s.s.Events())
		}
	})
	t.Run("faults after CONNACK", func(t *testing.T) {
		finish(t).sendBad(wire.ProtocolError, step(wire.ContinueAuthentication, ""))
		s := finish(t)
		s.send(step(wire.Reauthenticate, ""))
		s.sendBad(wire.ProtocolError, step(wire.Reauthenticate, ""))
		s = finish(t)
		s.send(step(wire.Reauthenticate, ""))
		s.sendBad(wire.ProtocolError, step(wire.ContinueAuthentication, ""))
		plain := served(t, wire.V5)
		require.ErrorIs(t, plain.s.Auth(&wire.Auth{}), ErrOutOfTurn)
		plain.sendBad(wire.ProtocolError, step(wire.Reauthenticate, ""))
	})
}

// A client that is refused costs nobody the session: whoever would adopt it for the
// client knows before.
func TestServerKnowsBeforeItAdopts(t *testing.T) {
	first := served(t, wire.V5)
	for name, test := range map[string]struct {
		connect *wire.Connect
		ack     *wire.Connack
		is      func(error) bool
	}{
		"packet size": {&wire.Connect{ClientID: "c1", MaximumPacketSize: 4}, &wire.Connack{},
			func(err error) bool { return errors.Is(err, wire.PacketTooLarge) }},
		"will": {&wire.Connect{ClientID: "c1", Will: &wire.Will{Topic: "w", QoS: 2}}, &wire.Connack{MaximumQoS: new(wire.AtLeastOnce)},
			func(err error) bool { return errors.Is(err, wire.QoSNotSupported) }},
		"reason": {&wire.Connect{ClientID: "c1"}, &wire.Connack{ReasonCode: wire.ServerBusy},
			func(err error) bool { _, ok := errors.AsType[*wire.FieldError](err); return ok }},
	} {
		second := newServerScript(t, wire.V5, ServerSettings{})
		require.ErrorIs(t, second.s.CheckAccept(test.ack), ErrOutOfTurn)
		second.dial(test.connect)
		require.True(t, test.is(second.s.CheckAccept(test.ack)), name)
		second.wantIdle()
		require.NoError(t, second.s.Refuse(&wire.Connack{ReasonCode: wire.ServerBusy}))
		require.Nil(t, second.lose())
		require.True(t, first.s.Connected())
	}
	// A reason string is left out and keeps nobody away.
	second := newServerScript(t, wire.V5, ServerSettings{})
	second.dial(&wire.Connect{ClientID: "c1", MaximumPacketSize: 10, SessionExpiryInterval: 60})
	ack := &wire.Connack{ReasonString: "far too long to fit"}
	require.NoError(t, second.s.CheckAccept(ack))
	require.False(t, ack.SessionPresent)
	second.s.Adopt(first.s)
	require.NoError(t, second.s.Accept(ack, second.now))
	require.True(t, second.s.Connack().SessionPresent)
}

func TestServerRefusesWithoutTouchingItsSession(t *testing.T) {
	for _, v := range versions {
		s := served(t, v)
		s.send(pub(9, 2, "held"))
		held := s.wantMessages("held")
		s.publish("one", 1)
		s.want(pub(1, 1, "one"))
		s.lose()
		for _, clean := range []bool{false, true} {
			p := keeping(v)
			p.CleanStart, p.SessionExpiryInterval = clean, 0
			s.dial(p)
			require.NoError(t, s.s.Refuse(&wire.Connack{ReasonCode: wire.NotAuthorized}))
			s.skip()
			require.Nil(t, s.lose())
			require.True(t, s.s.HasSession())
			require.NotZero(t, s.s.SessionExpiryInterval())
		}
		s.dial(keeping(v))
		ack := new(wire.Connack)
		require.NoError(t, s.s.Accept(ack, s.now))
		s.want(ack, dup(1, 1, "one"))
		s.send(dup(9, 2, "held"))
		s.ack(held...)
		s.want(pubrec(9))
	}
}
