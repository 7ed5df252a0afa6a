package session

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestIdentifiersAreNotReusedEarly(t *testing.T) {
	s := connectedScript(t, wire.V5)
	held := s.publish("held", wire.AtLeastOnce)
	s.want(pub(1, 1, "held"))
	r := s.request(subscribe("held"))
	require.EqualValues(t, 2, r.Subscribe.PacketID)
	last := uint16(2)
	for range 2 * maxIDTable {
		o := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1}}
		s.c.Sender.Submit(o, s.now)
		id := o.Publish.PacketID
		if id <= 2 || id == last {
			t.Fatalf("identifier %d is in use or was just freed", id)
		}
		last = id
		if err := s.c.Sender.Puback(puback(id)); err != nil {
			t.Fatal(err)
		}
		s.c.link.buf = s.c.link.buf[:0]
	}
	s.c.Sender.Completed(nil)
	s.send(puback(1), &wire.Suback{PacketID: 2, ReasonCodes: []wire.ReasonCode{0}})
	s.wantCompleted(held)
	s.wantAnswered(r)
	s.check()
	require.Zero(t, s.c.Sender.ids.used)
}

func TestAllIdentifiersInUse(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{Inflight: 65535})
	s.up(keeping(wire.V5), &wire.Connack{})
	seen := make(map[uint16]bool)
	list := make([]*Outgoing, 0, 65535)
	for range 65535 {
		o := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1}}
		s.c.Sender.Submit(o, s.now)
		s.c.link.buf = s.c.link.buf[:0]
		if id := o.Publish.PacketID; id == 0 || seen[id] {
			t.Fatalf("identifier %d twice", id)
		}
		seen[o.Publish.PacketID] = true
		list = append(list, o)
	}
	s.check()
	// What comes now waits for an identifier, whatever it is.
	more := s.publish("more", wire.AtLeastOnce)
	require.True(t, more.Queued())
	sub, unsub := s.request(subscribe("a")), s.request(unsubscribe("b"))
	s.wantIdle()
	s.send(puback(700))
	s.wantCompleted(list[699])
	sub.Subscribe.PacketID = 700
	s.want(sub.Subscribe) // a request does not starve behind the queue
	s.wantIdle()
	s.send(puback(5))
	s.want(&wire.Unsubscribe{PacketID: 5, Filters: []string{"b"}})
	s.send(&wire.Suback{PacketID: 700, ReasonCodes: []wire.ReasonCode{0}})
	s.wantAnswered(sub)
	s.want(pub(700, 1, "more"))
	s.send(&wire.Unsuback{PacketID: 5, ReasonCodes: []wire.ReasonCode{0}})
	s.wantAnswered(unsub)
	s.wantIdle()

	s.renew() // and 65535 renewed messages are the old ones in their order
	require.Equal(t, 65534, s.c.Sender.Inflight()+s.c.Sender.queue.len)
	s.check()
}

func TestManyRequestsWaitForIdentifiers(t *testing.T) {
	s := connectedScript(t, wire.V311)
	var list []*Request
	for range 65537 {
		r := unsubscribe("a")
		require.NoError(t, s.c.Request(r))
		list = append(list, r)
	}
	s.c.link.buf = nil
	s.check()
	require.True(t, s.publish("x", wire.AtLeastOnce).Queued())
	s.send(&wire.Unsuback{PacketID: list[9].Unsubscribe.PacketID})
	s.want(&wire.Unsubscribe{PacketID: list[9].Unsubscribe.PacketID, Filters: []string{"a"}})
	s.wantAnswered(list[9])
	s.wantIdle()
	s.lose()
	lost := s.c.Answered(nil)
	require.Len(t, lost, 65536)
	for _, r := range lost {
		require.ErrorIs(t, r.Err, ErrConnectionLost)
	}
	require.Zero(t, s.c.Sender.ids.used)
}

func TestBothSidesHaveTheirOwnIdentifiers(t *testing.T) {
	each(t, func(t *testing.T, v wire.Version) {
		s := connectedScript(t, v)
		o := s.publish("ours", wire.ExactlyOnce)
		s.want(pub(1, 2, "ours"))
		s.send(pub(1, 2, "theirs"))
		s.ack(s.wantMessages("theirs")...)
		s.want(pubrec(1))
		s.send(pubrec(1), pubrel(1))
		s.want(pubrel(1), pubcomp(1))
		s.send(pubcomp(1))
		s.wantCompleted(o)
		require.Zero(t, s.c.Receiver.Unfinished())
	})
}

// A message given up while the server may still know its identifier: the
// server would take another QoS 2 message under it for a repeat and drop it.
func TestIdentifierOfAMessageGivenUpIsNotReused(t *testing.T) {
	s := connectedScript(t, wire.V5)
	o := s.publish("a rather long message", wire.ExactlyOnce)
	s.want(pub(1, 2, "a rather long message"))
	s.lose()
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true, MaximumPacketSize: 20})
	s.wantIdle()
	s.wantCompleted(o)
	require.ErrorIs(t, o.Result().Err, wire.PacketTooLarge)
	for range 300 {
		next := s.publish("x", wire.ExactlyOnce)
		id := next.Publish.PacketID
		require.NotEqualValues(t, 1, id)
		s.send(pubrec(id), pubcomp(id))
	}
	s.c.Sender.Completed(nil)
	s.skip()
	// What the server says about it late is answered but completes nothing.
	s.send(pubrec(1))
	s.want(&wire.Pubrel{PacketID: 1, ReasonCode: wire.PacketIdentifierNotFound})
	s.wantCompleted()
	s.renew() // with the session the identifier is free again
	require.Zero(t, s.c.Sender.ids.used)
}
