package clienttest

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

func TestOnePublisherCostsOneCommitForEachMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		d := NewDisk()
		client, conn := Open(t, srv, Stored(srv, d))
		synctest.Wait()
		before := d.Commits()
		for range 5 {
			call := Publish(t, client, "m", 1)
			conn.Send(Puback(mqtttest.Take[*wire.Publish](conn).PacketID))
			require.NoError(t, call.Wait())
		}
		require.Equal(t, 5, d.Commits()-before, "the removal of a record has its own Commit")
		time.Sleep(time.Second)
		require.Equal(t, 6, d.Commits()-before)
		require.Zero(t, d.Records(t, "Cm")+d.Records(t, "Ce"))
	})
}

// slowDisk is a Store whose Commit takes a while.
type slowDisk struct{ store.Store }

func (d slowDisk) Commit(ops []store.Op) error {
	time.Sleep(time.Millisecond)
	return d.Store.Commit(ops)
}

func TestAPublisherDoesNotKeepWhatIsStoredFromBeingSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		d := NewDisk()
		client, _, conn := offlineWith(t, d, func(*mqtt.Config) {})
		for i := range n {
			PublishAsync(t, client, payloadOf(i), 1)
		}
		next := d.Killed(t)
		conn.Close()
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Stored(srv, next)
		cfg.Store, cfg.StoreInterval, cfg.QueueMessages = slowDisk{next}, time.Millisecond, 1_000_000
		client, conn = OpenWith(t, srv, cfg, Resumed())
		ctx, stop := context.WithCancel(t.Context())
		go func() { // some of its messages always wait for a Commit
			for ; ctx.Err() == nil; time.Sleep(time.Millisecond / 10) {
				client.PublishAsync(ctx, &mqtt.Message{Topic: "t", Payload: []byte("new"), QoS: 1})
			}
		}()
		var came atomic.Int64
		go func() {
			for {
				p, _ := mqtttest.TakeWithin[wire.Packet](conn, time.Minute)
				publish, ok := p.(*wire.Publish)
				if !ok {
					return // the client disconnects
				}
				came.Add(1)
				conn.Send(Puback(publish.PacketID))
			}
		}()
		for start := time.Now(); came.Load() < n && time.Since(start) < 10*time.Second; {
			time.Sleep(time.Millisecond)
		}
		stop()
		require.GreaterOrEqual(t, came.Load(), int64(n))
	})
}
