package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func retain(topic, payload string) *wire.Publish {
	return &wire.Publish{Topic: topic, Payload: []byte(payload), Retain: true}
}

func TestRetainedMessageOfATopic(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			live, _ := join(t, b, v, &wire.Connect{ClientID: "live", CleanStart: true})
			live.subscribe(filter("a", 0))
			pub, _ := join(t, b, v, &wire.Connect{ClientID: "pub", CleanStart: true})
			pub.send(retain("a", "1"), retain("a", "2"), message0("a", "3"))
			for _, text := range []string{"1", "2", "3"} {
				// [MQTT-3.3.1-12] live: the flag is clear.
				live.want(message0("a", text))
			}
			pub.cut() // [MQTT-3.1.2-7] it outlives the publisher
			late, _ := join(t, b, v, &wire.Connect{ClientID: "late", CleanStart: true})
			late.subscribe(filter("+", 0))
			late.want(retain("a", "2"))
			late.idle()

			live.send(retain("a", ""))
			live.want(&wire.Publish{Topic: "a", Payload: []byte{}})
			late.want(&wire.Publish{Topic: "a", Payload: []byte{}})
			live.subscribe(filter("#", 0))
			live.idle()
			require.Zero(t, b.Stats().Retained)
		})
	}
}

func TestRetainHandlingAndRetainAsPublished(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		require.NoError(t, b.Publish(retain("a", "1")))
		s := clean(t, b, "c")
		for handling, wants := range [][]bool{
			wire.SendRetained:      {true, true},
			wire.SendRetainedIfNew: {true, false},
			wire.DontSendRetained:  {false, false},
		} {
			for _, want := range wants {
				s.subscribe(wire.SubscribeFilter{Filter: "a", RetainHandling: wire.RetainHandling(handling), RetainAsPublished: true})
				if want {
					s.want(retain("a", "1"))
				}
				s.idle()
			}
			s.send(&wire.Unsubscribe{PacketID: 1, Filters: []string{"a"}})
			s.want(&wire.Unsuback{PacketID: 1, ReasonCodes: []wire.ReasonCode{wire.Success}})
		}
		s.subscribe(wire.SubscribeFilter{Filter: "a", RetainHandling: wire.DontSendRetained, RetainAsPublished: true})
		require.NoError(t, b.Publish(retain("a", "2")))
		s.want(retain("a", "2")) // [MQTT-3.3.1-13]
	})
}

func TestRetainedMessageExpires(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		p := retain("a", "1")
		p.Properties = &wire.PublishProperties{MessageExpiryInterval: new(uint32(10))}
		require.NoError(t, b.Publish(p))
		advance(3 * time.Second)
		s := clean(t, b, "c")
		s.subscribe(filter("#", 0))
		require.Equal(t, uint32(7), *receive[*wire.Publish](s).Properties.MessageExpiryInterval)
		advance(7 * time.Second)
		s.subscribe(filter("#", 0))
		s.idle()
		require.Zero(t, b.Stats().Retained)
	})
}

func TestRetainedStoreIsBounded(t *testing.T) {
	run(t, Config{RetainedMessages: 2, RetainedBytes: 20}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		publish := func(topic, payload string) wire.ReasonCode {
			p := retain(topic, payload)
			p.QoS, p.PacketID = 1, 1
			s.send(p)
			return receive[*wire.Puback](s).ReasonCode
		}
		require.Equal(t, wire.NoMatchingSubscribers, publish("a", "1"))
		require.Equal(t, wire.NoMatchingSubscribers, publish("b", "1"))
		require.Equal(t, wire.QuotaExceeded, publish("c", "1"))
		require.Equal(t, wire.NoMatchingSubscribers, publish("b", "2"))
		s.subscribe(filter("#", 0))
		for range 2 {
			require.True(t, receive[*wire.Publish](s).Retain)
		}
		// What is refused changes nothing and is sent to nobody.
		require.Equal(t, wire.QuotaExceeded, publish("b", "01234567890123456789"))
		require.ErrorIs(t, b.Publish(retain("c", "1")), wire.QuotaExceeded)
		s.idle()
		require.Equal(t, 2, b.Stats().Retained)
		require.NoError(t, b.Publish(retain("a", "")))
		require.NoError(t, b.Publish(retain("c", "0123456789")))
		require.Equal(t, 2, b.Stats().Retained)
	})
}

func TestEveryMatchingRetainedMessageIsSent(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		var want []string
		for i := range 300 {
			topic := fmt.Sprintf("a/%03d", i)
			want = append(want, topic)
			require.NoError(t, b.Publish(retain(topic, "x")))
		}
		require.NoError(t, b.Publish(retain("$a/1", "x")))
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", CleanStart: true, ReceiveMaximum: 10})
		s.subscribe(filter("#", 1))
		var got []string
		for range want {
			got = append(got, receiveAs(s).Topic)
		}
		s.idle()
		slices.Sort(got)
		require.Equal(t, want, got)
	})
}
