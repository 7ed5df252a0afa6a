package broker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestOverlappingFiltersDeliverOnce(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		subscribeWithID := func(f string, qos wire.QoS, id uint32) {
			s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter(f, qos)}, SubscriptionID: id})
			s.want(&wire.Suback{PacketID: 1, ReasonCodes: []wire.ReasonCode{wire.ReasonCode(qos)}})
		}
		subscribeWithID("a/#", 1, 10)
		subscribeWithID("a/b", 2, 20)
		subscribeWithID("+/b", 0, 0)
		subscribeWithID("other", 0, 30)
		other := clean(t, b, "d")
		other.subscribe(filter("a/+", 0), filter("#", 0))

		pub := clean(t, b, "e")
		for qos := range wire.QoS(3) {
			publishAs(pub, "a/b", "x", qos)
			p := receiveAs(s)
			require.Equal(t, qos, p.QoS) // [MQTT-3.3.4-2]
			require.ElementsMatch(t, []uint32{10, 20}, p.Properties.SubscriptionIDs)
			require.Nil(t, receive[*wire.Publish](other).Properties)
			s.idle()
			other.idle()
		}
	})
}

func TestSubscribingAgainReplaces(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.subscribe(filter("a", 0))
		s.subscribe(filter("a", 2))
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 2}))
		require.Equal(t, wire.ExactlyOnce, receiveAs(s).QoS)
		s.idle()
		require.Equal(t, 1, b.Stats().Subscriptions)
	})
}

func TestUnsubscribeComparesByteForByte(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			s, _ := join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true})
			s.subscribe(filter("a/+", 0), filter("a/b", 0))
			s.send(&wire.Unsubscribe{PacketID: 9, Filters: []string{"a/b", "a/b", "a/#"}})
			want := &wire.Unsuback{PacketID: 9}
			if v == wire.V5 {
				want.ReasonCodes = []wire.ReasonCode{wire.Success, wire.NoSubscriptionExisted, wire.NoSubscriptionExisted}
			}
			s.want(want)
			require.NoError(t, b.Publish(message0("a/b", "x")))
			s.want(message0("a/b", "x"))
			s.idle()
		})
	}
}

func TestUnsubscribeLetsStartedDeliveriesEnd(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.subscribe(filter("a", 2))
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 2}))
		p := receive[*wire.Publish](s)
		s.send(&wire.Unsubscribe{PacketID: 9, Filters: []string{"a"}}, &wire.Pubrec{PacketID: p.PacketID})
		s.want(&wire.Unsuback{PacketID: 9, ReasonCodes: []wire.ReasonCode{wire.Success}}, &wire.Pubrel{PacketID: p.PacketID})
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 2}))
		s.idle()
	})
}

func TestNoLocal(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s, other := clean(t, b, "c"), clean(t, b, "d")
		s.send(retain("a", "own"))
		s.subscribe(wire.SubscribeFilter{Filter: "a", NoLocal: true})
		s.send(message0("a", "own"))
		other.send(message0("a", "foreign"))
		s.want(message0("a", "foreign"))
		s.idle()
	})
}

func TestServersTopicsAreNotForWildcards(t *testing.T) {
	run(t, Config{StatusInterval: -1}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.subscribe(filter("#", 0), filter("+/x", 0))
		require.NoError(t, b.Publish(message0("$SYS/x", "1")))
		s.idle()
		s.subscribe(filter("$SYS/#", 0))
		require.NoError(t, b.Publish(message0("$SYS/x", "2")))
		s.want(message0("$SYS/x", "2"))
		// [MQTT-4.7.3-4] two spellings of one word are two topics.
		s.subscribe(filter("caf\u00e9", 0))
		require.NoError(t, b.Publish(message0("cafe\u0301", "3")))
		require.Equal(t, "cafe\u0301", receive[*wire.Publish](s).Topic)
		s.idle()
	})
}

func TestSharedSubscriptionSharesOut(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		require.NoError(t, b.Publish(retain("a/b", "retained")))
		members := map[string]*script{"m0": clean(t, b, "m0"), "m1": clean(t, b, "m1"), "m2": clean(t, b, "m2")}
		var granted wire.QoS
		for _, s := range members {
			s.subscribe(filter("$share/g/a/+", granted))
			s.idle() // no retained messages
			granted++
		}
		for range 300 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a/b", Payload: []byte("x"), QoS: 2}))
		}
		total := 0
		for _, s := range members {
			var qos wire.QoS
			for n := 0; ; n++ {
				if p, err := s.next(); err != nil {
					require.Equal(t, 100, n)
					break
				} else if n == 0 {
					qos = p.(*wire.Publish).QoS
				} else {
					require.Equal(t, qos, p.(*wire.Publish).QoS) // [MQTT-4.8.2-3]
				}
				total++
			}
		}
		require.Equal(t, 300, total)
	})
}

func TestSharedDeliveryStaysWithItsMember(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		first, _ := join(t, b, wire.V5, durableConnect(wire.V5, "first"))
		first.subscribe(filter("$share/g/a", 2))
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 2}))
		p := receive[*wire.Publish](first)
		second := clean(t, b, "second")
		second.subscribe(filter("$share/g/a", 2))
		first.cut()
		second.idle()
		// While the first is away the second gets everything.
		for range 3 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: []byte("new")}))
			require.Equal(t, "new", string(receive[*wire.Publish](second).Payload))
		}
		first, _ = join(t, b, wire.V5, durableConnect(wire.V5, "first"))
		p.Duplicate = true
		first.want(p) // [MQTT-4.8.2-4]
		// [MQTT-4.8.2-6] a failure ends it for the whole group.
		first.send(&wire.Pubrec{PacketID: p.PacketID, ReasonCode: wire.NotAuthorized})
		first.idle()
		second.idle()
	})
}

func TestSharedAndPlainSubscriptionAreTwo(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.subscribe(filter("$share/g/a", 0), filter("$share/h/a", 0), filter("a", 0), filter("+", 0))
		require.NoError(t, b.Publish(message0("a", "x")))
		s.want(message0("a", "x"), message0("a", "x"), message0("a", "x"))
		s.idle()
		s.send(&wire.Unsubscribe{PacketID: 1, Filters: []string{"$share/g/a", "$share/h/a", "a", "+"}})
		receive[*wire.Unsuback](s)
		require.Zero(t, b.routes.Len())
		require.Empty(t, b.groups)
	})
}

func TestShareHasNoMeaningBefore5(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V311, &wire.Connect{ClientID: "c", CleanStart: true})
		s.subscribe(filter("$share/g/a", 0))
		require.NoError(t, b.Publish(message0("a", "x")))
		require.NoError(t, b.Publish(message0("$share/g/a", "x")))
		s.want(message0("$share/g/a", "x"))
		s.idle()
	})
}

func TestHookDecidesAboutMessagesAndFilters(t *testing.T) {
	cfg := Config{
		SubscriptionsPerClient: 2,
		Authorizers: []Authorizer{
			AuthorizerFunc(func(_ context.Context, a *Access) Decision {
				if a.Peer.ClientID == "boss" {
					return Allow()
				}
				return Pass()
			}),
			AuthorizerFunc(func(_ context.Context, a *Access) Decision {
				if a.Topic == "secret" {
					return Deny(wire.Banned, "keep out") // no acknowledgement has this code
				}
				return Allow()
			}),
		},
	}
	for _, v := range versions {
		run(t, cfg, func(t *testing.T, b *Broker) {
			s, _ := join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "secret"}})
			s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("a", 1), filter("secret", 2), filter("+", 0), filter("b", 0)}})
			codes := []wire.ReasonCode{wire.GrantedQoS1, wire.NotAuthorized, 0, wire.QuotaExceeded}
			puback, pubrec := wire.NotAuthorized, wire.NotAuthorized
			if v < wire.V5 {
				codes[1], codes[3] = wire.UnspecifiedError, wire.UnspecifiedError
				puback, pubrec = wire.Success, wire.Success
			}
			text := ""
			if v == wire.V5 {
				text = "keep out"
			}
			s.want(&wire.Suback{PacketID: 1, ReasonCodes: codes, ReasonString: text})
			for qos := range wire.QoS(3) {
				s.send(&wire.Publish{Topic: "secret", QoS: qos, PacketID: 5 * uint16(min(qos, 1))})
			}
			ack, rec := receive[*wire.Puback](s), receive[*wire.Pubrec](s)
			require.Equal(t, []wire.ReasonCode{puback, pubrec}, []wire.ReasonCode{ack.ReasonCode, rec.ReasonCode})
			require.Equal(t, []string{text, text}, []string{ack.ReasonString, rec.ReasonString})
			s.idle()
			boss := clean(t, b, "boss")
			boss.send(message0("secret", "x"))
			s.want(message0("secret", "x"))
			boss.subscribe(filter("+", 0))
			s.cut()
			boss.idle() // the will is refused, too
			require.Equal(t, uint64(5), b.Stats().Denied)
		})
	}
}
