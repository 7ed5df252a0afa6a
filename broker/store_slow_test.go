package broker

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

func TestAHangingDiskHoldsUpNobodyElse(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		kept, _ := join(t, b, wire.V5, durableConnect(wire.V5, "kept"))
		kept.subscribe(filter("a", 1))
		other := clean(t, b, "other")
		other.subscribe(filter("#", 1))
		p := clean(t, b, "p")
		hang := make(chan struct{})
		s.set(nil, hang)
		p.send(&wire.Publish{Topic: "a", Payload: []byte("1"), QoS: 1, PacketID: 1}, &wire.Pingreq{})
		p.want(&wire.Pingresp{})
		for i := range 3 {
			publishAs(p, "a", fmt.Sprint("zero", i), 0)
			require.Equal(t, fmt.Sprint("zero", i), string(receive[*wire.Publish](kept).Payload))
			require.Equal(t, fmt.Sprint("zero", i), string(receive[*wire.Publish](other).Payload))
		}
		// The same publisher's messages stay in their order, those of others pass.
		p.send(&wire.Publish{Topic: "b", Payload: []byte("2"), QoS: 1, PacketID: 2}, &wire.Pingreq{})
		p.want(&wire.Pingresp{})
		other.idle()
		q := clean(t, b, "q")
		publishAs(q, "b", "q", 1)
		require.Equal(t, "q", string(receiveAs(other).Payload))
		kept.send(&wire.Subscribe{PacketID: 3, Filters: []wire.SubscribeFilter{filter("c", 0)}}, &wire.Pingreq{})
		kept.want(&wire.Pingresp{})
		publishAs(q, "c", "early", 0)
		require.Equal(t, "early", string(receive[*wire.Publish](kept).Payload))
		require.Equal(t, "early", string(receive[*wire.Publish](other).Payload))
		// A new session waits for as long as a client may take to connect.
		c := dial(t, b, wire.V5)
		c.send(durableConnect(wire.V5, "new"))
		c.idle()
		advance(10 * time.Second)
		require.Equal(t, wire.ServerUnavailable, receive[*wire.Connack](c).ReasonCode)
		c.closed()

		close(hang)
		s.set(nil, nil)
		p.want(&wire.Puback{PacketID: 1}, &wire.Puback{PacketID: 2})
		require.Equal(t, "1", string(receive[*wire.Publish](other).Payload))
		require.Equal(t, "2", string(receive[*wire.Publish](other).Payload))
		advance(time.Second)
		require.Len(t, recordsOf(t, s.Mem, records.SessionKind), 1)
	})
}

func TestAHangingDiskBoundsItsPublishers(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		kept, _ := join(t, b, wire.V5, durableConnect(wire.V5, "kept"))
		kept.subscribe(filter("a", 1))
		hang := make(chan struct{})
		s.set(nil, hang)
		p := mustJoin(t, b, wire.V311, &wire.Connect{ClientID: "p", CleanStart: true})
		var sent int
		payload := make([]byte, 64<<10)
		go func() {
			for i := range 1000 {
				bytes, err := (&wire.Publish{Topic: "a", Payload: payload, QoS: 1, PacketID: uint16(i + 1)}).Append(nil, wire.V311)
				if err != nil {
					return
				}
				if _, err := p.net.Write(bytes); err != nil {
					return
				}
				sent++
			}
		}()
		synctest.Wait()
		gathered := b.persistence.Bytes()
		require.Greater(t, gathered, journal.ShareMaximum)
		require.Less(t, gathered, journal.ShareMaximum+256<<10)
		// Somebody else has a share, too.
		q := clean(t, b, "q")
		q.send(&wire.Publish{Topic: "a", QoS: 1, PacketID: 1}, &wire.Pingreq{})
		q.want(&wire.Pingresp{})
		p.net.Close()
		close(hang)
		s.set(nil, nil)
		q.want(&wire.Puback{PacketID: 1})
		synctest.Wait()
		require.Zero(t, b.persistence.Bytes())
	})
}

func TestShutdownHasABoundWithAHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &moody{Mem: store.Memory()}
		b, err := Open(Config{Store: s})
		require.NoError(t, err)
		kept, _ := join(t, b, wire.V5, durableConnect(wire.V5, "kept"))
		kept.subscribe(filter("a", 1))
		hang := make(chan struct{})
		s.set(nil, hang)
		kept.send(&wire.Publish{Topic: "a", QoS: 1, PacketID: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, b.Shutdown(ctx), context.DeadlineExceeded)
		require.Less(t, time.Since(start), 5*time.Second)
		close(hang) // the Commit ends, and with it what is left of the broker
	})
}

func TestShutdownLeavesEverythingInTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.Memory()
		b, err := Open(Config{Store: m})
		require.NoError(t, err)
		s, _ := join(t, b, wire.V5, willing("c", 30, 60))
		s.subscribe(filter("#", 1))
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: []byte("r"), Retain: true}))
		receive[*wire.Publish](s)
		require.NoError(t, b.Shutdown(t.Context()))
		advance(40 * time.Second)
		b, err = Open(Config{Store: m})
		require.NoError(t, err)
		require.Equal(t, 1, b.Stats().Retained)
		s, ack := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		require.True(t, ack.SessionPresent)
		require.Equal(t, "will/c", receiveAs(s).Topic)
		require.NoError(t, b.Close())
		require.NoError(t, m.Commit(nil), "it belongs to the caller")
	})
}
