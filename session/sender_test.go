package session

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestFirstTransmission(t *testing.T) {
	s := connectedScript(t, wire.V311)
	s.publish("x", wire.AtMostOnce)
	s.wantBytes("30 04 0001 74 78")
	s.publish("x", wire.AtLeastOnce)
	s.wantBytes("32 06 0001 74 0001 78")
	s.publish("x", wire.ExactlyOnce)
	s.wantBytes("34 06 0001 74 0002 78")
	s.submit(&Outgoing{Publish: wire.Publish{Topic: "t", Payload: []byte("x"), QoS: 2, Retain: true}})
	s.wantBytes("35 06 0001 74 0003 78")
	s.wantIdle()
}

func TestQoS1Flow(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		o := s.publish("x", wire.AtLeastOnce)
		require.False(t, o.Queued())
		require.True(t, o.Sent())
		s.want(pub(1, 1, "x"))
		require.Equal(t, 1, s.c.Sender.Inflight())
		s.wantCompleted()
		s.send(puback(1))
		s.wantCompleted(o)
		s.wantCompleted()
		require.NoError(t, o.Result().Err)
		require.Zero(t, s.c.Sender.Inflight())
		s.send(puback(1)) // once more changes nothing
		s.wantCompleted()
		s.wantIdle()
	})
}

func TestQoS2Flow(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		o := s.publish("x", wire.ExactlyOnce)
		s.want(pub(1, 2, "x"))
		s.send(pubrec(1))
		s.wantBytes("62 02 0001")
		s.send(pubrec(1)) // repeated: PUBREL only, never PUBLISH
		s.wantBytes("62 02 0001")
		s.wantCompleted()
		s.send(pubcomp(1))
		s.wantCompleted(o)
		require.NoError(t, o.Result().Err)
		s.wantIdle()
	})
}

func TestReasonCodesOfAcknowledgements(t *testing.T) {
	text := []wire.UserProperty{{Name: "a", Value: "b"}}
	t.Run("PUBACK 0x10 is success", func(t *testing.T) {
		s := connectedScript(t, wire.V5)
		o := s.publish("x", wire.AtLeastOnce)
		s.send(&wire.Puback{PacketID: 1, ReasonCode: wire.NoMatchingSubscribers})
		s.wantCompleted(o)
		require.Equal(t, Result{ReasonCode: wire.NoMatchingSubscribers}, o.Result())
	})
	t.Run("PUBACK failure concerns that message only", func(t *testing.T) {
		s := connectedScript(t, wire.V5)
		o := s.publish("x", wire.AtLeastOnce)
		s.send(&wire.Puback{PacketID: 1, ReasonCode: wire.QuotaExceeded, ReasonString: "full", UserProperties: text})
		s.wantCompleted(o)
		require.ErrorIs(t, o.Result().Err, wire.QuotaExceeded)
		require.Equal(t, &ServerError{Packet: wire.TypePuback, ReasonCode: wire.QuotaExceeded, ReasonString: "full", UserProperties: text}, o.Result().Err)
		require.True(t, s.c.Connected())
		s.resume()
		s.wantIdle()
	})
	t.Run("PUBREC failure gets no PUBREL", func(t *testing.T) {
		s := connectedScript(t, wire.V5)
		o := s.publish("x", wire.ExactlyOnce)
		s.want(pub(1, 2, "x"))
		s.send(&wire.Pubrec{PacketID: 1, ReasonCode: wire.NotAuthorized})
		s.wantIdle()
		s.wantCompleted(o)
		require.ErrorIs(t, o.Result().Err, wire.NotAuthorized)
		s.resume()
		s.wantIdle()
	})
	t.Run("PUBREC 0x10 is remembered until PUBCOMP", func(t *testing.T) {
		s := connectedScript(t, wire.V5)
		o := s.publish("x", wire.ExactlyOnce)
		s.send(&wire.Pubrec{PacketID: 1, ReasonCode: wire.NoMatchingSubscribers, ReasonString: "nobody"})
		s.send(&wire.Pubcomp{PacketID: 1, ReasonCode: wire.PacketIdentifierNotFound})
		s.wantCompleted(o)
		require.Equal(t, Result{ReasonCode: wire.NoMatchingSubscribers, ReasonString: "nobody"}, o.Result())
	})
	t.Run("PUBREC failure after PUBREL", func(t *testing.T) {
		s := connectedScript(t, wire.V5)
		s.publish("x", wire.ExactlyOnce)
		s.send(pubrec(1))
		s.sendBad(wire.ProtocolError, &wire.Pubrec{PacketID: 1, ReasonCode: wire.NotAuthorized})
	})
}

func TestStrayAcknowledgementsChangeNothing(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := newScript(t, v, ClientSettings{Inflight: 1})
		s.up(keeping(v), &wire.Connack{})
		open := s.publish("open", wire.AtLeastOnce)
		s.publish("waits", wire.AtLeastOnce)
		s.want(pub(1, 1, "open"))
		s.send(puback(999), pubcomp(999), puback(65535), pubcomp(2))
		s.wantIdle()
		s.send(pubrec(999))
		s.want(&wire.Pubrel{PacketID: 999, ReasonCode: wire.PacketIdentifierNotFound})
		s.send(pubrel(999))
		s.want(&wire.Pubcomp{PacketID: 999, ReasonCode: wire.PacketIdentifierNotFound})
		s.wantCompleted()
		s.wantIdle() // no quota came from it
		s.send(puback(1))
		s.wantCompleted(open)
	})
}

func TestFailingStrayPubrecGetsNoPubrel(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.send(&wire.Pubrec{PacketID: 9, ReasonCode: wire.NotAuthorized})
	s.wantIdle()
}

func TestWrongKindOfAcknowledgement(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		for _, test := range []struct {
			qos wire.QoS
			p   wire.Packet
		}{
			{1, pubrec(1)}, {1, pubcomp(1)}, {2, puback(1)}, {2, pubcomp(1)},
		} {
			s := connectedScript(t, v)
			s.publish("x", test.qos)
			s.sendBad(wire.ProtocolError, test.p)
			s.wantCompleted()
			require.Equal(t, 1, s.c.Sender.Inflight())
		}
		for _, p := range []wire.Packet{puback(1), pubrec(1), pubcomp(1)} {
			s := connectedScript(t, v)
			s.request(subscribe("a"))
			s.sendBad(wire.ProtocolError, p)
			s.wantAnswered()
			s.lose()
		}
	})
}

func TestPubackAfterPubrelIsAProtocolError(t *testing.T) {
	s := connectedScript(t, wire.V5)
	s.publish("x", wire.ExactlyOnce)
	s.send(pubrec(1))
	s.sendBad(wire.ProtocolError, puback(1))
}

func TestNothingIsRepeatedOnALiveConnection(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		s.publish("x", wire.AtLeastOnce)
		s.publish("y", wire.ExactlyOnce)
		s.send(pubrec(2))
		s.skip()
		require.NoError(t, s.advance(time.Hour))
		s.c.Sender.Pump(s.now)
		s.wantIdle()
	})
}

func TestResumeRepeatsWhatIsOpen(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		a := s.publish("a", wire.AtLeastOnce)
		b := s.publish("b", wire.ExactlyOnce)
		c := s.publish("c", wire.ExactlyOnce)
		s.publish("zero", wire.AtMostOnce)
		s.send(pubrec(3))
		s.skip()
		for range 2 {
			s.lose()
			s.publish("offline", wire.AtMostOnce)
			s.dial(keeping(v))
			s.wantIdle()
			s.send(&wire.Connack{SessionPresent: v != wire.V31})
			s.want(pubrel(3), dup(1, 1, "a"), dup(2, 2, "b"), pub(0, 0, "offline"))
			s.wantIdle()
		}
		s.c.Sender.Completed(nil)
		s.send(pubrec(2), puback(1), pubcomp(3), pubcomp(2))
		s.want(pubrel(2))
		s.wantCompleted(a, c, b)
		s.resume()
		s.wantIdle()
	})
}

func TestRepeatedPublishIsTheSameButForDup(t *testing.T) {
	s := connectedScript(t, wire.V5)
	p := wire.Publish{Topic: "long/topic", Payload: []byte("p"), QoS: 1, Retain: true, Properties: &wire.PublishProperties{
		ResponseTopic: "r", CorrelationData: []byte{}, ContentType: "c", UserProperties: []wire.UserProperty{{Name: "a", Value: "b"}}}}
	s.submit(&Outgoing{Publish: p})
	p.PacketID = 1
	s.want(&p)
	s.resume()
	p.Duplicate = true
	s.want(&p)
}

func TestRepeatsGoInOrderOfFirstSending(t *testing.T) {
	// Identifiers out of order: the table is walked round to its last two and 1.
	const a, b, c = firstIDTable - 2, firstIDTable - 1, 1
	s := connectedScript(t, wire.V5)
	for id := uint16(1); id < a; id++ {
		s.publish("x", wire.AtLeastOnce)
		s.send(puback(id))
	}
	s.skip()
	s.publish("a", wire.AtLeastOnce)
	s.publish("b", wire.ExactlyOnce)
	s.publish("c", wire.AtLeastOnce)
	s.want(pub(a, 1, "a"), pub(b, 2, "b"), pub(c, 1, "c"))
	s.resume()
	s.want(dup(a, 1, "a"), dup(b, 2, "b"), dup(c, 1, "c"))
	s.wantIdle()
}

func TestPubrelsGoInOrderOfPubrecs(t *testing.T) {
	s := connectedScript(t, wire.V5)
	for _, text := range []string{"a", "b", "c"} {
		s.publish(text, wire.ExactlyOnce)
	}
	s.skip()
	s.send(pubrec(3), pubrec(1), pubrec(2))
	s.want(pubrel(3), pubrel(1), pubrel(2))
	s.resume()
	s.want(pubrel(3), pubrel(1), pubrel(2))
	s.wantIdle()
}

func TestLostSessionMakesNewMessages(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		s := connectedScript(t, v)
		done := s.publish("done", wire.AtLeastOnce)
		s.send(puback(1))
		s.wantCompleted(done)
		a := s.publish("a", wire.ExactlyOnce)
		b := s.publish("b", wire.AtLeastOnce)
		c := s.publish("c", wire.ExactlyOnce)
		d := s.publish("d", wire.ExactlyOnce)
		s.send(pubrec(4), pubrec(2)) // after PUBREC they are renewed as well
		s.skip()
		s.resume()
		s.want(pubrel(4), pubrel(2), dup(3, 1, "b"), dup(5, 2, "d"))
		s.lose()
		e := s.publish("e", wire.AtLeastOnce)
		s.up(keeping(v), &wire.Connack{})
		s.want(pub(6, 2, "a"), pub(7, 1, "b"), pub(8, 2, "c"), pub(9, 2, "d"), pub(10, 1, "e"))
		s.wantIdle()
		s.send(pubrel(4), pubcomp(4), puback(3)) // the old identifiers mean nothing
		s.wantCompleted()
		s.skip()
		s.send(puback(7), pubrec(6), pubcomp(6), puback(10), pubrec(8), pubcomp(8), pubrec(9), pubcomp(9))
		s.wantCompleted(b, a, e, c, d)
		require.Zero(t, s.c.Sender.Inflight())
	}
}

func TestRenewedMessagesStayOnesThatWereSent(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Inflight: 1})
	s.up(keeping(wire.V5), &wire.Connack{})
	a := s.publish("a", wire.AtLeastOnce)
	b := s.publish("b", wire.AtLeastOnce)
	s.c.Sender.Renew()
	s.check() // nothing is open, so nothing holds quota
	require.True(t, a.Queued())
	require.True(t, a.Sent())
	require.False(t, s.c.Sender.Withdraw(a))
	require.True(t, s.c.Sender.Withdraw(b))
}

func TestWithdraw(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Inflight: 1})
	var list []*Outgoing
	for i := range 5 {
		list = append(list, s.publish(fmt.Sprint(i), wire.AtLeastOnce))
	}
	messages, bytes := s.c.Sender.Queued()
	require.Equal(t, []int{5, 10}, []int{messages, bytes})
	require.True(t, s.c.Sender.Withdraw(list[2]))
	require.False(t, s.c.Sender.Withdraw(list[2]))
	s.check()
	s.up(keeping(wire.V5), &wire.Connack{})
	s.want(pub(1, 1, "0"))
	require.False(t, s.c.Sender.Withdraw(list[0]), "it was sent")
	require.True(t, s.c.Sender.Withdraw(list[4]), "the last")
	require.True(t, s.c.Sender.Withdraw(list[1]), "the first")
	s.check()
	require.False(t, list[1].Queued())
	require.False(t, list[1].Sent())
	s.send(puback(1))
	s.want(pub(2, 1, "3"))
	s.send(puback(2))
	s.wantCompleted(list[0], list[3])
	require.False(t, s.c.Sender.Withdraw(list[0]), "it is completed")
	messages, bytes = s.c.Sender.Queued()
	require.Zero(t, messages+bytes)
	s.wantIdle()
}

func TestMessageCanBeSubmittedAgain(t *testing.T) {
	s := connectedScript(t, wire.V5)
	o := s.publish("x", wire.AtLeastOnce)
	s.resume()
	s.want(dup(1, 1, "x"))
	s.send(puback(1))
	s.wantCompleted(o)
	s.lose()
	s.submit(o)
	require.False(t, o.Sent())
	require.EqualValues(t, 2, o.Seq())
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true})
	s.want(pub(2, 1, "x")) // a new message, so without DUP
	s.send(puback(2))
	s.wantCompleted(o)
}

func TestSendAtMostOnceKeepsItsPlace(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	p := pub(0, 0, "x")
	sent, err := s.c.Sender.SendAtMostOnce(p)
	require.NoError(t, err)
	require.False(t, sent, "offline")
	s.up(keeping(wire.V5), &wire.Connack{ReceiveMaximum: 1, MaximumPacketSize: 20})
	sent, err = s.c.Sender.SendAtMostOnce(p)
	require.NoError(t, err)
	require.True(t, sent)
	s.want(p)
	s.publish("1", wire.AtLeastOnce)
	s.publish("2", wire.AtLeastOnce)
	s.want(pub(1, 1, "1"))
	sent, err = s.c.Sender.SendAtMostOnce(p)
	require.NoError(t, err)
	require.False(t, sent, "behind the queue")
	s.send(puback(1), puback(2))
	s.want(pub(2, 1, "2"))
	sent, err = s.c.Sender.SendAtMostOnce(pub(0, 0, "much too long for the server"))
	require.ErrorIs(t, err, wire.PacketTooLarge)
	require.False(t, sent)
	sent, err = s.c.Sender.SendAtMostOnce(&wire.Publish{Topic: "t", QoS: 3})
	require.Error(t, err)
	require.False(t, sent)
	s.wantIdle()
}

func TestBufferIsBounded(t *testing.T) {
	s := connectedScript(t, wire.V5)
	big := make([]byte, 100<<10)
	for range 10 {
		s.submit(&Outgoing{Publish: wire.Publish{Topic: "t", Payload: big, QoS: 0}})
		s.submit(&Outgoing{Publish: wire.Publish{Topic: "t", Payload: big, QoS: 1}})
	}
	require.Less(t, s.c.Pending(), leastRoom+len(big)+100)
	sent, err := s.c.Sender.SendAtMostOnce(pub(0, 0, "x"))
	require.NoError(t, err)
	require.False(t, sent)
	n := 0
	for s.c.Pending() > 0 {
		b := s.c.Take(nil, s.now)
		require.Less(t, len(b), leastRoom+len(big)+100)
		n += len(lines(s.v, b))
	}
	require.Equal(t, 20, n)
	s.resume()
	require.Less(t, s.c.Pending(), leastRoom+len(big)+100)
	s.take()
	require.Len(t, lines(s.v, s.out), 10)
}

func TestTakeReusesTheSpareBuffer(t *testing.T) {
	s := connectedScript(t, wire.V5)
	spare := make([]byte, 0, 1024)
	require.Empty(t, s.c.Take(spare, s.now))
	s.c.Sender.SendAtMostOnce(pub(0, 0, "x"))
	b := s.c.Take(nil, s.now)
	require.Same(t, &spare[:1][0], &b[0])
}

func TestOutstanding(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Inflight: 2})
	s.up(keeping(wire.V5), &wire.Connack{})
	s.publish("a", wire.AtLeastOnce)
	s.publish("b", wire.ExactlyOnce)
	s.publish("c", wire.AtLeastOnce)
	upTo := s.c.Sender.LastSeq()
	s.publish("d", wire.AtLeastOnce)
	s.send(pubrec(2))
	require.Equal(t, 3, s.c.Sender.Outstanding(upTo))
	s.send(puback(1))
	require.Equal(t, 2, s.c.Sender.Outstanding(upTo))
	s.send(pubcomp(2), puback(3))
	require.Zero(t, s.c.Sender.Outstanding(upTo))
	require.Equal(t, 1, s.c.Sender.Outstanding(s.c.Sender.LastSeq()))
}
