package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestSubscribeAndUnsubscribe(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		r := s.request(subscribe("a", "b", "c"))
		s.want(&wire.Subscribe{PacketID: 1, Filters: r.Subscribe.Filters})
		s.send(pub(0, 0, "early")) // messages may come before SUBACK
		s.wantMessages("early")
		s.wantAnswered()
		refused := wire.UnspecifiedError
		s.send(&wire.Suback{PacketID: 1, ReasonCodes: []wire.ReasonCode{wire.GrantedQoS2, refused, wire.Success}})
		s.wantAnswered(r)
		s.wantAnswered()
		require.NoError(t, r.Err)
		require.Equal(t, []wire.ReasonCode{wire.GrantedQoS2, refused, wire.Success}, r.ReasonCodes)

		u := s.request(unsubscribe("a", "$share/g/b"))
		s.want(&wire.Unsubscribe{PacketID: 2, Filters: []string{"a", "$share/g/b"}})
		codes := []wire.ReasonCode{wire.NoSubscriptionExisted, wire.Success}
		if v < wire.V5 {
			codes = nil
		}
		s.send(&wire.Unsuback{PacketID: 2, ReasonCodes: codes})
		s.wantAnswered(u)
		require.Equal(t, codes, u.ReasonCodes)
		require.Zero(t, s.c.Sender.ids.used)
		s.wantIdle()
	})
}

func TestFirstByteOfRequests(t *testing.T) {
	s := connectedScript(t, wire.V311)
	s.request(subscribe("a"))
	s.wantBytes("82 06 0001 0001 61 02")
	s.request(unsubscribe("a"))
	s.wantBytes("a2 05 0002 0001 61")
}

func TestNumberOfReasonCodes(t *testing.T) {
	ok := wire.Success
	for _, codes := range [][]wire.ReasonCode{{ok, ok}, {ok, ok, ok, ok}, {ok}} {
		for _, v := range versions {
			s := connectedScript(t, v)
			r := s.request(subscribe("a", "b", "c"))
			s.sendBad(wire.ProtocolError, &wire.Suback{PacketID: 1, ReasonCodes: codes})
			s.wantAnswered()
			s.lose()
			s.wantAnswered(r)
			require.ErrorIs(t, r.Err, ErrConnectionLost)
		}
		s := connectedScript(t, wire.V5)
		s.request(unsubscribe("a", "b", "c"))
		s.sendBad(wire.ProtocolError, &wire.Unsuback{PacketID: 1, ReasonCodes: codes})
	}
}

func TestAnswerNobodyWaitsFor(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		r := s.request(subscribe("a"))
		s.skip()
		o := s.publish("x", 1)
		codes := []wire.ReasonCode{wire.Success}
		s.send(&wire.Suback{PacketID: 9, ReasonCodes: codes}, &wire.Suback{PacketID: 2, ReasonCodes: codes})
		if v < wire.V5 {
			codes = nil
		}
		s.send(&wire.Unsuback{PacketID: 9, ReasonCodes: codes})
		s.wantAnswered()
		s.wantCompleted()
		require.Equal(t, 1, s.c.Sender.Inflight())
		s.send(puback(2), &wire.Suback{PacketID: 1, ReasonCodes: []wire.ReasonCode{wire.Success}})
		s.wantAnswered(r)
		s.wantCompleted(o)
	})
}

func TestAnswerOfTheOtherKind(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		codes := []wire.ReasonCode{wire.Success}
		s := connectedScript(t, v)
		s.request(unsubscribe("a"))
		s.sendBad(wire.ProtocolError, &wire.Suback{PacketID: 1, ReasonCodes: codes})
		if v < wire.V5 {
			codes = nil
		}
		s = connectedScript(t, v)
		s.request(subscribe("a"))
		s.sendBad(wire.ProtocolError, &wire.Unsuback{PacketID: 1, ReasonCodes: codes})
	})
}

func TestRequestsEndWithTheConnection(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		open := s.publish("x", 1)
		a, b := s.request(subscribe("a")), s.request(unsubscribe("b"))
		require.EqualValues(t, 2, a.Subscribe.PacketID)
		s.lose()
		require.ElementsMatch(t, []*Request{a, b}, s.c.Answered(nil))
		require.ErrorIs(t, a.Err, ErrConnectionLost)
		require.ErrorIs(t, b.Err, ErrConnectionLost)
		require.ErrorIs(t, s.c.Request(subscribe("a")), ErrNotConnected)
		require.Equal(t, 1, s.c.Sender.ids.used, "only the message keeps its identifier")
		s.up(keeping(v), &wire.Connack{SessionPresent: v != wire.V31})
		s.want(dup(1, 1, "x"))
		s.send(&wire.Suback{PacketID: 2, ReasonCodes: []wire.ReasonCode{0}}, puback(1)) // late, harmless
		s.wantCompleted(open)
		s.wantAnswered()
		require.ErrorIs(t, s.c.Request(new(Request)), errNoRequest)
		s.wantIdle()
	})
}

func TestProblemInformationWeDidNotAskFor(t *testing.T) {
	text := []wire.UserProperty{{Name: "a", Value: "b"}}
	p := keeping(wire.V5)
	p.RequestProblemInformation = new(false)
	for _, bad := range []wire.Packet{
		&wire.Puback{PacketID: 1, ReasonString: "x"},
		&wire.Pubrec{PacketID: 1, UserProperties: text},
		&wire.Pubrel{PacketID: 1, ReasonString: "x"},
		&wire.Pubcomp{PacketID: 1, UserProperties: text},
		&wire.Suback{PacketID: 1, ReasonCodes: []wire.ReasonCode{0}, ReasonString: "x"},
		&wire.Unsuback{PacketID: 1, ReasonCodes: []wire.ReasonCode{0}, UserProperties: text},
	} {
		s := newScript(t, wire.V5, ClientSettings{})
		s.up(p, &wire.Connack{ReasonString: "allowed", UserProperties: text})
		m := pub(0, 0, "in")
		m.Properties = &wire.PublishProperties{UserProperties: text}
		s.send(m)
		s.wantMessages("in")
		s.sendBad(wire.ProtocolError, bad)
	}
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(p, &wire.Connack{})
	require.Equal(t, "x", s.refuse(&wire.Disconnect{ReasonCode: wire.ServerBusy, ReasonString: "x"}).ReasonString)
}

func TestMessagesOnTheirWayAfterUnsuback(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.request(unsubscribe("t"))
	s.skip()
	s.send(pub(1, 2, "x"), &wire.Unsuback{PacketID: 1, ReasonCodes: []wire.ReasonCode{0}})
	s.ack(s.wantMessages("x")...)
	s.want(pubrec(1))
	s.send(pubrel(1), pub(2, 1, "y"))
	s.want(pubcomp(1))
	s.wantMessages("y")
}
