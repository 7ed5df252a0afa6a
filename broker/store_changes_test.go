package broker

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// What replaced a retained message while SUBSCRIBE waited for the disk has gone to the
// subscriber already.
func TestNoRetainedMessageFollowsItsSuccessor(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		q := clean(t, b, "q")
		for _, topic := range []string{"a/changed", "a/gone", "a/same"} {
			q.send(&wire.Publish{Topic: topic, Payload: []byte("old"), Retain: true})
		}
		synctest.Wait()
		kept := mustJoin(t, b, wire.V5, durableConnect(wire.V5, "kept"))
		hang := make(chan struct{})
		s.set(nil, hang)
		kept.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("a/#", 1)}})
		synctest.Wait()
		q.send(&wire.Publish{Topic: "a/changed", Payload: []byte("new"), Retain: true})
		require.Equal(t, "new", string(receive[*wire.Publish](kept).Payload))
		q.send(&wire.Publish{Topic: "a/gone", Retain: true})
		require.Empty(t, receive[*wire.Publish](kept).Payload)
		close(hang)
		s.set(nil, nil)
		receive[*wire.Suback](kept)
		require.Equal(t, "a/same", receive[*wire.Publish](kept).Topic)
		kept.idle()
	})
}

func retainedNow(b *Broker, topic string) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	m := b.retained.topics.get(topic)
	if m == nil {
		return ""
	}
	return string(m.publish.Payload)
}

// Nobody can be told that a retained will was refused.
func TestARetainedWillIsTriedAgain(t *testing.T) {
	for _, expiry := range []uint32{0, 60} {
		moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
			connect := willing("c", 0, expiry)
			connect.Will.Retain = true
			c := mustJoin(t, b, wire.V5, connect)
			s.set(errors.New("broken"), nil)
			c.cut()
			advance(time.Minute / 2)
			s.set(nil, nil)
			advance(2 * time.Second)
			require.Equal(t, "gone", retainedNow(b, "will/c"))
			require.Len(t, recordsOf(t, s.Mem, records.RetainedKind), 1)
		})
	}
}

// The ledger holds what differs from the disk, not everything that ever did.
func TestAHangingDiskBoundsRetainedMessagesThatComeAndGo(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		hang := make(chan struct{})
		s.set(nil, hang)
		p := clean(t, b, "p")
		p.send(&wire.Publish{Topic: "first", Payload: []byte("1"), Retain: true})
		advance(time.Second)
		for i := range 100 {
			topic := fmt.Sprint("t/", i)
			p.send(&wire.Publish{Topic: topic, Payload: []byte("1"), Retain: true}, &wire.Publish{Topic: topic, Retain: true})
		}
		p.send(&wire.Publish{Topic: "first", Retain: true})
		synctest.Wait()
		b.mu.RLock()
		changes := len(b.changes.retained.changes)
		b.mu.RUnlock()
		require.Equal(t, 1, changes)
		close(hang)
		s.set(nil, nil)
		advance(time.Second)
		require.Empty(t, recordsOf(t, s.Mem, records.RetainedKind))
	})
}

// What is put back may find its place taken. A Store with more than the limits would be
// refused at the next start.
func TestWhatIsPutBackKeepsWithinTheLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &moody{Mem: store.Memory()}
		cfg := Config{Store: s, SubscriptionsPerClient: 2, RetainedBytes: 30}
		b, err := Open(cfg)
		require.NoError(t, err)
		c := mustJoin(t, b, wire.V5, durableConnect(wire.V5, "c"))
		c.subscribe(filter("a", 1), filter("b", 1))
		large := bytes.Repeat([]byte("x"), 20)
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1, Retain: true, Payload: large}))
		receiveAs(c)
		hang := make(chan struct{})
		s.set(errFull, hang)
		c.send(&wire.Unsubscribe{PacketID: 1, Filters: []string{"a"}})
		synctest.Wait() // is being committed
		c.send(&wire.Subscribe{PacketID: 2, Filters: []wire.SubscribeFilter{filter("c", 1)}})
		synctest.Wait()
		s.set(nil, nil)
		close(hang)
		receive[*wire.Unsuback](c)
		require.Equal(t, []wire.ReasonCode{1}, receive[*wire.Suback](c).ReasonCodes)

		hang = make(chan struct{})
		s.set(errFull, hang)
		p := clean(t, b, "p")
		p.send(&wire.Publish{Topic: "a", QoS: 1, PacketID: 1, Retain: true, Payload: []byte("x")})
		synctest.Wait()
		p.send(&wire.Publish{Topic: "z", QoS: 1, PacketID: 2, Retain: true, Payload: large})
		synctest.Wait()
		s.set(nil, nil)
		close(hang)
		require.Equal(t, wire.QuotaExceeded, receive[*wire.Puback](p).ReasonCode)
		require.Equal(t, wire.NoMatchingSubscribers, receive[*wire.Puback](p).ReasonCode)
		require.NoError(t, b.Close())
		b, err = Open(cfg)
		require.NoError(t, err)
		require.NoError(t, b.Close())
	})
}

// A message that is on its way to the disk when its retained copy is taken back is not
// acknowledged.
func TestWhatWasTakenBackIsNotAcknowledged(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		kept := mustJoin(t, b, wire.V5, durableConnect(wire.V5, "kept"))
		kept.subscribe(filter("a", 1))
		p := clean(t, b, "p")
		b.mu.RLock()
		cl := b.clients["kept"]
		b.mu.RUnlock()
		s.set(errFull, nil)
		cl.mu.Lock() // holds the publisher up before its message gets to the disk
		p.send(&wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 1, PacketID: 1, Retain: true})
		for retainedNow(b, "a") == "" {
			runtime.Gosched()
		}
		require.ErrorIs(t, b.Publish(&wire.Publish{Topic: "b", QoS: 1, Retain: true, Payload: []byte("y")}), wire.QuotaExceeded)
		s.set(nil, nil)
		cl.mu.Unlock()
		require.Equal(t, wire.QuotaExceeded, receive[*wire.Puback](p).ReasonCode)
		require.Empty(t, retainedNow(b, "a"))
		kept.idle()

		// A SUBSCRIBE with many filters lets others have their turn.
		c := mustJoin(t, b, wire.V5, durableConnect(wire.V5, "c"))
		b.mu.RLock()
		cl = b.clients["c"]
		b.mu.RUnlock()
		many := &wire.Subscribe{PacketID: 2}
		for i := range 2 * yieldAfter {
			many.Filters = append(many.Filters, filter(fmt.Sprint("f/", i), 1))
		}
		s.set(errFull, nil)
		c.send(many)
		for range 3 {
			_ = b.Publish(&wire.Publish{Topic: "b", QoS: 1, Retain: true, Payload: []byte("y")})
		}
		ack := receive[*wire.Suback](c)
		b.mu.RLock()
		have := len(cl.subscriptions)
		b.mu.RUnlock()
		granted := 0
		for _, code := range ack.ReasonCodes {
			if !code.Failed() {
				granted++
			}
		}
		require.LessOrEqual(t, granted, have)
		s.set(nil, nil)
	})
}
