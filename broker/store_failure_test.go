package broker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// moody is a Store that fails or hangs when told so.
type moody struct {
	*store.Mem
	mu      sync.Mutex
	err     error
	hang    chan struct{} // nil: does not hang
	removes bool          // still takes removals, if there is nothing else
}

func (s *moody) set(err error, hang chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.hang = err, hang
}

func (s *moody) Commit(ops []store.Op) error {
	s.mu.Lock()
	err, hang := s.err, s.hang
	if s.removes && !slices.ContainsFunc(ops, func(op store.Op) bool { return !op.Delete }) {
		err = nil
	}
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
		kept, _ := join(t, b, wire.V5, durableConnect(wire.V5, "kept"))
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
			c.send(durableConnect(v, "new"))
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
		kept, _ := join(t, b, wire.V5, durableConnect(wire.V5, "kept"))
		kept.subscribe(filter("a", 2))
		p, _ := join(t, b, wire.V5, durableConnect(wire.V5, "p"))
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
		require.Len(t, recordsOf(t, s.Mem, records.RetainedKind), 1)
	})
}

func recordsOf(t *testing.T, m *store.Mem, kind records.Kind) (keys []string) {
	t.Helper()
	for record, err := range m.Scan(kind.Prefix()) {
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

// A full Store can be emptied by those who take messages from it, however many try to
// add to it meanwhile.
func TestAFullDiskCanBeEmptied(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		s.removes = true
		kept, _ := join(t, b, wire.V5, durableConnect(wire.V5, "kept"))
		kept.subscribe(filter("a", 2))
		p, _ := join(t, b, wire.V5, durableConnect(wire.V5, "p"))
		durably(p, &wire.Publish{Topic: "a", QoS: 1})
		p.send(&wire.Publish{Topic: "a", QoS: 2, PacketID: 1})
		receive[*wire.Pubrec](p)
		one, two := receive[*wire.Publish](kept), receive[*wire.Publish](kept)
		s.set(errFull, nil)
		kept.send(&wire.Puback{PacketID: one.PacketID})
		kept.send(&wire.Pubrec{PacketID: two.PacketID}) // has to be set
		synctest.Wait()                                 // both are on their way to the disk
		p.send(&wire.Pubrel{PacketID: 1}, &wire.Publish{Topic: "a", QoS: 1, PacketID: 2})
		var answers []wire.Packet
		for range 2 {
			answer, err := p.next()
			require.NoError(t, err)
			answers = append(answers, answer)
		}
		require.ElementsMatch(t, []wire.Packet{
			&wire.Puback{PacketID: 2, ReasonCode: wire.QuotaExceeded, ReasonString: storeFailed}, &wire.Pubcomp{PacketID: 1},
		}, answers)
		require.Len(t, recordsOf(t, s.Mem, records.MessageKind), 1)
		require.Empty(t, recordsOf(t, s.Mem, records.IdentifierKind))
		kept.idle()
		s.set(nil, nil)
		advance(2 * time.Second)
		kept.want(&wire.Pubrel{PacketID: two.PacketID})
		kept.send(&wire.Pubcomp{PacketID: two.PacketID})
		advance(time.Second)
		require.Empty(t, recordsOf(t, s.Mem, records.QueuedKind))
	})
}
