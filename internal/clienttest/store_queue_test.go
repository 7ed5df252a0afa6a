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

func TestPoliciesHoldForStoredMessages(t *testing.T) {
	for policy, want := range map[mqtt.FullPolicy][]string{
		mqtt.FullDropOldest: {"2", "3", "4"},
		mqtt.FullDropNewest: {"0", "1", "2"},
		mqtt.FullKeepLatest: {"2", "3", "4"},
	} {
		synctest.Test(t, func(t *testing.T) {
			disk := NewDisk()
			var r *reports
			client, _, _ := offlineWith(t, disk, func(cfg *mqtt.Config) {
				r = slowly(cfg).atOnce()
				cfg.QueueMessages, cfg.WhenFull.Acknowledged = 3, policy
			})
			for i, topic := range []string{"a", "b", "a", "c", "b"} {
				_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: topic, Payload: fmt.Append(nil, i), QoS: 1})
				require.NoError(t, err)
			}
			synctest.Wait()
			require.Len(t, r.calls, 2)
			for range 2 {
				u := <-r.calls
				require.ErrorIs(t, u.Err, mqtt.ErrQueueFull)
				require.True(t, mqtt.NotSent(u.Err))
			}
			time.Sleep(time.Second) // the records of what was dropped go in their time
			synctest.Wait()

			// The next process sends the rest.
			next := disk.Killed(t)
			srv := mqtttest.NewServer(t, wire.V5)
			_, conn := Open(t, srv, Stored(srv, next))
			for _, payload := range want {
				p := mqtttest.Take[*wire.Publish](conn)
				require.Equal(t, payload, string(p.Payload))
				conn.Send(Puback(p.PacketID))
			}
			conn.WantIdle()
		})
	}
}

// Behind a line of stored messages that is longer than what is in memory, others wait
// too. They have their limits there.
func TestWhatWaitsBehindALongLineExpiresAndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _, _ := offlineWith(t, NewDisk(), func(cfg *mqtt.Config) {
			cfg.StoreInterval = time.Millisecond
			cfg.QueueAge = time.Hour
			cfg.QueueAtMostOnce = mqtt.QueueLimits{Messages: 3, Age: 30 * time.Second}
			cfg.WhenFull.AtMostOnce = mqtt.FullFail
		})
		for range 1100 {
			PublishAsync(t, client, "stored", 1)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		short, aged := expiring(t, client, "short", 0, 10*time.Second), PublishAsync(t, client, "aged", 0)
		notStored, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, NotStored: true, MessageExpiryInterval: new(time.Minute)})
		require.NoError(t, err)
		PublishAsync(t, client, "last", 0)
		_, err = client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t"})
		require.ErrorIs(t, err, mqtt.ErrQueueFull)
		wantExpiredAfter(t, 10*time.Second, short)
		PublishAsync(t, client, "has its place", 0)
		wantExpiredAfter(t, 20*time.Second, aged)
		wantExpiredAfter(t, 30*time.Second, notStored)
		require.Equal(t, 1100, client.Stats().Queued)
	})
}

// Messages of an earlier process have no Delivery that their end could complete.
func TestFlushOfALongLineEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := NewDisk()
		client, _, _ := offlineWith(t, disk, func(*mqtt.Config) {})
		for range 3000 {
			PublishAsync(t, client, "stored", 1)
		}
		client, _, _ = offlineWith(t, disk.Killed(t), func(*mqtt.Config) {})
		flush := Begin(func() error { return client.Flush(context.Background()) })
		require.False(t, flush.Over())
		require.NoError(t, client.Close())
		require.ErrorIs(t, flush.Wait(), mqtt.ErrClosed)
		require.ErrorContains(t, flush.Wait(), "messages not acknowledged")
	})
}
