package clienttest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestFullQueueMakesPublishersWaitForRoom(t *testing.T) {
	for name, limit := range map[string]func(*mqtt.Config){
		"messages": func(cfg *mqtt.Config) { cfg.QueueMessages = 2 },
		"bytes":    func(cfg *mqtt.Config) { cfg.QueueBytes = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				limit(&cfg)
				client, conn := OpenWith(t, srv, cfg, &wire.Connack{ReceiveMaximum: 1})
				PublishAsync(t, client, "1", 1)
				PublishAsync(t, client, "2", 1)
				PublishAsync(t, client, "3", 1)
				conn.Want(Pub(1, 1, "1"))

				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := client.PublishAsync(ctx, &mqtt.Message{Topic: "t", Payload: []byte("never"), QoS: 1})
				require.ErrorIs(t, err, mqtt.ErrQueueFull)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.True(t, mqtt.NotSent(err))

				waits := Publish(t, client, "4", 1)
				require.False(t, waits.Over())
				for i := uint16(1); i < 4; i++ {
					conn.Send(Puback(i))
					conn.Want(Pub(i+1, 1, fmt.Sprint(i+1)))
				}
				conn.Send(Puback(4))
				require.NoError(t, waits.Wait())
				conn.WantIdle()
			})
		})
	}
}

func TestEmptyQueueTakesAMessageLargerThanItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.QueueBytes = 1
		client, conn := Open(t, srv, cfg)
		call := Publish(t, client, "large", 1)
		conn.Want(Pub(1, 1, "large"))
		conn.Send(Puback(1))
		require.NoError(t, call.Wait())
	})
}

func TestWaitersForRoomAllGetThroughWhileSomeLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.QueueMessages = 1
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{ReceiveMaximum: 1})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var stay, leave []*Call
		for range 50 {
			stay = append(stay, Publish(t, client, "stays", 1))
			leave = append(leave, Begin(func() error { return client.Publish(ctx, "t", []byte("leaves"), 1) }))
		}
		synctest.Wait()
		for acked := 0; ; acked++ {
			p, ok := mqtttest.TakeWithin[*wire.Publish](conn, time.Second)
			if !ok {
				break
			}
			if acked == 20 {
				go cancel() // while room is offered
			}
			conn.Send(Puback(p.PacketID))
		}
		for _, c := range stay {
			require.True(t, c.Over())
			require.NoError(t, c.Wait())
		}
		for _, c := range leave {
			if err := c.Wait(); err != nil {
				require.ErrorIs(t, err, context.Canceled)
			}
		}
	})
}

// offline returns a client without a connection, whose queue is as cfg says.
func offline(t *testing.T, limit func(*mqtt.Config)) *mqtt.Client {
	srv := mqtttest.NewServer(t, wire.V5)
	cfg := Quiet(srv)
	limit(&cfg)
	client, conn := Open(t, srv, cfg)
	conn.Close()
	srv.Refuse()
	synctest.Wait()
	return client
}

func publishSize(t *testing.T, c *mqtt.Client, size int, qos mqtt.QoS) *Call {
	return Begin(func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.PublishAsync(ctx, &mqtt.Message{Topic: "t", Payload: make([]byte, size-1), QoS: qos})
		return err
	})
}

func TestRoomGoesToWhoeverItIsEnoughFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(cfg *mqtt.Config) { cfg.QueueMessages, cfg.QueueBytes = 3, 100 })
		PublishAsync(t, client, string(make([]byte, 39)), 1)
		ctx, cancel := context.WithCancel(t.Context())
		leaves := Begin(func() error { return client.Publish(ctx, "t", make([]byte, 59), 1) })
		require.False(t, leaves.Over())
		var calls []*Call
		for i, size := range []int{90, 30, 30, 30} {
			calls = append(calls, publishSize(t, client, size, mqtt.QoS(i%2)))
			require.False(t, calls[i].Over())
		}
		cancel() // 60 bytes for two messages are left
		require.ErrorIs(t, leaves.Wait(), context.Canceled)
		require.ErrorIs(t, calls[0].Wait(), mqtt.ErrQueueFull)
		require.NoError(t, calls[1].Wait())
		require.NoError(t, calls[2].Wait())
		require.ErrorIs(t, calls[3].Wait(), mqtt.ErrQueueFull)
	})
}

func TestWhoeverGivesUpGivesWayToThoseBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := offline(t, func(cfg *mqtt.Config) { cfg.QueueBytes = 100 })
		PublishAsync(t, client, string(make([]byte, 79)), 1)
		large := publishSize(t, client, 50, 1)
		require.False(t, large.Over())
		require.NoError(t, publishSize(t, client, 20, 1).Wait())
		require.Error(t, large.Wait())
	})
}

func TestDropOldestDropsNothingForAMessageThatHasNoRoomAnyway(t *testing.T) {
	for _, qos := range []mqtt.QoS{mqtt.AtMostOnce, mqtt.AtLeastOnce} {
		synctest.Test(t, func(t *testing.T) {
			client := offline(t, func(cfg *mqtt.Config) {
				cfg.QueueMessages, cfg.QueueBytes = 6, 1000
				cfg.WhenFull = mqtt.WhenFull{AtMostOnce: mqtt.FullDropOldest, Acknowledged: mqtt.FullDropOldest}
			})
			PublishAsync(t, client, "of the other class", 1-qos)
			var kept []*mqtt.Delivery
			for range 5 {
				kept = append(kept, PublishAsync(t, client, "small", qos))
			}
			require.True(t, Settled(PublishAsync(t, client, string(make([]byte, 2000)), qos)))
			for _, d := range kept {
				require.False(t, Settled(d))
			}
			require.EqualValues(t, 1, client.Stats().Failed.QueueFull)
			require.False(t, Settled(PublishAsync(t, client, string(make([]byte, 900)), qos)))
			require.True(t, Settled(kept[0]), "it makes room now")
			require.False(t, Settled(kept[1]))
			require.EqualValues(t, 2, client.Stats().Failed.QueueFull)
		})
	}
}
