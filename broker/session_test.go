package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestSessionPresentTellsTheTruth(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		for _, step := range []struct {
			connect wire.Connect
			present bool
		}{
			{wire.Connect{SessionExpiryInterval: 60}, false},
			{wire.Connect{SessionExpiryInterval: 60}, true},
			{wire.Connect{SessionExpiryInterval: 60, CleanStart: true}, false},
			{wire.Connect{}, true}, // ends with the connection
			{wire.Connect{}, false},
		} {
			step.connect.ClientID = "c"
			s, ack := join(t, b, wire.V5, &step.connect)
			require.Equal(t, step.present, ack.SessionPresent)
			s.cut()
		}
		for _, step := range []struct{ clean, present bool }{
			{false, false}, {false, true}, {true, false}, {false, false},
		} {
			s, ack := join(t, b, wire.V311, &wire.Connect{ClientID: "old", CleanStart: step.clean})
			require.Equal(t, step.present, ack.SessionPresent)
			s.cut()
		}
	})
}

func TestSessionExpires(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		connect := &wire.Connect{ClientID: "c", SessionExpiryInterval: 2}
		for _, step := range []struct {
			away    time.Duration
			present bool
		}{{time.Second, true}, {1999 * time.Millisecond, true}, {2 * time.Second, false}, {4 * time.Second, false}} {
			s, _ := join(t, b, wire.V5, connect)
			s.cut()
			advance(step.away)
			s, ack := join(t, b, wire.V5, connect)
			require.Equal(t, step.present, ack.SessionPresent, step.away)
			s.cut()
		}
		advance(time.Minute)
		require.Zero(t, b.Stats().Sessions)
	})
}

func TestDisconnectChangesTheExpiry(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", SessionExpiryInterval: 60})
		s.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		s.closed()
		require.Zero(t, b.Stats().Sessions)
	})
}

func TestMessagesWaitForAnAbsentClient(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			connect := durableConnect(v, "sub")
			sub, _ := join(t, b, v, connect)
			sub.subscribe(filter("a", 2))
			sub.cut()
			pub := clean(t, b, "pub")
			for qos := range wire.QoS(3) {
				publishAs(pub, "a", fmt.Sprint(qos), qos)
			}
			sub, _ = join(t, b, v, connect)
			for _, text := range []string{"1", "2"} { // QoS 0 is not kept
				p := receive[*wire.Publish](sub)
				require.Equal(t, text, string(p.Payload))
				require.False(t, p.Duplicate)
			}
			sub.idle()
		})
	}
}

func TestOpenExchangesGoOnAfterAReconnect(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			connect := durableConnect(v, "sub")
			sub, _ := join(t, b, v, connect)
			sub.subscribe(filter("a", 2))
			pub := clean(t, b, "pub")
			for i := range 4 {
				publishAs(pub, "a", fmt.Sprint(i), wire.QoS(1+i%2))
			}
			var first []*wire.Publish
			for range 4 {
				first = append(first, receive[*wire.Publish](sub))
			}
			// The second, of QoS 2, gets as far as PUBREL.
			sub.send(&wire.Pubrec{PacketID: first[1].PacketID})
			sub.want(&wire.Pubrel{PacketID: first[1].PacketID})
			b.DropConnections()
			sub.closed()

			// [MQTT-4.4.0-1] the same identifiers in the same order, with DUP.
			sub, _ = join(t, b, v, connect)
			sub.want(&wire.Pubrel{PacketID: first[1].PacketID})
			for _, i := range []int{0, 2, 3} {
				again := *first[i]
				again.Duplicate = true
				sub.want(&again)
			}
			sub.send(&wire.Pubcomp{PacketID: first[1].PacketID})
			sub.send(&wire.Puback{PacketID: first[0].PacketID})
			// A failing PUBREC ends the exchange.
			if v == wire.V5 {
				sub.send(&wire.Pubrec{PacketID: first[3].PacketID, ReasonCode: wire.UnspecifiedError})
			} else {
				sub.send(&wire.Pubrec{PacketID: first[3].PacketID})
				sub.want(&wire.Pubrel{PacketID: first[3].PacketID})
				sub.send(&wire.Pubcomp{PacketID: first[3].PacketID})
			}
			sub.idle()
			sub.cut()
			sub, _ = join(t, b, v, connect)
			again := *first[2]
			again.Duplicate = true
			sub.want(&again)
			sub.idle()
		})
	}
}

func TestReceivedExactlyOnceMessageIsRoutedOnce(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		sub := clean(t, b, "sub")
		sub.subscribe(filter("a", 0))
		connect := &wire.Connect{ClientID: "pub", SessionExpiryInterval: 60}
		pub, _ := join(t, b, wire.V5, connect)
		p := &wire.Publish{Topic: "a", QoS: 2, PacketID: 5}
		pub.send(p)
		pub.want(&wire.Pubrec{PacketID: 5})
		require.Equal(t, "a", receive[*wire.Publish](sub).Topic)
		pub.cut()
		pub, _ = join(t, b, wire.V5, connect)
		p.Duplicate = true
		pub.send(p)
		pub.want(&wire.Pubrec{PacketID: 5})
		sub.idle()
		pub.send(&wire.Pubrel{PacketID: 5})
		pub.want(&wire.Pubcomp{PacketID: 5})
		pub.send(&wire.Pubrel{PacketID: 5})
		pub.want(&wire.Pubcomp{PacketID: 5, ReasonCode: wire.PacketIdentifierNotFound})
		p.Duplicate = false
		pub.send(p)
		pub.want(&wire.Pubrec{PacketID: 5})
		require.Equal(t, "a", receive[*wire.Publish](sub).Topic)
	})
}

func TestSessionGoesOnWithAnOlderVersion(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "c", SessionExpiryInterval: 60})
		s.subscribe(filter("a", 1))
		s.cut()
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1, Properties: &wire.PublishProperties{ContentType: "x"}}))
		s, ack := join(t, b, wire.V311, &wire.Connect{ClientID: "c"})
		require.True(t, ack.SessionPresent)
		require.Nil(t, receiveAs(s).Properties)
	})
}

func TestSlowClientLosesOnlyItsOwnMessages(t *testing.T) {
	run(t, Config{QueuedMessages: 10, QueuedBytes: 1000}, func(t *testing.T, b *Broker) {
		connect := &wire.Connect{ClientID: "slow", SessionExpiryInterval: 60}
		slow, _ := join(t, b, wire.V5, connect)
		slow.subscribe(filter("#", 1))
		slow.cut()
		quick := clean(t, b, "quick")
		quick.subscribe(filter("#", 0))
		for i := range 15 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: []byte{byte(i)}, QoS: 1}))
			require.Equal(t, []byte{byte(i)}, receiveAs(quick).Payload)
		}
		require.Equal(t, uint64(5), b.Stats().Dropped)
		slow, _ = join(t, b, wire.V5, connect)
		for i := range 10 {
			require.Equal(t, []byte{byte(i)}, receiveAs(slow).Payload)
		}
		slow.idle()

		slow.cut()
		for range 3 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: make([]byte, 400), QoS: 1}))
		}
		require.Equal(t, uint64(6), b.Stats().Dropped)
	})
}

func TestClientThatStopsReadingHoldsUpNobody(t *testing.T) {
	run(t, Config{QueuedMessages: 10, WriteTimeout: time.Minute}, func(t *testing.T, b *Broker) {
		stuck := clean(t, b, "stuck")
		stuck.subscribe(filter("#", 0))
		quick := clean(t, b, "quick")
		quick.subscribe(filter("#", 0))
		payload := string(make([]byte, 10_000))
		for i := range 100 {
			topic := fmt.Sprint("t", i)
			require.NoError(t, b.Publish(message0(topic, payload)))
			require.Equal(t, topic, receive[*wire.Publish](quick).Topic)
		}
		require.NotZero(t, b.Stats().Dropped)
		// The write that does not end ends the connection.
		advance(time.Minute)
		require.Equal(t, 1, b.Stats().Connections)
	})
}

func TestExpiredMessagesMakeRoom(t *testing.T) {
	run(t, Config{QueuedMessages: 3}, func(t *testing.T, b *Broker) {
		s, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		s.subscribe(filter("a", 1))
		s.cut()
		publish := func(text string, seconds uint32) {
			properties := &wire.PublishProperties{MessageExpiryInterval: &seconds}
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: []byte(text), QoS: 1, Properties: properties}))
		}
		publish("1", 2)
		publish("2", 50)
		publish("3", 2)
		publish("dropped", 50)
		advance(2 * time.Second)
		publish("4", 50)
		require.Equal(t, uint64(1), b.Stats().Dropped)
		require.Equal(t, uint64(2), b.Stats().Expired)
		s, _ = join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		require.Equal(t, "2", string(receiveAs(s).Payload))
		require.Equal(t, "4", string(receiveAs(s).Payload))
		s.idle()
	})
}
