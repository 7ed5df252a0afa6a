package broker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestMessageIsForwardedUnaltered(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s, pub := clean(t, b, "c"), clean(t, b, "d")
		s.subscribe(filter("a", 2))
		for qos := range wire.QoS(3) {
			properties := &wire.PublishProperties{
				PayloadFormatUTF8: true, ContentType: "t", ResponseTopic: "r/s", CorrelationData: []byte{}, MessageExpiryInterval: new(uint32(9)),
				UserProperties: []wire.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: ""}, {Name: "b", Value: "0"}},
			}
			p := &wire.Publish{Topic: "a", Payload: []byte("x"), QoS: qos, Properties: properties, Duplicate: qos > 0}
			if qos > 0 {
				p.PacketID = 7
			}
			pub.send(p)
			got := receiveAs(s)
			require.Equal(t, properties, got.Properties)
			require.False(t, got.Duplicate) // [MQTT-3.3.1-3]
		}
	})
}

func TestMessageAgesWhileItWaits(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		s.subscribe(filter("a", 1))
		s.cut()
		for _, seconds := range []uint32{1, 10} {
			properties := &wire.PublishProperties{MessageExpiryInterval: &seconds}
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1, Properties: properties}))
		}
		advance(3 * time.Second)
		s, _ = join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		require.Equal(t, uint32(7), *receiveAs(s).Properties.MessageExpiryInterval)
		s.idle()
		require.Equal(t, uint64(1), b.Stats().Expired)
	})
}

func TestClientsReceiveMaximumHoldsUpOnlyPublish(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", CleanStart: true, ReceiveMaximum: 1})
		s.subscribe(filter("a", 2))
		for i := range 3 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: []byte{byte(i)}, QoS: 2}))
		}
		p := receive[*wire.Publish](s)
		s.subscribe(filter("b", 0))
		s.send(&wire.Pingreq{})
		s.want(&wire.Pingresp{})
		s.send(&wire.Pubrec{PacketID: p.PacketID})
		s.want(&wire.Pubrel{PacketID: p.PacketID})
		s.idle() // [MQTT-4.9.0-1] PUBREC frees nothing
		s.send(&wire.Pubcomp{PacketID: p.PacketID})
		require.Equal(t, []byte{1}, receiveAs(s).Payload)
		require.Equal(t, []byte{2}, receiveAs(s).Payload)
	})
}

func TestTooManyOpenMessagesEndTheConnection(t *testing.T) {
	run(t, Config{ReceiveMaximum: 2}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		for id := range uint16(3) {
			s.send(&wire.Publish{Topic: "a", QoS: 2, PacketID: 1 + id})
		}
		for id := range uint16(2) {
			s.want(&wire.Pubrec{PacketID: 1 + id, ReasonCode: wire.NoMatchingSubscribers})
		}
		s.ended(wire.ReceiveMaximumExceeded)
	})
}

func TestClientsMaximumPacketSize(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", CleanStart: true, MaximumPacketSize: 100, ReceiveMaximum: 1})
		s.subscribe(filter("a", 1))
		for qos := range wire.QoS(2) {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: make([]byte, 200), QoS: qos}))
		}
		// [MQTT-3.1.2-25] as if delivered: nothing is held up.
		for range 3 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: make([]byte, 10), QoS: 1}))
			require.Len(t, receiveAs(s).Payload, 10)
		}
		s.idle()
		require.Equal(t, uint64(2), b.Stats().Expired)
	})
}

func TestServersMaximumPacketSize(t *testing.T) {
	for _, v := range versions {
		run(t, Config{MaximumPacketSize: 100}, func(t *testing.T, b *Broker) {
			s, _ := join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true})
			s.write([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}) // and no body
			s.ended(wire.PacketTooLarge)
		})
	}
}

func TestTopicAliases(t *testing.T) {
	run(t, Config{TopicAliasMaximum: 2}, func(t *testing.T, b *Broker) {
		watcher := clean(t, b, "w")
		watcher.subscribe(filter("#", 0))
		alias := func(topic string, n uint16) *wire.Publish {
			return &wire.Publish{Topic: topic, Properties: &wire.PublishProperties{TopicAlias: n}}
		}
		s := clean(t, b, "c")
		s.send(alias("a", 1), alias("b", 2), alias("", 1), alias("c", 1), alias("", 1), alias("", 2))
		for _, topic := range []string{"a", "b", "a", "c", "c", "b"} {
			p := receive[*wire.Publish](watcher)
			require.Equal(t, topic, p.Topic)
			require.Zero(t, p.Properties)
		}
		s.send(alias("a", 3))
		s.ended(wire.TopicAliasInvalid)
		s = clean(t, b, "c")
		s.send(alias("", 1)) // [MQTT-3.3.2-7] an alias of an earlier connection
		s.ended(wire.ProtocolError)
	})
}

func TestBrokenRules(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  Config
		send wire.Packet
		want wire.ReasonCode
	}{
		"second CONNECT":       {Config{}, &wire.Connect{ClientID: "c"}, wire.ProtocolError},
		"QoS above maximum":    {Config{MaximumQoS: new(wire.AtLeastOnce)}, &wire.Publish{Topic: "a", QoS: 2, PacketID: 1}, wire.QoSNotSupported},
		"retained":             {Config{NoRetained: true}, retain("a", "x"), wire.RetainNotSupported},
		"wildcard":             {Config{NoWildcards: true}, &wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("#", 0)}}, wire.WildcardSubscriptionsNotSupported},
		"shared wildcard":      {Config{NoWildcards: true}, &wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("$share/g/#", 0)}}, wire.WildcardSubscriptionsNotSupported},
		"shared":               {Config{NoShared: true}, &wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("$share/g/a", 0)}}, wire.SharedSubscriptionsNotSupported},
		"subscription ID":      {Config{NoSubscriptionIDs: true}, &wire.Subscribe{PacketID: 1, SubscriptionID: 3, Filters: []wire.SubscribeFilter{filter("a", 0)}}, wire.SubscriptionIdentifiersNotSupported},
		"AUTH without method":  {Config{}, &wire.Auth{ReasonCode: wire.Reauthenticate, AuthenticationMethod: "M"}, wire.ProtocolError},
		"PUBACK for a PUBREC":  {Config{}, &wire.Puback{PacketID: 1}, wire.ProtocolError},
		"expiry in DISCONNECT": {Config{}, &wire.Disconnect{SessionExpiryInterval: new(uint32(1))}, wire.ProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, test.cfg, func(t *testing.T, b *Broker) {
				s := clean(t, b, "c")
				if name == "PUBACK for a PUBREC" {
					s.subscribe(filter("a", 2))
					require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 2}))
					require.Equal(t, uint16(1), receive[*wire.Publish](s).PacketID)
				}
				s.send(test.send)
				s.ended(test.want)
			})
		})
	}
}

func TestSubscriptionsAreGrantedUpToTheMaximumQoS(t *testing.T) {
	run(t, Config{MaximumQoS: new(wire.AtMostOnce)}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("a", 2), filter("b", 1)}})
		s.want(&wire.Suback{PacketID: 1, ReasonCodes: []wire.ReasonCode{0, 0}}) // [MQTT-3.2.2-10]
	})
}

func TestWillBeyondTheLimitsIsRefused(t *testing.T) {
	for want, test := range map[wire.ReasonCode]struct {
		cfg  Config
		will wire.Will
	}{
		wire.QoSNotSupported:    {Config{MaximumQoS: new(wire.AtLeastOnce)}, wire.Will{Topic: "a", QoS: 2}},
		wire.RetainNotSupported: {Config{NoRetained: true}, wire.Will{Topic: "a", Retain: true}},
	} {
		run(t, test.cfg, func(t *testing.T, b *Broker) {
			s := dial(t, b, wire.V5)
			s.send(&wire.Connect{ClientID: "c", Will: &test.will})
			require.Equal(t, want, receive[*wire.Connack](s).ReasonCode)
			s.closed()
			s = dial(t, b, wire.V311)
			s.send(&wire.Connect{ClientID: "c", CleanStart: true, Will: &test.will})
			s.closed() // [MQTT-3.2.2-6] of 3.1.1: no code fits
		})
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	for v, code := range map[wire.Version]wire.ReasonCode{wire.V31: wire.ServerUnavailable, wire.V311: wire.ServerUnavailable, wire.V5: wire.ServerBusy} {
		run(t, Config{Connections: 2}, func(t *testing.T, b *Broker) {
			clean(t, b, "a")
			s := clean(t, b, "b")
			// Some more get far enough to be told.
			for range excessMaximum {
				dial(t, b, v)
			}
			_, err := b.Dial(t.Context())
			require.ErrorIs(t, err, ErrTooMany)
			b.DropConnections()
			s.closed()

			clean(t, b, "a")
			clean(t, b, "b")
			s = dial(t, b, v)
			s.send(&wire.Connect{ClientID: "c", CleanStart: true})
			require.Equal(t, code, receive[*wire.Connack](s).ReasonCode)
			s.closed()
			require.Equal(t, 2, b.Stats().Connected)
		})
	}
}

func TestSessionsAreBounded(t *testing.T) {
	for v, code := range map[wire.Version]wire.ReasonCode{wire.V311: wire.ServerUnavailable, wire.V5: wire.QuotaExceeded} {
		run(t, Config{Sessions: 1}, func(t *testing.T, b *Broker) {
			clean(t, b, "a")
			s := dial(t, b, v)
			s.send(&wire.Connect{ClientID: "b", CleanStart: true})
			require.Equal(t, code, receive[*wire.Connack](s).ReasonCode)
			s.closed()
			clean(t, b, "a")
		})
	}
}

func TestOrderIsKept(t *testing.T) {
	for qos := range wire.QoS(3) {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			sub, _ := join(t, b, wire.V5, durableConnect(wire.V5, "sub"))
			sub.subscribe(filter("#", 2), filter("a/#", qos))
			pub := clean(t, b, "pub")
			var seen int
			take := func() {
				for ; ; seen++ {
					next, err := sub.next()
					if err != nil {
						return
					}
					p, ok := next.(*wire.Publish)
					if !ok { // PUBREL
						seen--
						sub.send(&wire.Pubcomp{PacketID: next.(*wire.Pubrel).PacketID})
						continue
					}
					require.Equal(t, fmt.Sprint(seen), string(p.Payload))
					switch p.QoS {
					case wire.AtLeastOnce:
						sub.send(&wire.Puback{PacketID: p.PacketID})
					case wire.ExactlyOnce:
						sub.send(&wire.Pubrec{PacketID: p.PacketID})
					}
				}
			}
			for i := range 1000 {
				publishAs(pub, "a/b", fmt.Sprint(i), qos)
				if i%100 == 50 {
					take()
					if qos > 0 {
						sub.cut()
						continue
					}
				}
				if i%100 == 60 && qos > 0 {
					sub, _ = join(t, b, wire.V5, durableConnect(wire.V5, "sub"))
				}
			}
			take()
			require.Equal(t, 1000, seen)
		})
	}
}

func TestAnswersToOneReadGoOutInOneWrite(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		var packets []wire.Packet
		for id := range uint16(50) {
			packets = append(packets, &wire.Publish{Topic: "a", QoS: 1, PacketID: 1 + id})
		}
		s.send(packets...)
		synctest.Wait()
		got := make([]byte, 1000)
		n, err := s.net.Read(got)
		require.NoError(t, err)
		require.Equal(t, 50*5, n)
	})
}
