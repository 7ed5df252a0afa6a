package broker

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestAliasesTowardsClients(t *testing.T) {
	for _, test := range []struct {
		cfg    Config
		client uint16
		want   []uint16
	}{
		{Config{}, 2, []uint16{0, 1, 1, 1}},
		{Config{}, 0, []uint16{0, 0, 0, 0}}, // [MQTT-3.1.2-27]
		{Config{TopicAliasesSent: -1}, 2, []uint16{0, 0, 0, 0}},
	} {
		for qos := range wire.QoS(3) {
			run(t, test.cfg, func(t *testing.T, b *Broker) {
				connect := &wire.Connect{ClientID: "c", TopicAliasMaximum: test.client, SessionExpiryInterval: 60}
				s, _ := join(t, b, wire.V5, connect)
				s.send(&wire.Subscribe{PacketID: 1, SubscriptionID: 7, Filters: []wire.SubscribeFilter{filter("sensors/#", 2)}})
				receive[*wire.Suback](s)
				plain := clean(t, b, "plain")
				plain.subscribe(filter("sensors/#", 2))
				for i, alias := range test.want {
					require.NoError(t, b.Publish(&wire.Publish{Topic: "sensors/temperature", QoS: qos}))
					p := receive[*wire.Publish](s)
					require.Equal(t, alias, p.Properties.TopicAlias)
					require.Equal(t, []uint32{7}, p.Properties.SubscriptionIDs)
					require.Equal(t, alias > 0 && i > 1, p.Topic == "")
					require.Equal(t, "sensors/temperature", receive[*wire.Publish](plain).Topic)
				}
				if qos == wire.AtMostOnce {
					return
				}
				// What is sent again has its topic.
				s.cut()
				s, _ = join(t, b, wire.V5, connect)
				for range test.want {
					p := receive[*wire.Publish](s)
					require.True(t, p.Duplicate)
					require.Equal(t, "sensors/temperature", p.Topic)
					require.Zero(t, p.Properties.TopicAlias)
				}
			})
		}
	}
}

func TestAliasesStayWithinTheClientsMaximum(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", TopicAliasMaximum: 2})
		s.subscribe(filter("#", 0))
		topics := map[uint16]string{}
		used := 0
		for i := range 100 {
			topic := fmt.Sprint("long/topic/", i/3%5)
			require.NoError(t, b.Publish(message0(topic, "")))
			p := receive[*wire.Publish](s)
			if p.Properties == nil {
				require.Equal(t, topic, p.Topic)
				continue
			}
			alias := p.Properties.TopicAlias
			require.LessOrEqual(t, alias, uint16(2)) // [MQTT-3.1.2-26]
			if p.Topic != "" {
				topics[alias] = p.Topic
			}
			require.Equal(t, topic, topics[alias])
			used++
		}
		require.NotZero(t, used)
	})
}

func TestTopicsHaveABoundedDepth(t *testing.T) {
	deep, ok := "a/b/c/d", "a/b/c"
	run(t, Config{TopicLevels: 3}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter(ok, 0), filter(deep, 0)}})
		ack := receive[*wire.Suback](s)
		require.Equal(t, []wire.ReasonCode{0, wire.TopicFilterInvalid}, ack.ReasonCodes)
		s.send(&wire.Publish{Topic: deep, QoS: 1, PacketID: 1}, message0(deep, "x"), message0(ok, "x"))
		require.Equal(t, wire.TopicNameInvalid, receive[*wire.Puback](s).ReasonCode)
		s.want(message0(ok, "x"))
		require.Error(t, b.Publish(message0(deep, "x")))

		s = dial(t, b, wire.V5)
		s.send(&wire.Connect{ClientID: "d", Will: &wire.Will{Topic: deep}})
		require.Equal(t, wire.TopicNameInvalid, receive[*wire.Connack](s).ReasonCode)
	})
}

func TestTextOfSubscriptionsIsBounded(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		subscribe := func(i int) wire.ReasonCode {
			long := fmt.Sprint(i, strings.Repeat("x", 60_000))
			s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter(long, 0)}})
			return receive[*wire.Suback](s).ReasonCodes[0]
		}
		granted := 0
		for subscribe(granted) == wire.GrantedQoS0 {
			granted++
		}
		require.Equal(t, filterBytes/60_002, granted)
		require.Equal(t, wire.QuotaExceeded, subscribe(granted))
		require.Equal(t, wire.GrantedQoS0, subscribe(3)) // is there already
		s.send(&wire.Unsubscribe{PacketID: 2, Filters: []string{fmt.Sprint(3, strings.Repeat("x", 60_000))}})
		require.Equal(t, wire.Success, receive[*wire.Unsuback](s).ReasonCodes[0])
		require.Equal(t, wire.GrantedQoS0, subscribe(granted))
	})
}

func TestPropertiesCountAgainstTheLimits(t *testing.T) {
	run(t, Config{QueuedBytes: 1000, RetainedBytes: 1000}, func(t *testing.T, b *Broker) {
		connect := durableConnect(wire.V5, "c")
		s, _ := join(t, b, wire.V5, connect)
		s.subscribe(filter("a", 1))
		s.cut()
		p := &wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 1, Properties: &wire.PublishProperties{
			CorrelationData: make([]byte, 300), UserProperties: []wire.UserProperty{{Name: "n", Value: strings.Repeat("x", 300)}},
		}}
		require.NoError(t, b.Publish(p))
		require.NoError(t, b.Publish(p))
		require.Equal(t, uint64(1), b.Stats().Dropped)
		p.Topic, p.Retain = "b", true
		require.NoError(t, b.Publish(p))
		p.Topic = "c"
		require.ErrorIs(t, b.Publish(p), wire.QuotaExceeded)

		// An older version cannot have them; what they took is free in the end.
		s, _ = join(t, b, wire.V311, &wire.Connect{ClientID: "c"})
		receiveAs(s)
		s.idle()
		require.Zero(t, b.Clients()[0].WaitingBytes)
	})
}

func TestInflightIsBounded(t *testing.T) {
	for _, v := range versions {
		run(t, Config{Inflight: 2}, func(t *testing.T, b *Broker) {
			s, _ := join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true})
			s.subscribe(filter("a", 1))
			for range 3 {
				require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1}))
			}
			first := receive[*wire.Publish](s)
			receive[*wire.Publish](s)
			s.idle()
			s.send(&wire.Puback{PacketID: first.PacketID})
			receive[*wire.Publish](s)
		})
	}
}

func TestConnectIsBounded(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := dial(t, b, wire.V5)
		s.write([]byte{0x10, 0xff, 0xff, 0x7f, 0, 4, 'M', 'Q', 'T', 'T', 5})
		s.closed() // its version is not known yet
		full := strings.Repeat("x", 65535)
		s = dial(t, b, wire.V5)
		go s.send(&wire.Connect{ClientID: full, Username: &full, Password: []byte(full), Will: &wire.Will{Topic: full, Payload: []byte(full)}})
		receive[*wire.Connack](s)
	})
}

func TestSlowClientIsKeptWhileItTakesSomething(t *testing.T) {
	run(t, Config{WriteTimeout: 10 * time.Second}, func(t *testing.T, b *Broker) {
		slow := clean(t, b, "slow")
		slow.subscribe(filter("#", 0))
		for range 60 {
			require.NoError(t, b.Publish(message0("a", string(make([]byte, 10_000)))))
		}
		buffer := make([]byte, 64<<10)
		require.NoError(t, slow.net.SetReadDeadline(time.Time{}))
		for range 8 {
			advance(9 * time.Second)
			_, err := io.ReadFull(slow.net, buffer)
			require.NoError(t, err)
			require.Equal(t, 1, b.Stats().Connected)
		}
		// Then it takes nothing.
		for range 60 {
			require.NoError(t, b.Publish(message0("a", string(make([]byte, 10_000)))))
		}
		advance(11 * time.Second)
		require.Zero(t, b.Stats().Connected)
	})
}
