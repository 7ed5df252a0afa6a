package session

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func upWith(t *testing.T, ack *wire.Connack) *script {
	t.Helper()
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(keeping(wire.V5), ack)
	return s
}

func TestLimitsOfConnack(t *testing.T) {
	require.Equal(t, NoLimits(), limitsOf(&wire.Connack{}, wire.V5))
	no := new(false)
	full := &wire.Connack{ReceiveMaximum: 7, MaximumPacketSize: 100, MaximumQoS: new(wire.AtLeastOnce), TopicAliasMaximum: 9,
		RetainAvailable: no, WildcardSubscriptionAvailable: no, SubscriptionIDAvailable: no, SharedSubscriptionAvailable: no}
	require.Equal(t, Limits{7, 100, wire.AtLeastOnce, 9, true, true, true, true}, limitsOf(full, wire.V5))
	old := NoLimits()
	old.NoSubscriptionIDs = true
	require.Equal(t, old, limitsOf(&wire.Connack{}, wire.V311))
}

func TestMaximumQoS(t *testing.T) {
	s := upWith(t, &wire.Connack{MaximumQoS: new(wire.AtMostOnce)})
	one, two, zero := s.publish("1", 1), s.publish("2", 2), s.publish("0", 0)
	s.want(pub(0, 0, "0"))
	s.wantIdle()
	s.wantCompleted(one, two, zero)
	require.ErrorIs(t, one.Result().Err, wire.QoSNotSupported)
	require.ErrorAs(t, two.Result().Err, new(*LimitError))
	require.False(t, two.Sent())
	r := s.request(subscribe("a")) // the limit is not about SUBSCRIBE
	require.Equal(t, wire.ExactlyOnce, r.Subscribe.Filters[0].QoS)
	s.want(r.Subscribe)
}

func TestRetainNotAvailable(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	early := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1, Retain: true}}
	s.submit(early)
	s.up(keeping(wire.V5), &wire.Connack{RetainAvailable: new(false)})
	s.wantIdle()
	s.wantCompleted(early)
	require.ErrorIs(t, early.Result().Err, wire.RetainNotSupported)
	_, err := s.c.Sender.SendAtMostOnce(&wire.Publish{Topic: "t", Retain: true})
	require.ErrorIs(t, err, wire.RetainNotSupported)
	s.wantIdle()
}

func TestMaximumPacketSizeOfTheServer(t *testing.T) {
	const overhead = 2 + 2 + 1 + 2 + 1 // header, topic, identifier, property length
	s := upWith(t, &wire.Connack{MaximumPacketSize: 100})
	fits := s.publish(strings.Repeat("x", 100-overhead), 1)
	large := s.publish(strings.Repeat("x", 101-overhead), 1)
	s.want(pub(1, 1, string(fits.Publish.Payload)))
	s.wantIdle()
	s.wantCompleted(large)
	require.ErrorIs(t, large.Result().Err, wire.PacketTooLarge)
	require.ErrorIs(t, s.c.Request(subscribe(strings.Repeat("x", 100))), wire.PacketTooLarge)
	require.ErrorIs(t, s.c.Request(unsubscribe(strings.Repeat("x", 100))), wire.PacketTooLarge)
	s.wantIdle()
	s.check()
	require.Equal(t, 1, s.c.Sender.ids.used)

	// Each connection has its own limit; what was sent before fails alone.
	s.lose()
	after := s.publish("after", 1)
	s.up(keeping(wire.V5), &wire.Connack{SessionPresent: true, MaximumPacketSize: 50})
	s.wantCompleted(fits)
	require.ErrorIs(t, fits.Result().Err, wire.PacketTooLarge)
	s.want(&wire.Publish{Topic: "t", Payload: []byte("after"), QoS: 1, PacketID: after.Publish.PacketID})
	s.resume()
	s.skip()
	s.publish(strings.Repeat("x", 200), 1)
	s.take()
	require.Len(t, lines(s.v, s.out), 1)
}

func TestLargestPacketSizeIsNoLimit(t *testing.T) {
	p := keeping(wire.V5)
	p.MaximumPacketSize = 1<<32 - 1
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(p, &wire.Connack{MaximumPacketSize: 1<<32 - 1})
	s.send(pub(0, 0, "in"))
	s.wantMessages("in")
	s.publish("out", 0)
	s.want(pub(0, 0, "out"))
}

func TestMaximumPacketSizeOfOurs(t *testing.T) {
	p := keeping(wire.V5)
	p.MaximumPacketSize = 20
	s := newScript(t, wire.V5, ClientSettings{})
	s.up(p, &wire.Connack{})
	s.send(pub(0, 0, strings.Repeat("x", 14)))
	require.Len(t, s.c.Received(), 1)
	s.sendBad(wire.PacketTooLarge, pub(0, 0, strings.Repeat("x", 15)))
	s.lose()
	s.dial(p)
	s.sendBad(wire.PacketTooLarge, &wire.Connack{ReasonString: strings.Repeat("x", 20)})
}

func TestSubscriptionLimits(t *testing.T) {
	no := new(false)
	s := upWith(t, &wire.Connack{WildcardSubscriptionAvailable: no, SubscriptionIDAvailable: no, SharedSubscriptionAvailable: no})
	require.ErrorIs(t, s.c.Request(subscribe("a", "a/#")), wire.WildcardSubscriptionsNotSupported)
	require.ErrorIs(t, s.c.Request(subscribe("+")), wire.WildcardSubscriptionsNotSupported)
	require.ErrorIs(t, s.c.Request(subscribe("$share/g/a")), wire.SharedSubscriptionsNotSupported)
	r := subscribe("a")
	r.Subscribe.SubscriptionID = 1
	require.ErrorIs(t, s.c.Request(r), wire.SubscriptionIdentifiersNotSupported)
	s.wantIdle()
	require.NoError(t, s.c.Request(unsubscribe("$share/g/#")))
	require.NoError(t, s.c.Request(subscribe("a/b")))
	s.check()
}

func TestOutgoingTopicAliasNeedsTheServersLeave(t *testing.T) {
	o := func(alias uint16) *Outgoing {
		return &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1, Properties: &wire.PublishProperties{TopicAlias: alias}}}
	}
	s := upWith(t, &wire.Connack{TopicAliasMaximum: 2})
	fits, large := o(2), o(3)
	s.submit(fits)
	s.submit(large)
	s.wantCompleted(large)
	require.ErrorIs(t, large.Result().Err, wire.TopicAliasInvalid)
	s.skip()
	_, err := s.c.Sender.SendAtMostOnce(&o(1).Publish)
	require.Error(t, err) // QoS 1
	s.lose()
	none := o(1)
	s.submit(none)
	s.up(keeping(wire.V5), &wire.Connack{})
	s.wantCompleted(fits, none)
	require.ErrorIs(t, none.Result().Err, wire.TopicAliasInvalid)
}

func TestWhatCanNotBeEncodedFailsAlone(t *testing.T) {
	s := newScript(t, wire.V311, ClientSettings{})
	newer := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 1, Properties: &wire.PublishProperties{ContentType: "x"}}}
	long := &Outgoing{Publish: wire.Publish{Topic: strings.Repeat("x", 65536), QoS: 0}}
	odd := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 3}}
	for _, o := range []*Outgoing{newer, long, odd} {
		s.submit(o)
	}
	s.publish("good", 1)
	s.up(keeping(wire.V311), &wire.Connack{})
	s.wantCompleted(newer, long, odd)
	require.ErrorAs(t, newer.Result().Err, new(*wire.FieldError))
	require.ErrorAs(t, long.Result().Err, new(*wire.FieldError))
	require.Error(t, odd.Result().Err)
	s.take()
	require.Len(t, lines(s.v, s.out), 1)
	require.Equal(t, 1, s.c.Sender.ids.used)
	for _, r := range []*Request{subscribe(), unsubscribe(), subscribe("\x00")} {
		require.Error(t, s.c.Request(r))
	}
	s.check()
}

func TestExpiryInTheQueue(t *testing.T) {
	s := newScript(t, wire.V5, ClientSettings{})
	message := func(seconds uint32) *Outgoing {
		return &Outgoing{Expires: new(s.now.Add(time.Duration(seconds) * time.Second)),
			Publish: wire.Publish{Topic: "t", QoS: 1, Properties: &wire.PublishProperties{MessageExpiryInterval: new(seconds), ContentType: "c"}}}
	}
	gone, aged, never := message(5), message(10), message(0)
	never.Expires = nil
	shared := aged.Publish.Properties
	for _, o := range []*Outgoing{gone, aged, never} {
		s.submit(o)
	}
	require.NoError(t, s.advance(5*time.Second+500*time.Millisecond))
	s.up(keeping(wire.V5), &wire.Connack{})
	s.wantCompleted(gone)
	require.ErrorIs(t, gone.Result().Err, ErrExpired)
	require.False(t, gone.Sent())
	p := &wire.Publish{Topic: "t", QoS: 1, PacketID: 1, Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32(5)), ContentType: "c"}}
	s.want(p)
	require.EqualValues(t, 10, *shared.MessageExpiryInterval, "what Publish points to is only read")
	s.want(&wire.Publish{Topic: "t", QoS: 1, PacketID: 2, Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32(0)), ContentType: "c"}})

	// Once sent, age does not stop an exchange.
	require.NoError(t, s.advance(time.Hour))
	s.resume()
	p.Duplicate = true
	s.want(p)
	s.send(puback(1), puback(2))
	s.wantCompleted(aged, never)
	require.NoError(t, aged.Result().Err)
}

func TestExpiryWhileWaitingForQuota(t *testing.T) {
	s := newScript(t, wire.V311, ClientSettings{Inflight: 1})
	s.up(keeping(wire.V311), &wire.Connack{})
	first := s.publish("first", 1)
	late := &Outgoing{Publish: wire.Publish{Topic: "t", QoS: 2}, Expires: new(s.now.Add(time.Second))}
	s.submit(late)
	s.now = s.now.Add(time.Second)
	s.skip()
	s.send(puback(1))
	s.wantCompleted(first, late)
	require.ErrorIs(t, late.Result().Err, ErrExpired)
	s.wantIdle()
}
