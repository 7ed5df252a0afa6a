package mqtt_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestCloneSharesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		o := mqtt.SubscribeOptions{Filters: filters("t"), ManualAck: true}
		sub := subscribeWith(t, client, conn, o)
		p := pub(1, 1, "good")
		p.Retain = true
		p.Properties = &wire.PublishProperties{CorrelationData: []byte("good"), UserProperties: []mqtt.UserProperty{{Name: "a", Value: "good"}},
			SubscriptionIDs: []uint32{1}, ContentType: "c", ResponseTopic: "r", PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(7))}
		conn.Send(p)
		m := next(t, sub)
		clone := m.Clone()
		copy(m.Payload, "evil")
		copy(m.CorrelationData, "evil")
		m.UserProperties[0].Value = "evil"
		m.SubscriptionIDs[0] = 99
		*m.MessageExpiryInterval = 0
		require.Equal(t, "good", string(clone.Payload))
		require.Equal(t, "good", string(clone.CorrelationData))
		require.Equal(t, []mqtt.UserProperty{{Name: "a", Value: "good"}}, clone.UserProperties)
		require.Equal(t, []uint32{1}, clone.SubscriptionIDs)
		require.Equal(t, 7*time.Second, *clone.MessageExpiryInterval)
		require.Equal(t, mqtt.AtLeastOnce, clone.QoS)

		require.NoError(t, clone.Ack())
		conn.WantIdle() // it is no receipt
		require.NoError(t, m.Ack())
		conn.Want(puback(1))
		p.Properties.SubscriptionIDs, p.PacketID = nil, 2
		begin(func() error { return client.PublishMessage(t.Context(), clone) })
		conn.Want(p)
	})
}

func TestCloneOfAnEmptyMessage(t *testing.T) {
	clone := new(mqtt.Message).Clone()
	require.NotNil(t, clone.Payload)
	require.Empty(t, clone.Payload)
	require.Nil(t, clone.CorrelationData)
	require.Nil(t, clone.UserProperties)
	require.Nil(t, clone.SubscriptionIDs)
	require.Nil(t, clone.MessageExpiryInterval)
	require.NoError(t, clone.Ack())
}

func lossy(filters ...string) (list []mqtt.Filter) {
	for _, f := range filters {
		list = append(list, mqtt.Filter{Filter: f})
	}
	return list
}

func TestChannelIsBufferedWhereNothingIsAcknowledged(t *testing.T) {
	for name, test := range map[string]struct {
		o    mqtt.SubscribeOptions
		room int
	}{
		"all at most once": {mqtt.SubscribeOptions{Filters: lossy("t", "u")}, 32},
		"one is not":       {mqtt.SubscribeOptions{Filters: append(lossy("t"), filters("u")...)}, 0},
		"few":              {mqtt.SubscribeOptions{Filters: lossy("t"), BufferMessages: 128}, 2},
		"few bytes":        {mqtt.SubscribeOptions{Filters: lossy("t"), BufferBytes: 64 << 10}, 1},
		"hardly any":       {mqtt.SubscribeOptions{Filters: lossy("t"), BufferMessages: 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := open(t, srv, quiet(srv))
				sub := subscribeWith(t, client, conn, test.o)
				messages := sub.Messages()
				require.Equal(t, test.room, cap(messages))
				for range test.room + 2 {
					conn.Send(pub(0, 0, "x"))
					synctest.Wait()
				}
				require.Len(t, messages, test.room)
				require.Zero(t, sub.Dropped())
			})
		})
	}
}

func TestUnsubscribeDropsWhatIsInTheChannel(t *testing.T) {
	for _, taken := range []int{0, 5} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := open(t, srv, quiet(srv))
			sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: lossy("t")})
			messages := sub.Messages()
			for range 50 {
				conn.Send(pub(0, 0, "x"))
			}
			for range taken {
				<-messages
			}
			end := begin(func() error { return sub.Unsubscribe(t.Context()) })
			wantUnsubscribe(t, conn, "t")
			require.NoError(t, end.wait())
			synctest.Wait()
			m, ok := <-messages
			require.False(t, ok, "%v", m)
		})
	}
}

func TestDrainLeavesWhatIsInTheChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: lossy("t")})
		messages := sub.Messages()
		for range 10 {
			conn.Send(pub(0, 0, "x"))
		}
		end := begin(func() error { return sub.Drain(t.Context()) })
		wantUnsubscribe(t, conn, "t")
		require.NoError(t, end.wait())
		require.NoError(t, client.Close())
		n := 0
		for range messages {
			n++
		}
		require.Equal(t, 10, n)
	})
}

// Another Subscription on the filter has asked for QoS 1. This one gets QoS 0, and
// has nothing to acknowledge.
func TestDroppingFromTheChannelHoldsUpNoAcknowledgement(t *testing.T) {
	for _, manual := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := open(t, srv, quiet(srv))
			other := subscribe(t, client, conn, "t", 1)
			sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: lossy("t"), ManualAck: manual})
			messages := sub.Messages()
			conn.Send(pub(1, 1, "x"), pub(2, 1, "x"))
			synctest.Wait()
			require.Len(t, messages, 2)
			wantMessages(t, other, "x", "x")
			conn.Want(puback(1), puback(2))
			require.NoError(t, sub.Unsubscribe(t.Context()))
			synctest.Wait()
			_, ok := <-messages
			require.False(t, ok)
		})
	}
}

func TestUserPropertyIsTheFirstOfItsName(t *testing.T) {
	m := &mqtt.Message{UserProperties: []mqtt.UserProperty{{Name: "a", Value: "1"}, {Name: "b", Value: ""}, {Name: "a", Value: "2"}}}
	for name, want := range map[string]struct {
		value string
		ok    bool
	}{"a": {"1", true}, "b": {"", true}, "A": {"", false}, "": {"", false}} {
		value, ok := m.UserProperty(name)
		require.Equal(t, want.value, value, name)
		require.Equal(t, want.ok, ok, name)
	}
}
