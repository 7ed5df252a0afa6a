package clienttest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestMessagesThatFailAreCountedByCause(t *testing.T) {
	expiring := func(c *mqtt.Client) error {
		_, err := c.PublishAsync(context.Background(), &mqtt.Message{Topic: "t", QoS: 1, MessageExpiryInterval: new(time.Second)})
		return err
	}
	async := func(topic string, qos mqtt.QoS) func(*mqtt.Client) error {
		return func(c *mqtt.Client) error {
			_, err := c.PublishAsync(context.Background(), &mqtt.Message{Topic: topic, QoS: qos})
			return err
		}
	}
	for name, test := range map[string]struct {
		change  func(*mqtt.Config)
		offline bool
		publish []func(*mqtt.Client) error
		server  func(*testing.T, *mqtttest.Server, *mqtttest.Conn)
		want    mqtt.FailedMessages
	}{
		"dropped": {
			change:  func(c *mqtt.Config) { c.QueueMessages, c.WhenFull.Acknowledged = 1, mqtt.FullDropOldest },
			offline: true,
			publish: []func(*mqtt.Client) error{async("t", 1), async("t", 1)},
			want:    mqtt.FailedMessages{QueueFull: 1},
		},
		"superseded": {
			change:  func(c *mqtt.Config) { c.QueueMessages, c.WhenFull.Acknowledged = 1, mqtt.FullKeepLatest },
			offline: true,
			publish: []func(*mqtt.Client) error{async("t", 1), async("t", 1)},
			want:    mqtt.FailedMessages{Superseded: 1},
		},
		"superseded by a message that was refused for now": {
			change: func(c *mqtt.Config) {
				c.QueueMessages, c.WhenFull.Acknowledged, c.RetryRefused = 2, mqtt.FullKeepLatest, true
				c.Inflight = 2
			},
			publish: []func(*mqtt.Client) error{async("t", 1), async("t", 1), async("v", 1), async("u", 1), async("u", 1)},
			server: func(t *testing.T, _ *mqtttest.Server, conn *mqtttest.Conn) {
				first, second := mqtttest.Take[*wire.Publish](conn), mqtttest.Take[*wire.Publish](conn)
				conn.Send(&wire.Puback{PacketID: first.PacketID, ReasonCode: wire.QuotaExceeded})
				conn.Send(&wire.Puback{PacketID: second.PacketID, ReasonCode: wire.QuotaExceeded})
			},
			want: mqtt.FailedMessages{Superseded: 2},
		},
		"expired": {
			offline: true,
			publish: []func(*mqtt.Client) error{expiring},
			want:    mqtt.FailedMessages{Expired: 1},
		},
		"refused": {
			publish: []func(*mqtt.Client) error{async("t", 1), async("t", 2)},
			server: func(_ *testing.T, _ *mqtttest.Server, conn *mqtttest.Conn) {
				conn.Send(&wire.Puback{PacketID: mqtttest.Take[*wire.Publish](conn).PacketID, ReasonCode: wire.NotAuthorized})
				conn.Send(&wire.Pubrec{PacketID: mqtttest.Take[*wire.Publish](conn).PacketID, ReasonCode: wire.NotAuthorized})
			},
			want: mqtt.FailedMessages{Refused: 2},
		},
		"limit": {
			publish: []func(*mqtt.Client) error{func(c *mqtt.Client) error {
				require.ErrorAs(t, c.PublishMessage(context.Background(), &mqtt.Message{Topic: "t", QoS: 1, Payload: make([]byte, 100)}), new(*mqtt.LimitError))
				return nil
			}},
			want: mqtt.FailedMessages{Limit: 1},
		},
		"session lost": {
			change:  func(c *mqtt.Config) { c.FailOnSessionLoss = true },
			publish: []func(*mqtt.Client) error{async("t", 1)},
			server: func(_ *testing.T, srv *mqtttest.Server, conn *mqtttest.Conn) {
				mqtttest.Take[*wire.Publish](conn)
				conn.Close()
				srv.Connected(&wire.Connack{})
			},
			want: mqtt.FailedMessages{SessionLost: 1},
		},
		"canceled": {
			offline: true,
			publish: []func(*mqtt.Client) error{func(c *mqtt.Client) error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				require.ErrorIs(t, c.Publish(ctx, "t", nil, 1), context.DeadlineExceeded)
				return nil
			}},
			want: mqtt.FailedMessages{Canceled: 1},
		},
		"lost": {
			change:  func(c *mqtt.Config) { c.WriteTimeout = time.Second },
			publish: []func(*mqtt.Client) error{func(c *mqtt.Client) error { return c.Publish(context.Background(), "t", make([]byte, 80), 0) }},
			want:    mqtt.FailedMessages{Lost: 1},
		},
		"refused at once": {
			change:  func(c *mqtt.Config) { c.QueueMessages, c.WhenFull.Acknowledged = 1, mqtt.FullFail },
			offline: true,
			publish: []func(*mqtt.Client) error{async("t", 1), func(c *mqtt.Client) error {
				require.ErrorIs(t, async("t", 1)(c), mqtt.ErrQueueFull)
				return nil
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 16})
				cfg := Quiet(srv)
				if test.change != nil {
					test.change(&cfg)
				}
				client, conn := OpenWith(t, srv, cfg, &wire.Connack{MaximumPacketSize: 99})
				if test.offline {
					conn.Close()
					srv.Refuse()
					synctest.Wait()
				}
				for _, publish := range test.publish {
					require.NoError(t, publish(client))
				}
				if test.server != nil {
					test.server(t, srv, conn)
				}
				time.Sleep(4 * time.Second)
				got := client.Stats()
				require.Equal(t, test.want, got.Failed)
				require.NoError(t, client.Close())

				// What was not acknowledged has failed in one way or another.
				got = client.Stats()
				f := got.Failed
				failed := f.QueueFull + f.Superseded + f.Expired + f.Refused + f.Limit + f.Undeliverable + f.SessionLost + f.Store + f.Canceled + f.Lost + f.Closed
				require.Equal(t, got.Published, got.Acknowledged+failed, "%+v", got)
				require.Zero(t, got.Queued+got.Inflight)
			})
		})
	}
}

func TestMessagesThatAStoreKeepsHaveNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDisk()
		client, _, _ := offlineWith(t, d, func(*mqtt.Config) {})
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1})
		require.NoError(t, err)
		require.NoError(t, client.Close())
		p := client.Stats()
		require.Equal(t, uint64(1), p.Published)
		require.Equal(t, mqtt.FailedMessages{}, p.Failed)
	})
}

func TestReceivedMessagesThatAreDroppedAreCountedByCause(t *testing.T) {
	for name, test := range map[string]struct {
		options mqtt.SubscribeOptions
		send    []wire.Packet
		end     bool
		want    mqtt.DroppedMessages
	}{
		"newest":    {mqtt.SubscribeOptions{BufferMessages: 1}, []wire.Packet{Pub(0, 0, "1"), Pub(0, 0, "2")}, false, mqtt.DroppedMessages{Newest: 1}},
		"oldest":    {mqtt.SubscribeOptions{BufferMessages: 1, Overflow: mqtt.DropOldest}, []wire.Packet{Pub(0, 0, "1"), Pub(0, 0, "2")}, false, mqtt.DroppedMessages{Oldest: 1}},
		"unclaimed": {mqtt.SubscribeOptions{}, []wire.Packet{To("other", Pub(7, 1, "1"))}, false, mqtt.DroppedMessages{}},
		"ended":     {mqtt.SubscribeOptions{}, []wire.Packet{Pub(0, 0, "1")}, true, mqtt.DroppedMessages{Ended: 1}},
		"no session": {
			mqtt.SubscribeOptions{BufferBytes: 1 << 10},
			[]wire.Packet{Pub(1, 1, string(make([]byte, 1<<10))), Pub(2, 1, "2")}, false, mqtt.DroppedMessages{NoSession: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V311) // the session ends with the connection
				client, conn := Open(t, srv, Quiet(srv))
				test.options.Filters = Filters("t")
				SubscribeWith(t, client, conn, test.options)
				conn.Send(test.send...)
				time.Sleep(time.Minute)
				if test.end {
					require.NoError(t, client.Close())
				}
				r := client.Stats()
				require.Equal(t, test.want, r.DroppedBy)
				require.Equal(t, test.want.Newest+test.want.Oldest+test.want.Ended+test.want.NoSession, r.Dropped)
				require.Equal(t, name == "unclaimed", r.Unclaimed == 1)
				require.Equal(t, uint64(len(test.send)), r.Received)
			})
		})
	}
}

func TestPacketsAndWritesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		before := client.Stats()
		require.Equal(t, []uint64{1, 1, 1}, []uint64{before.PacketsSent, before.PacketsReceived, before.Writes})
		for range 3 { // the writer runs when all are there
			_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1})
			require.NoError(t, err)
		}
		var answers []wire.Packet
		for range 3 {
			answers = append(answers, Puback(mqtttest.Take[*wire.Publish](conn).PacketID))
		}
		conn.Send(answers...)
		synctest.Wait()
		s := client.Stats()
		require.Equal(t, []uint64{4, 4}, []uint64{s.PacketsSent, s.PacketsReceived})
		require.GreaterOrEqual(t, s.Writes, uint64(2))
		require.LessOrEqual(t, s.Writes, uint64(4))
		require.Equal(t, uint64(3), s.Acknowledged)
		require.NotZero(t, s.RoundTrips.Count)
	})
}

func TestDuplicatesAndRepeatsOfBothSidesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true})
		conn.Send(Pub(7, 2, "once"))
		m, err := sub.Next(t.Context())
		require.NoError(t, err)
		PublishAsync(t, client, "1", 1)
		mqtttest.Take[*wire.Publish](conn)
		conn.Close()
		conn = srv.Connected(Resumed())
		mqtttest.Take[*wire.Subscribe](conn)
		again := mqtttest.Take[*wire.Publish](conn)
		require.True(t, again.Duplicate)
		conn.Send(Puback(again.PacketID), Dup(7, 2, "once"))
		synctest.Wait()
		s := client.Stats()
		require.Equal(t, []uint64{1, 1, 1}, []uint64{s.Repeated, s.Duplicates, s.Received})
		require.NoError(t, m.Ack())
	})
}
