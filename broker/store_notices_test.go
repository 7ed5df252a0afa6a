package broker

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

func TestObserversAreToldWhatIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &moody{Mem: store.Memory()}
		var seen []string
		b, err := Open(Config{Store: s, Observers: []Observer{ObserverFunc(func(e Event) {
			switch e := e.(type) {
			case Published:
				from := "program"
				if e.Peer != nil {
					from = e.Peer.ClientID
				}
				seen = append(seen, fmt.Sprintf("%s: %s: %v", from, e.Message.Payload, e.ReasonCode))
			case Subscribed, Unsubscribed:
				seen = append(seen, fmt.Sprintf("%T", e))
			}
		})}})
		require.NoError(t, err)
		c, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		c.subscribe(filter("a", 1))
		hang := make(chan struct{})
		s.set(nil, hang)
		c.send(&wire.Publish{Topic: "a", Payload: []byte("one"), QoS: 1, PacketID: 1})
		advance(time.Second)
		require.Len(t, seen, 1)
		close(hang)
		s.set(errFull, nil)
		receive[*wire.Publish](c)
		receive[*wire.Puback](c)
		c.send(&wire.Publish{Topic: "a", Payload: []byte("two"), QoS: 1, PacketID: 2})
		receive[*wire.Puback](c)
		s.set(nil, nil)
		synctest.Wait()
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: []byte("three"), QoS: 1}))
		c.send(&wire.Unsubscribe{PacketID: 9, Filters: []string{"a"}})
		synctest.Wait()
		require.NoError(t, b.Close())
		require.Equal(t, []string{
			"broker.Subscribed", "c: one: success (0x00)", "c: two: quota exceeded (0x97)",
			"program: three: success (0x00)", "broker.Unsubscribed",
		}, seen)
	})
}

// An observer may publish durably itself, and a slow one holds up its publishers, not
// the memory.
func TestAnObserverMayPublishAndBeSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *Broker
		slow := make(chan struct{})
		b, err := Open(Config{Store: store.Memory(), Observers: []Observer{ObserverFunc(func(e Event) {
			if p, ok := e.(Published); ok && p.Message.Topic == "a" {
				<-slow
				if err := b.Publish(&wire.Publish{Topic: "copy", QoS: 1}); err != nil {
					panic(err)
				}
			}
		})}})
		require.NoError(t, err)
		c, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		c.subscribe(filter("copy", 1), filter("a", 1))
		p := clean(t, b, "p")
		payload := bytes.Repeat([]byte{1}, 1<<20)
		var all []byte
		for i := range 8 {
			all, err = (&wire.Publish{Topic: "a", Payload: payload, QoS: 1, PacketID: uint16(i + 1)}).Append(all, wire.V5)
			require.NoError(t, err)
		}
		go p.net.Write(all) // waits for the observer, in the end
		synctest.Wait()
		require.Less(t, b.persistence.Bytes(), 6<<20)
		close(slow)
		copies := 0
		for copies < 8 {
			if receiveAs(c).Topic == "copy" {
				copies++
			}
		}
		require.NoError(t, b.Close())
		require.Zero(t, b.persistence.Bytes())
	})
}

func TestTheProgramsMessageIsDurableWhenPublishReturns(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		s, _ := join(t, w.broker, wire.V5, durableConnect(wire.V5, "s"))
		s.subscribe(filter("a", 1))
		require.NoError(t, w.broker.Publish(&wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 1}))
		require.Equal(t, "x", string(receiveAs(resume(t, w.kill(), wire.V5, "s")).Payload))
		bad := &wire.PublishProperties{ContentType: "\xff"}
		require.Error(t, w.broker.Publish(&wire.Publish{Topic: "a", QoS: 1, Properties: bad}))
		require.Error(t, w.broker.Publish(&wire.Publish{Topic: "a", Retain: true, Properties: bad}))
	})
}

func TestPublishEndsWithTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &moody{Mem: store.Memory()}
		b, err := Open(Config{Store: s})
		require.NoError(t, err)
		c, _ := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
		c.subscribe(filter("a", 1))
		hang := make(chan struct{})
		s.set(nil, hang)
		ended := make(chan error, 1)
		go func() { ended <- b.Publish(&wire.Publish{Topic: "a", QoS: 1}) }()
		synctest.Wait()
		require.NoError(t, b.Close())
		require.ErrorIs(t, <-ended, ErrClosed)
		close(hang)
	})
}

// Several sessions finish with a message at the same time. Its record goes when their
// places in the queues have gone, or a crash would leave a place without message.
func TestAMessageGoesAfterItsPlaces(t *testing.T) {
	written := &recording{Mem: store.Memory()}
	h := new(hub)
	h.changes.hub, h.hooks = h, hooks{cfg: &h.cfg, counts: &h.counts}
	p := h.newPersistence(written)
	stored := &storedMessage{number: 1}
	stored.copies.Store(8)
	var sessions sync.WaitGroup
	for i := range uint64(8) {
		e := &queueEntry{slot: &slot{stored: stored, session: i}}
		sessions.Go(func() { p.remove(e.slot) })
	}
	sessions.Wait()
	p.start()
	require.NoError(t, p.stop(t.Context()))
	require.Equal(t, records.MessageKind, written.kinds[8])
	require.Len(t, written.kinds, 9)
}

// recording notes what kinds of records it is given.
type recording struct {
	*store.Mem
	kinds []records.Kind
}

func (r *recording) Commit(ops []store.Op) error {
	for _, op := range ops {
		r.kinds = append(r.kinds, records.Kind(op.Key[1]))
	}
	return r.Mem.Commit(ops)
}
