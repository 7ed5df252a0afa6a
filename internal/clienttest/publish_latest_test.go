package clienttest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// publishTo publishes to topics, one after the other, with payloads that count.
func publishTo(t *testing.T, c *mqtt.Client, qos mqtt.QoS, topics string) (all []*mqtt.Delivery) {
	t.Helper()
	for i, topic := range strings.Fields(topics) {
		d, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: topic, Payload: fmt.Append(nil, i), QoS: qos})
		require.NoError(t, err)
		all = append(all, d)
	}
	return all
}

// wantStill says which of all are not settled. The others were dropped.
func wantStill(t *testing.T, all []*mqtt.Delivery, waiting ...int) {
	t.Helper()
	var still []int
	for i, d := range all {
		if !Settled(d) {
			still = append(still, i)
			continue
		}
		wantDropped(t, d)
	}
	require.Equal(t, waiting, still)
}

func latest(limits func(*mqtt.Config)) func(*mqtt.Config) {
	return func(cfg *mqtt.Config) {
		cfg.WhenFull = mqtt.WhenFull{AtMostOnce: mqtt.FullKeepLatest, Acknowledged: mqtt.FullKeepLatest}
		limits(cfg)
	}
}

func TestFullQueueKeepsTheLatestOfEachTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, latest(func(cfg *mqtt.Config) { cfg.QueueMessages = 5 }))
		wantStill(t, publishTo(t, client, 1, "a a b"), 0, 1, 2) // there is room: nothing is dropped
		require.Zero(t, client.Stats().Failed.Superseded)
	})
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, latest(func(cfg *mqtt.Config) { cfg.QueueMessages = 5 }))
		all := publishTo(t, client, 1, "a b a b a c")
		wantStill(t, all, 3, 4, 5)
		require.EqualValues(t, 3, client.Stats().Failed.Superseded)

		// It stays so while there is room again.
		all = append(all, publishTo(t, client, 1, "c b d")...)
		wantStill(t, all, 4, 6, 7, 8)

		// More topics than there is room for: the new one fails, the known ones go on.
		all = append(all, publishTo(t, client, 1, "e f a")...)
		wantStill(t, all, 6, 7, 8, 9, 11)
		_, err := all[4].Wait(t.Context())
		require.ErrorContains(t, err, "a later message of the topic has its place")
	})
}

func TestKeepingTheLatestLeavesTheOtherClassAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, latest(func(cfg *mqtt.Config) { cfg.QueueMessages = 5 }))
		others := publishTo(t, client, 0, "a a")
		wantStill(t, publishTo(t, client, 2, "a a a a"), 3)
		wantStill(t, others, 0, 1)
	})
}

func TestKeepingTheLatestDropsNothingForAMessageThatHasNoRoomAnyway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, latest(func(cfg *mqtt.Config) { cfg.QueueMessages, cfg.QueueBytes = 3, 400 }))
		large := func() *mqtt.Delivery {
			d, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "a", Payload: make([]byte, 500), QoS: 1})
			require.NoError(t, err)
			return d
		}
		all := publishTo(t, client, 1, "a a b")
		wantDropped(t, large())
		wantStill(t, all, 0, 1, 2)
		all = append(all, publishTo(t, client, 1, "c")...)
		wantStill(t, all, 1, 2, 3)
		wantDropped(t, large()) // also when there is one message of each topic
		wantStill(t, all, 1, 2, 3)
	})
}

func TestKeepingTheLatestEndsWhenNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		latest(func(cfg *mqtt.Config) { cfg.QueueMessages = 2 })(&cfg)
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{ReceiveMaximum: 1})
		sent := publishTo(t, client, 1, "first")
		conn.Want(To("first", Pub(1, 1, "0")))
		all := publishTo(t, client, 1, "a a a") // the third finds it full
		wantStill(t, all, 2)
		conn.Send(Puback(1))
		conn.Want(To("a", Pub(2, 1, "2")))
		wantStill(t, publishTo(t, client, 1, "a a"), 0, 1)
		_, err := sent[0].Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestQoS0HasLimitsOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(cfg *mqtt.Config) {
			cfg.QueueMessages, cfg.QueueBytes = 6, 10_000
			cfg.QueueAtMostOnce = mqtt.QueueLimits{Messages: 2, Bytes: 200}
			cfg.WhenFull = mqtt.WhenFull{AtMostOnce: mqtt.FullDropOldest, Acknowledged: mqtt.FullFail}
		})
		lossy := publishTo(t, client, 0, "a b c")
		wantStill(t, lossy, 1, 2)
		large, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: make([]byte, 150)})
		require.NoError(t, err)
		require.False(t, Settled(large))
		wantStill(t, lossy[1:2]) // dropped for its place
		kept := publishTo(t, client, 1, "a b c d")
		wantStill(t, kept, 0, 1, 2, 3)
		_, err = client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1})
		require.ErrorIs(t, err, mqtt.ErrQueueFull)
	})
}

func TestPublishersOfQoS0WaitForTheirOwnLimitsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.QueueMessages, cfg.QueueAtMostOnce.Messages = 4, 1
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{ReceiveMaximum: 1})
		PublishAsync(t, client, "1", 1)
		PublishAsync(t, client, "2", 1)
		PublishAsync(t, client, "3", 0)
		conn.Want(Pub(1, 1, "1"))
		async := func(payload string, qos mqtt.QoS) *Call {
			return Begin(func() error {
				_, err := client.PublishAsync(t.Context(), toT(payload, qos))
				return err
			})
		}
		waits := async("4", 0)
		require.False(t, waits.Over())
		require.NoError(t, async("5", 1).Wait(), "it passes the one that waits for its class")
		require.NoError(t, async("6", 1).Wait())
		full := async("7", 1)
		require.False(t, full.Over())
		conn.Send(Puback(1))
		conn.Want(Pub(2, 1, "2"), Pub(0, 0, "3"))
		require.NoError(t, waits.Wait())
		require.NoError(t, full.Wait())
		conn.Send(Puback(2))
		conn.Want(Pub(3, 1, "5"))
	})
}

func TestQoS0MayBeKeptOutOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.QueueAtMostOnce.Messages = -1
		client, conn := Open(t, srv, cfg)
		require.NoError(t, client.Publish(t.Context(), "t", []byte("1"), 0))
		conn.Want(Pub(0, 0, "1"))
		conn.Close()
		srv.Refuse()
		synctest.Wait()
		err := client.Publish(t.Context(), "t", []byte("2"), 0)
		require.ErrorIs(t, err, mqtt.ErrNotConnected)
		require.True(t, mqtt.NotSent(err))
		PublishAsync(t, client, "3", 1)
	})
}

func TestDropOldestDropsNoMoreThanMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(cfg *mqtt.Config) {
			cfg.QueueBytes, cfg.WhenFull.Acknowledged = 1000, mqtt.FullDropOldest
		})
		sized := func(size int) *mqtt.Delivery {
			d, err := client.PublishAsync(t.Context(), toT(string(make([]byte, size-1)), 1))
			require.NoError(t, err)
			return d
		}
		small, large, rest := sized(10), sized(600), sized(300)
		next := sized(500) // needs 410: the small one would be dropped in vain
		require.False(t, Settled(small))
		wantDropped(t, large)
		require.False(t, Settled(rest))
		last := sized(1000) // needs all
		for _, d := range []*mqtt.Delivery{small, rest, next} {
			wantDropped(t, d)
		}
		require.False(t, Settled(last))
		require.EqualValues(t, 4, client.Stats().Failed.QueueFull)
	})
}

func TestQoS0MayHaveAnAgeOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(cfg *mqtt.Config) {
			cfg.QueueAge, cfg.QueueAtMostOnce.Age = 10e9, 3e9
		})
		kept, lossy := PublishAsync(t, client, "1", 1), PublishAsync(t, client, "0", 0)
		wantExpiredAfter(t, 3e9, lossy)
		wantExpiredAfter(t, 7e9, kept)
	})
}

// A message that may not wait once took the place of the one that waited, and left.
func TestAMessageThatMayNotWaitLeavesTheLatestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		latest(func(cfg *mqtt.Config) { cfg.QueueMessages = 1 })(&cfg)
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{ReceiveMaximum: 1})
		publishTo(t, client, 1, "first")
		conn.Want(To("first", Pub(1, 1, "0")))
		all := publishTo(t, client, 1, "a a")
		wantStill(t, all, 1)
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "a", QoS: 1, NotQueued: true})
		require.ErrorIs(t, err, mqtt.ErrQueueFull)
		wantStill(t, append(all, publishTo(t, client, 1, "a")...), 2)
	})
}
