package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// moody is a Store that fails or hangs when told so.
type moody struct {
	*store.Mem
	mu   sync.Mutex
	err  error
	hang chan struct{} // nil: does not hang
}

func (s *moody) set(err error, hang chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.hang = err, hang
}

func (s *moody) Commit(ops []store.Op) error {
	s.mu.Lock()
	err, hang := s.err, s.hang
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if err != nil {
		return err
	}
	return s.Mem.Commit(ops)
}

func moodily(t *testing.T, f func(t *testing.T, b *Broker, s *moody, log *bytes.Buffer)) {
	t.Helper()
	log := new(bytes.Buffer)
	s := &moody{Mem: store.Memory()}
	run(t, Config{Store: s, Logger: slog.New(slog.NewTextHandler(log, nil))}, func(t *testing.T, b *Broker) { f(t, b, s, log) })
}

var errFull = fmt.Errorf("write: %w", syscall.ENOSPC)

func TestAFullDiskRefusesWhatItCanNotTake(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, log *bytes.Buffer) {
		kept, _ := join(t, b, wire.V5, lasting(wire.V5, "kept"))
		kept.subscribe(filter("a", 2))
		other := clean(t, b, "other")
		other.subscribe(filter("#", 1))
		p, p3 := clean(t, b, "p"), mustJoin(t, b, wire.V311, &wire.Connect{ClientID: "p3", CleanStart: true})

		s.set(errFull, nil)
		p.send(&wire.Publish{Topic: "a", Payload: []byte("1"), QoS: 1, PacketID: 1})
		p.want(&wire.Puback{PacketID: 1, ReasonCode: wire.QuotaExceeded, ReasonString: storeFailed})
		p.send(&wire.Publish{Topic: "a", Payload: []byte("2"), QoS: 2, PacketID: 2})
		p.want(&wire.Pubrec{PacketID: 2, ReasonCode: wire.QuotaExceeded, ReasonString: storeFailed})
		p.send(&wire.Publish{Topic: "a", Payload: []byte("r"), QoS: 1, PacketID: 3, Retain: true})
		require.Equal(t, wire.QuotaExceeded, receive[*wire.Puback](p).ReasonCode)
		require.Zero(t, b.Stats().Retained, "refused")
		p3.send(&wire.Publish{Topic: "a", Payload: []byte("3"), QoS: 1, PacketID: 3})
		p3.closed()
		require.ErrorIs(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1}), wire.QuotaExceeded)

		kept.send(&wire.Subscribe{PacketID: 9, Filters: []wire.SubscribeFilter{filter("b", 1), filter("a", 0)}})
		require.Equal(t, []wire.ReasonCode{wire.QuotaExceeded, wire.QuotaExceeded}, receive[*wire.Suback](kept).ReasonCodes)
		kept.send(&wire.Unsubscribe{PacketID: 9, Filters: []string{"a", "x"}})
		require.Equal(t, []wire.ReasonCode{wire.ImplementationSpecificError, wire.NoSubscriptionExisted}, receive[*wire.Unsuback](kept).ReasonCodes)
		for v, code := range map[wire.Version]wire.ReasonCode{wire.V5: wire.QuotaExceeded, wire.V311: wire.ServerUnavailable} {
			c := dial(t, b, v)
			c.send(lasting(v, "new"))
			require.Equal(t, code, receive[*wire.Connack](c).ReasonCode)
			c.closed()
		}
		require.Equal(t, 3, b.Stats().Sessions)
		// What needs no disk goes on.
		publishAs(p, "a", "zero", 0)
		require.Equal(t, "zero", string(receive[*wire.Publish](kept).Payload))
		publishAs(p, "c", "one", 1)
		require.Equal(t, "zero", string(receive[*wire.Publish](other).Payload))
		require.Equal(t, "one", string(receive[*wire.Publish](other).Payload))
		other.idle()
		require.NotZero(t, b.Stats().CommitErrors)

		s.set(nil, nil)
		durably(p, &wire.Publish{Topic: "a", Payload: []byte("4"), QoS: 2})
		got := receive[*wire.Publish](kept)
		require.Equal(t, "4", string(got.Payload))
		require.Equal(t, wire.ExactlyOnce, got.QoS, "the subscription is what it was")
		require.Equal(t, "4", string(receive[*wire.Publish](other).Payload))
		require.Equal(t, 1, strings.Count(log.String(), "store failed"))
		require.Equal(t, 1, strings.Count(log.String(), "store works again"))
	})
}

func mustJoin(t *testing.T, b *Broker, v wire.Version, p *wire.Connect) *script {
	t.Helper()
	s, _ := join(t, b, v, p)
	return s
}

func TestAFullDiskOnlyDelaysWhatNobodyCanBeTold(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		kept, _ := join(t, b, wire.V5, lasting(wire.V5, "kept"))
		kept.subscribe(filter("a", 2))
		p, _ := join(t, b, wire.V5, lasting(wire.V5, "p"))
		p.send(&wire.Publish{Topic: "a", QoS: 2, PacketID: 1})
		receive[*wire.Pubrec](p)
		got := receive[*wire.Publish](kept)
		clean(t, b, "q").send(&wire.Publish{Topic: "r", Payload: []byte("0"), Retain: true})

		s.set(errors.New("broken"), nil)
		p.send(&wire.Pubrel{PacketID: 1}, &wire.Pingreq{})
		p.want(&wire.Pingresp{})
		kept.send(&wire.Pubrec{PacketID: got.PacketID}, &wire.Pingreq{})
		kept.want(&wire.Pingresp{})
		p.idle()
		kept.idle()
		advance(time.Minute)
		s.set(nil, nil)
		advance(2 * time.Second)
		p.want(&wire.Pubcomp{PacketID: 1})
		kept.want(&wire.Pubrel{PacketID: got.PacketID})
		require.Equal(t, 1, b.Stats().Retained)
		require.Len(t, recordsOf(t, s.Mem, retainedRecord), 1)
	})
}

func recordsOf(t *testing.T, m *store.Mem, kind recordKind) (keys []string) {
	t.Helper()
	for record, err := range m.Scan(recordKey(kind)) {
		require.NoError(t, err)
		keys = append(keys, string(record.Key))
	}
	return keys
}

func TestARefusedResumptionLeavesTheSessionAsItWas(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		watcher := clean(t, b, "watcher")
		watcher.subscribe(filter("will/#", 0))
		c, _ := join(t, b, wire.V5, willing("c", 20, 60))
		c.subscribe(filter("a", 1))
		c.cut()
		advance(10 * time.Second)
		s.set(errFull, nil)
		again := dial(t, b, wire.V5)
		again.send(willing("c", 0, 600))
		require.Equal(t, wire.QuotaExceeded, receive[*wire.Connack](again).ReasonCode)
		again.closed()
		s.set(nil, nil)
		advance(9 * time.Second)
		watcher.idle()
		advance(time.Second)
		require.Equal(t, "will/c", receive[*wire.Publish](watcher).Topic)
		require.Equal(t, 1, b.Stats().Subscriptions-1)
		advance(40 * time.Second)
		require.Equal(t, 1, b.Stats().Sessions, "a minute after the client went")
	})
}

func TestAHangingDiskHoldsUpNobodyElse(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		kept, _ := join(t, b, wire.V5, lasting(wire.V5, "kept"))
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
		c.send(lasting(wire.V5, "new"))
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
		require.Len(t, recordsOf(t, s.Mem, sessionRecord), 1)
	})
}

func TestAHangingDiskBoundsItsPublishers(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		kept, _ := join(t, b, wire.V5, lasting(wire.V5, "kept"))
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
		b.disk.mu.Lock()
		gathered := b.disk.bytes
		b.disk.mu.Unlock()
		require.Greater(t, gathered, shareMaximum)
		require.Less(t, gathered, shareMaximum+256<<10)
		// Somebody else has a share, too.
		q := clean(t, b, "q")
		q.send(&wire.Publish{Topic: "a", QoS: 1, PacketID: 1}, &wire.Pingreq{})
		q.want(&wire.Pingresp{})
		p.net.Close()
		close(hang)
		s.set(nil, nil)
		q.want(&wire.Puback{PacketID: 1})
		synctest.Wait()
		require.Zero(t, b.disk.bytes)
	})
}

func TestShutdownHasABoundWithAHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &moody{Mem: store.Memory()}
		b, err := Open(Config{Store: s})
		require.NoError(t, err)
		kept, _ := join(t, b, wire.V5, lasting(wire.V5, "kept"))
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
		s, ack := join(t, b, wire.V5, lasting(wire.V5, "c"))
		require.True(t, ack.SessionPresent)
		require.Equal(t, "will/c", receiveAs(s).Topic)
		require.NoError(t, b.Close())
		require.NoError(t, m.Commit(nil), "it belongs to the caller")
	})
}
