package session

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestAnswerByQoS(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.send(pub(0, 0, "zero"))
		require.True(t, s.wantMessages("zero")[0].IsZero())
		s.wantIdle()
		for _, id := range []uint16{1, 700, 65535} {
			s.send(pub(id, 1, "one"))
			tokens := s.wantMessages("one")
			s.wantIdle() // not before the application has it
			s.ack(tokens...)
			s.want(puback(id))
			s.send(pub(id, 2, "two"))
			s.ack(s.wantMessages("two")...)
			s.want(pubrec(id))
			s.send(pubrel(id))
			s.want(pubcomp(id))
		}
		require.Zero(t, s.c.Receiver.Unfinished())
		s.wantIdle()
	})
}

func TestDupOfTheFirstCopyMeansNothing(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.send(dup(5, 1, "one"), dup(6, 2, "two"))
		s.ack(s.wantMessages("one", "two")...)
		s.want(puback(5), pubrec(6))
	})
}

func TestIdentifierAfterPubackIsANewMessage(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.send(pub(5, 1, "a"))
		s.ack(s.wantMessages("a")...)
		s.send(dup(5, 1, "b"))
		s.ack(s.wantMessages("b")...)
		s.want(puback(5), puback(5))
	})
}

func TestQoS2IsDeliveredOnce(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := connectedScript(t, v)
		s.send(pub(7, 2, "x"))
		s.ack(s.wantMessages("x")...)
		s.want(pubrec(7))
		s.send(dup(7, 2, "x"), pub(7, 2, "x")) // between PUBREC and PUBREL only the identifier counts
		s.wantMessages()
		s.want(pubrec(7), pubrec(7))
		s.resume()
		s.send(dup(7, 2, "x"))
		s.wantMessages()
		s.want(pubrec(7))
		s.resume()
		s.send(pubrel(7), pubrel(7)) // the second after a lost PUBCOMP
		s.want(pubcomp(7), &wire.Pubcomp{PacketID: 7, ReasonCode: wire.PacketIdentifierNotFound})
		s.send(pub(7, 2, "y")) // after PUBCOMP a new message
		s.ack(s.wantMessages("y")...)
		s.want(pubrec(7))
		require.Equal(t, 1, s.c.Receiver.Unfinished())
	}
}

func TestRejectedQoS2IdentifierIsANewMessage(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.send(pub(7, 2, "x"))
	tokens := s.wantMessages("x")
	require.NoError(t, s.c.Receiver.Ack(tokens[0], wire.NotAuthorized))
	s.want(&wire.Pubrec{PacketID: 7, ReasonCode: wire.NotAuthorized})
	require.Zero(t, s.c.Receiver.Unfinished())
	s.send(dup(7, 2, "y"))
	s.ack(s.wantMessages("y")...)
	s.want(pubrec(7))
}

func TestRejectionBefore50IsAnAcknowledgement(t *testing.T) {
	// 3.1.1 has no failing PUBREC: the server takes it for success and may
	// repeat PUBLISH, which must not be delivered again.
	s := connectedScript(t, wire.V311)
	s.send(pub(7, 2, "x"))
	tokens := s.wantMessages("x")
	require.NoError(t, s.c.Receiver.Ack(tokens[0], wire.NotAuthorized))
	s.wantBytes("50 02 0007")
	s.resume()
	s.send(dup(7, 2, "x"))
	s.wantMessages()
	s.want(pubrec(7))
	s.send(pubrel(7))
	s.want(pubcomp(7))
	require.Zero(t, s.c.Receiver.Unfinished())
}

func TestAnswersGoInOrderOfArrival(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.send(pub(3, 1, "a"), pub(1, 2, "b"), pub(2, 1, "c"), pub(4, 2, "d"))
		tokens := s.wantMessages("a", "b", "c", "d")
		s.ack(tokens[3], tokens[1])
		s.wantIdle()
		s.ack(tokens[0])
		s.want(puback(3), pubrec(1))
		s.wantIdle()
		s.ack(tokens[2])
		s.want(puback(2), pubrec(4))
		s.wantIdle()
	})
}

func TestAcknowledgedTwiceIsStale(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.send(pub(1, 1, "a"), pub(2, 1, "b"), pub(3, 2, "c"))
	tokens := s.wantMessages("a", "b", "c")
	s.ack(tokens[1]) // waits for its turn
	require.ErrorIs(t, s.c.Receiver.Ack(tokens[1], wire.Success), ErrStale)
	s.ack(tokens[0], tokens[2])
	for _, token := range tokens {
		require.ErrorIs(t, s.c.Receiver.Ack(token, wire.Success), ErrStale)
	}
	s.want(puback(1), puback(2), pubrec(3))
	s.send(pub(1, 1, "d")) // the entry is used again; the old token is not good for it
	next := s.wantMessages("d")
	require.ErrorIs(t, s.c.Receiver.Ack(tokens[0], wire.Success), ErrStale)
	s.wantIdle()
	s.ack(next...)
	s.want(puback(1))
}

func TestIdentifierInUseIsAProtocolError(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		for _, p := range []*wire.Publish{pub(1, 1, "b"), pub(1, 2, "b"), dup(1, 2, "b")} {
			s := connectedScript(t, v)
			s.send(pub(1, 1, "a"))
			s.sendBad(wire.ProtocolError, p)
			s.wantMessages("a")
		}
		s := connectedScript(t, v)
		s.send(pub(1, 2, "a"))
		s.sendBad(wire.ProtocolError, pub(1, 2, "b"))
	})
}

func TestRepeatWhileTheApplicationHasIt(t *testing.T) {
	// On a live connection nothing should be repeated, but 3.1 servers do.
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.send(pub(1, 1, "a"), dup(1, 1, "a"), pub(2, 2, "b"), dup(2, 2, "b"))
		tokens := s.wantMessages("a", "b")
		s.ack(tokens[1], tokens[0])
		s.want(puback(1), pubrec(2))
		s.wantIdle()
	})
}

func TestPubrelBeforeItsTime(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.send(pub(1, 2, "a"))
		s.sendBad(wire.ProtocolError, pubrel(1))
		s = connectedScript(t, v)
		s.send(pub(1, 1, "a"))
		s.sendBad(wire.ProtocolError, pubrel(1))
	})
}

func TestPubrelWhileTheRepeatedPubrecWaits(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.send(pub(1, 2, "a"))
	s.ack(s.wantMessages("a")...)
	s.want(pubrec(1))
	s.send(pub(2, 1, "b"), dup(1, 2, "a"), pub(3, 1, "c"))
	tokens := s.wantMessages("b", "c")
	s.send(pubrel(1))
	s.want(pubcomp(1))
	s.ack(tokens...)
	s.want(puback(2), puback(3))
	require.Zero(t, s.c.Receiver.Unfinished())
}

// A message that the application still had when the connection broke is not
// delivered again by a resumed session; its token stays good.
func TestUnacknowledgedMessageIsNotDeliveredTwice(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		for _, when := range []string{"before the break", "offline", "before the repeat", "after the repeat"} {
			t.Run(fmt.Sprintf("%v %s", v, when), func(t *testing.T) {
				s := connectedScript(t, v)
				s.send(pub(1, 1, "a"), pub(2, 2, "b"), pub(3, 1, "c"), pub(4, 2, "d"))
				tokens := s.wantMessages("a", "b", "c", "d")
				rest := func(now string) {
					if now == when {
						s.ack(tokens[3], tokens[2], tokens[1]) // a holds them all up
						s.wantIdle()
					}
				}
				rest("before the break")
				s.lose()
				rest("offline")
				s.up(keeping(v), &wire.Connack{SessionPresent: true})
				rest("before the repeat")
				// The order of arrival is that of the new connection.
				s.send(dup(2, 2, "b"), dup(1, 1, "a"))
				s.wantMessages()
				if when == "after the repeat" {
					s.wantIdle()
					s.send(dup(3, 1, "c"), dup(4, 2, "d"))
					s.ack(tokens[3], tokens[2], tokens[1])
				} else {
					s.want(pubrec(2))
					s.send(dup(3, 1, "c"), dup(4, 2, "d"))
				}
				s.ack(tokens[0])
				if when == "after the repeat" {
					s.want(pubrec(2))
				}
				s.want(puback(1), puback(3), pubrec(4))
				s.wantMessages()
				s.wantIdle()
				s.send(pubrel(2), pubrel(4))
				s.want(pubcomp(2), pubcomp(4))
				require.Zero(t, s.c.Receiver.Unfinished())
			})
		}
	}
}

func TestIdentifierWithoutDupOnALaterConnectionIsANewMessage(t *testing.T) {
	for qos := wire.AtLeastOnce; qos <= wire.ExactlyOnce; qos++ {
		s := connectedScript(t, wire.V5)
		s.send(pub(1, qos, "old"), pub(2, qos, "kept"))
		old := s.wantMessages("old", "kept")
		s.resume()
		s.send(pub(1, qos, "new"))
		fresh := s.wantMessages("new")
		require.ErrorIs(t, s.c.Receiver.Ack(old[0], wire.Success), ErrStale)
		s.wantIdle()
		s.ack(fresh...)
		if qos == wire.AtLeastOnce {
			s.want(puback(1))
		} else {
			s.want(pubrec(1))
		}
		s.wantIdle()
		s.send(dup(2, qos, "kept"))
		s.wantMessages()
		s.ack(old[1])
	}
}

func TestIdentifierWithAnotherQoSOnALaterConnectionIsANewMessage(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.send(pub(1, 1, "old"))
	old := s.wantMessages("old")
	s.resume()
	s.send(dup(1, 2, "new"))
	fresh := s.wantMessages("new")
	require.ErrorIs(t, s.c.Receiver.Ack(old[0], wire.Success), ErrStale)
	s.ack(fresh...)
	s.want(pubrec(1))
}

func TestRepeatWithOtherContentIsANewMessage(t *testing.T) {
	// The server gave up "a", for example because it expired, and used the
	// identifier for "b", whose first copy was lost with the connection.
	for _, qos := range []wire.QoS{wire.AtLeastOnce, wire.ExactlyOnce} {
		s := connectedScript(t, wire.V5)
		s.send(pub(7, qos, "a"))
		old := s.wantMessages("a")
		s.lose()
		s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true})
		s.send(dup(7, qos, "b"))
		tokens := s.wantMessages("b")
		require.ErrorIs(t, s.c.Receiver.Ack(old[0], wire.Success), ErrStale)
		s.ack(tokens...)
		if qos == wire.AtLeastOnce {
			s.want(puback(7))
		} else {
			s.want(pubrec(7))
		}
	}
}

func TestLostSessionMakesTokensStale(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := connectedScript(t, v)
		s.send(pub(1, 1, "a"), pub(2, 2, "b"), pub(3, 2, "c"), pub(4, 1, "d"))
		old := s.wantMessages("a", "b", "c", "d")
		s.ack(old[3]) // waits for its turn
		s.renew()
		require.Zero(t, s.c.Receiver.Unfinished())
		for _, token := range old {
			require.ErrorIs(t, s.c.Receiver.Ack(token, wire.Success), ErrStale)
		}
		s.send(dup(2, 2, "new"), dup(1, 1, "other"))
		s.wantIdle()
		require.ErrorIs(t, s.c.Receiver.Ack(old[1], wire.Success), ErrStale)
		s.ack(s.wantMessages("new", "other")...)
		s.want(pubrec(2), puback(1))
	}
}

func TestReceiveMaximumIsEnforced(t *testing.T) {
	p := keeping(wire.V5)
	p.ReceiveMaximum = 2
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(p, &wire.Connack{})
	s.send(pub(1, 1, "a"), pub(2, 2, "b"))
	tokens := s.wantMessages("a", "b")
	s.send(dup(1, 1, "a"), pub(0, 0, "zero")) // neither counts
	s.wantMessages("zero")
	s.ack(tokens...)
	s.want(puback(1), pubrec(2))
	s.send(pub(3, 1, "c")) // PUBREC leaves b open, PUBACK closed a
	tokens = s.wantMessages("c")
	s.sendBad(wire.ReceiveMaximumExceeded, pub(4, 1, "d"))
	s.wantMessages()
	s.lose()

	// The refused message was not delivered, so its repeat is no repeat.
	s.up(p, &wire.Connack{SessionPresent: true})
	s.send(pubrel(2), dup(3, 1, "c"), dup(4, 1, "d"))
	s.ack(tokens...)
	s.ack(s.wantMessages("d")...)
	s.want(pubcomp(2), puback(3), puback(4))
	require.Zero(t, s.c.Receiver.Unfinished())
}

func TestReceiveMaximumCountsAnewOnEachConnection(t *testing.T) {
	p := keeping(wire.V5)
	p.ReceiveMaximum = 2
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(p, &wire.Connack{})
	s.send(pub(1, 2, "a"), pub(2, 2, "b"))
	s.ack(s.wantMessages("a", "b")...)
	s.lose()
	s.up(p, &wire.Connack{SessionPresent: true})
	s.send(dup(1, 2, "a"), pub(3, 1, "c"))
	s.wantMessages("c")
	s.send(pubrel(2)) // open, but not on this connection
	s.sendBad(wire.ReceiveMaximumExceeded, pub(4, 1, "d"))
}

func TestReceiveMaximumExistsOnlyIn50(t *testing.T) {
	s := newScript(t, wire.V311, ClientSettings{})
	s.up(&wire.Connect{ClientID: "c1"}, &wire.Connack{})
	for id := uint16(1); id <= 100; id++ {
		s.send(pub(id, 1, "x"))
	}
	require.Len(t, s.c.Received(), 100)
	require.Equal(t, 100, s.c.Receiver.Unfinished())
}

func TestIncomingAliases(t *testing.T) {
	aliased := func(topic string, alias uint16, id uint16) *wire.Publish {
		p := pub(id, wire.QoS(min(id, 1)), topic)
		p.Topic, p.Properties = topic, &wire.PublishProperties{TopicAlias: alias}
		return p
	}
	up := func(t *testing.T, max uint16) *script {
		p := keeping(wire.V5)
		p.TopicAliasMaximum = max
		s := newScript(t, wire.V5, ClientSettings{})
		s.up(p, &wire.Connack{})
		return s
	}
	topics := func(s *script) (list []string) {
		for _, m := range s.c.Received() {
			list = append(list, m.Publish.Topic)
		}
		s.c.Recycle()
		return list
	}
	t.Run("set, use, change", func(t *testing.T) {
		s := up(t, 65535)
		s.send(aliased("a", 1, 0), aliased("", 1, 0), aliased("z", 65535, 0), aliased("b", 1, 0), aliased("", 1, 0), aliased("", 65535, 0))
		require.Equal(t, []string{"a", "a", "z", "b", "b", "z"}, topics(s))
	})
	t.Run("above the maximum", func(t *testing.T) {
		up(t, 5).sendBad(wire.TopicAliasInvalid, aliased("a", 6, 0))
		up(t, 0).sendBad(wire.TopicAliasInvalid, aliased("a", 1, 0))
		up(t, 5).sendBadBytes(wire.TopicAliasInvalid, "30 08 0001 61 03 230000 78")
	})
	t.Run("never set", func(t *testing.T) {
		up(t, 5).sendBad(wire.ProtocolError, aliased("", 5, 0))
		s := up(t, 5)
		s.send(aliased("a", 5, 0))
		s.sendBad(wire.ProtocolError, aliased("", 4, 0))
	})
	t.Run("die with the connection", func(t *testing.T) {
		p := keeping(wire.V5)
		p.TopicAliasMaximum = 5
		s := up(t, 5)
		s.send(aliased("a", 1, 0))
		s.lose()
		s.up(p, &wire.Connack{SessionPresent: true})
		s.sendBad(wire.ProtocolError, aliased("", 1, 0))
	})
	t.Run("a dropped repeat sets its mapping", func(t *testing.T) {
		p := keeping(wire.V5)
		p.TopicAliasMaximum = 5
		s := up(t, 5)
		s.send(aliased("a", 1, 7))
		require.Equal(t, []string{"a"}, topics(s))
		s.lose()
		s.up(p, &wire.Connack{SessionPresent: true})
		again := aliased("a", 2, 7)
		again.Duplicate = true
		s.send(again, aliased("", 2, 0))
		require.Equal(t, []string{"a"}, topics(s))
	})
}

func TestPacketIdentifierZero(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		text := "32 05 0001 74 0000"
		if v == wire.V5 {
			text = "32 06 0001 74 0000 00"
		}
		require.ErrorAs(t, s.receive(unhex(t, text)), new(*wire.Error))
		require.False(t, s.c.Connected())
		s.wantMessages()
	})
}
