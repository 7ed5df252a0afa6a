package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// figuresOf takes all messages that wait and returns their texts by topic.
func figuresOf(s *script) map[string]string {
	s.t.Helper()
	figures := make(map[string]string)
	for {
		p, err := s.next()
		if err != nil {
			return figures
		}
		m := p.(*wire.Publish)
		require.True(s.t, strings.HasPrefix(m.Topic, statusRoot), m.Topic)
		figures[strings.TrimPrefix(m.Topic, statusRoot)] = string(m.Payload)
	}
}

func TestStatusTopics(t *testing.T) {
	run(t, Config{StatusInterval: time.Minute}, func(t *testing.T, b *Broker) {
		away, _ := join(t, b, wire.V5, durableConnect(wire.V5, "away"))
		away.subscribe(filter("x", 0))
		away.cut()
		require.NoError(t, b.Publish(retain("r", "1")))
		advance(5 * time.Second)
		s := clean(t, b, "c")
		s.subscribe(filter("#", 0), filter("+/broker/uptime", 0))
		require.Equal(t, "r", receive[*wire.Publish](s).Topic)
		s.idle() // nothing for wildcards
		require.Nil(t, b.sys.timer)

		s.subscribe(filter("$SYS/#", 0))
		first := figuresOf(s)
		require.Len(t, first, 12)
		require.Equal(t, "5 seconds", first["uptime"])
		require.Equal(t, "1", first["clients/connected"])
		require.Equal(t, "2", first["clients/total"])
		require.Equal(t, "4", first["subscriptions/count"])
		require.Equal(t, "1", first["retained messages/count"])
		require.Contains(t, first["version"], "mqtt")
		require.NotEqual(t, "0", first["bytes/received"])
		require.NotEqual(t, "0", first["bytes/sent"])

		// The first round tells all, later ones what has changed.
		advance(time.Minute)
		require.Len(t, figuresOf(s), 12)
		advance(time.Minute)
		changed := figuresOf(s)
		require.Contains(t, changed, "uptime")
		require.NotContains(t, changed, "version")
		require.NotContains(t, changed, "clients/total")

		s.send(&wire.Unsubscribe{PacketID: 9, Filters: []string{"$SYS/#"}})
		receive[*wire.Unsuback](s)
		require.Nil(t, b.sys.timer)
		advance(time.Hour)
		s.idle()
	})
}

func TestOneStatusTopic(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.subscribe(filter("$SYS/broker/clients/+", 1))
		require.True(t, receive[*wire.Publish](s).Retain)
		require.Len(t, figuresOf(s), 1)
		s.cut() // and with it the subscription
		require.Nil(t, b.sys.timer)
		sub, err := b.Subscribe("$SYS/broker/uptime", 0)
		require.NoError(t, err)
		require.Equal(t, "0 seconds", string((<-sub.Messages()).Payload))
		advance(10 * time.Second)
		require.Equal(t, "10 seconds", string((<-sub.Messages()).Payload))
	})
}

func TestStatusThroughASharedSubscription(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.subscribe(filter("$share/g/$SYS/broker/uptime", 0))
		s.idle()
		advance(10 * time.Second)
		s.want(message0("$SYS/broker/uptime", "10 seconds"))
		s.cut()
		require.Nil(t, b.sys.timer)
	})
}

func TestStatusCanBeSwitchedOff(t *testing.T) {
	run(t, Config{StatusInterval: -1}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.subscribe(filter("$SYS/#", 0))
		advance(time.Hour)
		s.idle()
	})
}
