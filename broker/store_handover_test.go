package broker

import (
	"bytes"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/broker/internal/records"
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
		require.Len(t, recordsOf(t, s.Mem, records.SessionKind), 1)
	})
}

// A client that has ended its session is told that there is none when a crash cannot
// bring it back.
func TestConnackWaitsUntilAnEndedSessionIsGone(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		c := mustJoin(t, b, wire.V5, durableConnect(wire.V5, "c"))
		hang := make(chan struct{})
		s.set(nil, hang)
		c.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		c.closed()
		c = dial(t, b, wire.V5)
		c.send(&wire.Connect{ClientID: "c"})
		clean(t, b, "other")
		c.idle()
		require.Len(t, recordsOf(t, s.Mem, records.SessionKind), 1)
		close(hang)
		s.set(nil, nil)
		require.False(t, receive[*wire.Connack](c).SessionPresent)
		require.Empty(t, recordsOf(t, s.Mem, records.SessionKind))
	})
}

// A will cannot be refused later.
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
		waiting := b.persistence.Bytes()
		require.Greater(t, waiting, 100*60_000)
		b.persistence.Add(&journal.Task{Cost: journal.Maximum})
		c := dial(t, b, wire.V5)
		c.send(&wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "w", QoS: 1}})
		require.Equal(t, wire.QuotaExceeded, receive[*wire.Connack](c).ReasonCode)
		c.closed()
		clean(t, b, "c")
		close(hang)
		s.set(nil, nil)
		advance(time.Second)
		require.Zero(t, b.persistence.Bytes())
	})
}

// Until CONNACK a session is what it was, for those who publish to it, too.
func TestMessagesForASessionThatMayGoOnAreKept(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		c := mustJoin(t, b, wire.V5, durableConnect(wire.V5, "c"))
		c.subscribe(filter("a", 1))
		c.cut()
		advance(time.Second)
		hang := make(chan struct{})
		s.set(errFull, hang)
		again := dial(t, b, wire.V5)
		again.send(&wire.Connect{ClientID: "c"}) // for this connection only
		synctest.Wait()
		s.set(nil, nil)
		p := clean(t, b, "p")
		p.send(&wire.Publish{Topic: "a", QoS: 1, PacketID: 1})
		p.idle()
		close(hang)
		require.Equal(t, wire.QuotaExceeded, receive[*wire.Connack](again).ReasonCode)
		p.want(&wire.Puback{PacketID: 1})
		next, err := Open(Config{Store: copied(t, s.Mem)})
		require.NoError(t, err)
		require.Equal(t, "a", receiveAs(resume(t, next, wire.V5, "c")).Topic)
		require.NoError(t, next.Close())
		again.closed()
		// It goes on, too, when CONNACK says so, and ends with the connection then.
		again = mustJoin(t, b, wire.V5, &wire.Connect{ClientID: "c"})
		receiveAs(again)
		publishAs(p, "a", "direct", 1)
		receiveAs(again)
		again.cut()
		advance(time.Second)
		require.Empty(t, recordsOf(t, s.Mem, records.SessionKind))
	})
}

// What was sent behind a refused message waits for the end of the connection, though
// it needs no disk.
func TestWhatFollowsARefusedMessageIsNotAcknowledged(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		p := mustJoin(t, b, wire.V311, &wire.Connect{ClientID: "p", CleanStart: true})
		b.mu.RLock()
		c := b.clients["p"].conn.(*conn)
		b.mu.RUnlock()
		c.signals.failure.Store(&refusal{code: wire.QuotaExceeded}) // its reader has not seen it yet
		p.send(&wire.Publish{Topic: "a", QoS: 1, PacketID: 2})
		p.closed()
	})
}

// Observers that publish cannot be stopped by what they have yet to be told.
func TestAnObserverMayPublishWhateverWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *Broker
		slow := make(chan struct{})
		var told, copies atomic.Int32
		b, err := Open(Config{Store: store.Memory(), QueuedBytes: 1 << 30, Observers: []Observer{ObserverFunc(func(e Event) {
			switch p, _ := e.(Published); {
			case p.Message == nil:
			case p.Message.Topic == "copy":
				copies.Add(1)
			case p.Message.Topic == "a":
				<-slow
				told.Add(1)
				if err := b.Publish(&wire.Publish{Topic: "copy", QoS: 1}); err != nil {
					panic(err)
				}
			}
		})}})
		require.NoError(t, err)
		c := mustJoin(t, b, wire.V5, durableConnect(wire.V5, "c"))
		c.subscribe(filter("copy", 1), filter("a", 1))
		payload := make([]byte, 1<<20)
		for i := range 20 {
			p := mustJoin(t, b, wire.V311, &wire.Connect{ClientID: string(rune('A' + i)), CleanStart: true})
			var all []byte
			for id := range uint16(8) {
				all, err = (&wire.Publish{Topic: "a", Payload: payload, QoS: 1, PacketID: id + 1}).Append(all, wire.V311)
				require.NoError(t, err)
			}
			go p.net.Write(all)
		}
		synctest.Wait()
		require.GreaterOrEqual(t, b.persistence.Bytes(), journal.Maximum)
		close(slow)
		advance(time.Minute)
		require.EqualValues(t, 160, told.Load())
		require.EqualValues(t, 160, copies.Load())
		require.NoError(t, b.Close())
		require.Zero(t, b.persistence.Bytes())
	})
}

// A client that has lost its state begins with its identifiers anew, in the middle of an
// exchange of QoS 2.
func TestAnIdentifierThatServesAnotherMessageIsNotTakenForARepeat(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		sub := mustJoin(t, w.broker, wire.V5, durableConnect(wire.V5, "sub"))
		sub.subscribe(filter("a", 2))
		p := mustJoin(t, w.broker, wire.V311, durableConnect(wire.V311, "p"))
		p.send(&wire.Publish{Topic: "a", Payload: []byte("1"), QoS: 2, PacketID: 1})
		receive[*wire.Pubrec](p)
		receiveAs(sub)
		p.cut()
		p = resume(t, w.broker, wire.V311, "p")
		p.send(&wire.Publish{Topic: "a", Payload: []byte("2"), QoS: 1, PacketID: 1})
		receive[*wire.Puback](p)
		receiveAs(sub)
		advance(time.Second)
		p = resume(t, w.kill(), wire.V311, "p")
		sub = resume(t, w.broker, wire.V5, "sub")
		p.send(&wire.Publish{Topic: "a", Payload: []byte("3"), QoS: 2, PacketID: 1})
		receive[*wire.Pubrec](p)
		require.Equal(t, "3", string(receiveAs(sub).Payload))
	})
}
