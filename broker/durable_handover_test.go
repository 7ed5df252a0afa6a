package broker

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// copied returns a Store with what m has.
func copied(t *testing.T, m *store.Mem) *store.Mem {
	t.Helper()
	other := store.Memory()
	var ops []store.Op
	for record, err := range m.Scan(nil) {
		require.NoError(t, err)
		ops = append(ops, store.Op{Key: record.Key, Value: record.Value})
	}
	require.NoError(t, other.Commit(ops))
	return other
}

// The session that is left of a client is removed in one with the message that its will
// has become, also from a Store that takes removals only.
func TestAWillStaysUntilItsMessageIsThere(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		s.removes = true
		watcher := mustJoin(t, b, wire.V5, &wire.Connect{ClientID: "w", SessionExpiryInterval: 3600})
		watcher.subscribe(filter("will/#", 1))
		mustJoin(t, b, wire.V5, willing("c", 60, 20)).cut()
		advance(time.Second)
		s.set(errFull, nil)
		advance(time.Minute)
		next, err := Open(Config{Store: copied(t, s.Mem)})
		require.NoError(t, err)
		again := mustJoin(t, next, wire.V5, &wire.Connect{ClientID: "w", SessionExpiryInterval: 3600})
		require.Equal(t, "will/c", receiveAs(again).Topic)
		require.NoError(t, next.Close())
		s.set(nil, nil)
		advance(2 * time.Second)
		require.Equal(t, "will/c", receiveAs(watcher).Topic)
		advance(time.Second)
		require.Len(t, recordsOf(t, s.Mem, sessionRecord), 1)
	})
}

// A client that has ended its session is told that there is none when a crash can not
// bring it back.
func TestConnackWaitsUntilAnEndedSessionIsGone(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		c := mustJoin(t, b, wire.V5, lasting(wire.V5, "c"))
		hang := make(chan struct{})
		s.set(nil, hang)
		c.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		c.closed()
		c = dial(t, b, wire.V5)
		c.send(&wire.Connect{ClientID: "c"})
		clean(t, b, "other")
		c.idle()
		require.Len(t, recordsOf(t, s.Mem, sessionRecord), 1)
		close(hang)
		s.set(nil, nil)
		require.False(t, receive[*wire.Connack](c).SessionPresent)
		require.Empty(t, recordsOf(t, s.Mem, sessionRecord))
	})
}

// A will can not be refused later.
func TestAHangingDiskBoundsWills(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		hang := make(chan struct{})
		s.set(nil, hang)
		for range 100 {
			c := dial(t, b, wire.V5)
			c.send(&wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "w", Payload: make([]byte, 60_000), QoS: 1, Retain: true}})
			receive[*wire.Connack](c)
			c.cut()
		}
		b.disk.mu.Lock()
		waiting := b.disk.bytes
		b.disk.mu.Unlock()
		require.Greater(t, waiting, 100*60_000)
		b.disk.mu.Lock()
		b.disk.bytes += gatherMaximum
		b.disk.mu.Unlock()
		c := dial(t, b, wire.V5)
		c.send(&wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "w", QoS: 1}})
		require.Equal(t, wire.QuotaExceeded, receive[*wire.Connack](c).ReasonCode)
		c.closed()
		clean(t, b, "c")
		b.disk.mu.Lock()
		b.disk.bytes -= gatherMaximum
		b.disk.mu.Unlock()
		close(hang)
		s.set(nil, nil)
		advance(time.Second)
		require.Zero(t, b.disk.bytes)
	})
}
