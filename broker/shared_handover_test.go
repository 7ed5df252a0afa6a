package broker

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/wire"
)

// withAndWithoutStore calls f for a broker with a Store and for one without.
func withAndWithoutStore(t *testing.T, f func(t *testing.T, b *Broker)) {
	t.Helper()
	t.Run("no store", func(t *testing.T) { run(t, Config{}, f) })
	t.Run("store", func(t *testing.T) { run(t, Config{Store: store.Memory()}, f) })
}

// member connects a client that takes two messages at a time and subscribes.
func member(t *testing.T, b *Broker, id string, qos wire.QoS) *script {
	t.Helper()
	p := durableConnect(wire.V5, id)
	p.ReceiveMaximum = 2
	s, _ := join(t, b, wire.V5, p)
	s.subscribe(filter("$share/g/a", qos))
	return s
}

// share publishes messages with these QoS, numbered from 0.
func share(t *testing.T, b *Broker, qos ...wire.QoS) {
	t.Helper()
	for i, q := range qos {
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: fmt.Append(nil, i), QoS: q}))
	}
}

// gets takes messages, which have to be these, and acknowledges them.
func (s *script) gets(payloads ...string) {
	s.t.Helper()
	for _, payload := range payloads {
		p := receive[*wire.Publish](s)
		require.Equal(s.t, payload, string(p.Payload))
		require.False(s.t, p.Duplicate, "[MQTT-3.3.1-3]")
		switch p.QoS {
		case wire.AtLeastOnce:
			s.send(&wire.Puback{PacketID: p.PacketID})
		case wire.ExactlyOnce:
			s.send(&wire.Pubrec{PacketID: p.PacketID})
			s.want(&wire.Pubrel{PacketID: p.PacketID})
			s.send(&wire.Pubcomp{PacketID: p.PacketID})
		}
	}
}

// 4.8.2: what a member has not acknowledged at QoS 1 when its session ends, and what
// was not sent to it, goes to another one.
func TestWhatAMemberLeavesBehindGoesToTheOthers(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, b *Broker, s *script){
		"DISCONNECT": func(t *testing.T, b *Broker, s *script) {
			s.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
			s.closed()
		},
		"expiry": func(t *testing.T, b *Broker, s *script) {
			s.cut()
			advance(time.Minute)
		},
		"clean start": func(t *testing.T, b *Broker, s *script) {
			s.cut()
			clean(t, b, "goes")
		},
		"clean start while it is there": func(t *testing.T, b *Broker, s *script) { clean(t, b, "goes") },
		"released":                      func(t *testing.T, b *Broker, s *script) { require.True(t, b.Release("goes")) },
		"protocol error, then expiry": func(t *testing.T, b *Broker, s *script) {
			s.send(&wire.Puback{PacketID: 2}) // is QoS 2
			advance(61 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			withAndWithoutStore(t, func(t *testing.T, b *Broker) {
				goes := member(t, b, "goes", 2)
				share(t, b, 1, 2, 1, 2, 0, 1)
				require.Equal(t, "0", string(receive[*wire.Publish](goes).Payload))
				require.Equal(t, "1", string(receive[*wire.Publish](goes).Payload))
				stays := member(t, b, "stays", 2)
				leave(t, b, goes)
				// [MQTT-4.8.2-5] 1 was sent at QoS 2.
				var all []string
				for range 5 {
					p := receive[*wire.Publish](stays)
					all = append(all, string(p.Payload))
					if p.QoS == wire.AtLeastOnce {
						stays.send(&wire.Puback{PacketID: p.PacketID})
					} else if p.QoS == wire.ExactlyOnce {
						stays.send(&wire.Pubrec{PacketID: p.PacketID, ReasonCode: wire.QuotaExceeded}) // for short
					}
				}
				want := []string{"0", "2", "3", "4", "5"}
				if b.persistence.Stores() {
					want = []string{"4", "0", "2", "3", "5"} // QoS 0 does not wait for the disk
				}
				require.Equal(t, want, all)
				stays.idle()
				require.EqualValues(t, 1, b.Stats().Dropped)
			})
		})
	}
}

// [MQTT-3.10.4-3] what was sent is completed with the client that unsubscribes.
func TestAMemberThatUnsubscribesKeepsWhatWasSent(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, b *Broker) {
		goes := member(t, b, "goes", 2)
		share(t, b, 1, 2, 1, 2)
		one, two := receive[*wire.Publish](goes), receive[*wire.Publish](goes)
		stays := member(t, b, "stays", 1)
		goes.send(&wire.Unsubscribe{PacketID: 9, Filters: []string{"$share/g/a"}})
		require.Equal(t, wire.Success, receive[*wire.Unsuback](goes).ReasonCodes[0])
		stays.gets("2", "3")
		goes.send(&wire.Pubrec{PacketID: two.PacketID})
		goes.want(&wire.Pubrel{PacketID: two.PacketID})
		goes.idle()
		stays.idle()
		// The end of its session leaves the other one.
		goes.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		goes.closed()
		stays.gets(string(one.Payload))
		stays.idle()
		require.Zero(t, b.Stats().Dropped, "the client has the message of QoS 2")
		require.Equal(t, 0, b.Clients()[0].Waiting)
	})
}

func TestTheLastMemberThatUnsubscribesGetsWhatWaits(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, b *Broker) {
		s := member(t, b, "c", 1)
		share(t, b, 1, 1, 1)
		s.send(&wire.Unsubscribe{PacketID: 9, Filters: []string{"$share/g/a"}})
		one, two := receive[*wire.Publish](s), receive[*wire.Publish](s)
		receive[*wire.Unsuback](s)
		s.send(&wire.Puback{PacketID: one.PacketID}, &wire.Puback{PacketID: two.PacketID})
		s.gets("2")
		s.idle()
	})
}

func TestARenewedMembershipIsNone(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, b *Broker) {
		s, other := member(t, b, "c", 1), member(t, b, "other", 1)
		for range 3 {
			share(t, b, 1, 1)
		}
		one, two := receive[*wire.Publish](s), receive[*wire.Publish](s)
		s.subscribe(filter("$share/g/a", 2))
		receive[*wire.Publish](other)
		receive[*wire.Publish](other)
		other.idle()
		s.send(&wire.Puback{PacketID: one.PacketID}, &wire.Puback{PacketID: two.PacketID})
		receive[*wire.Publish](s)
	})
}

func TestWhereNobodyIsLeftMessagesAreCounted(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, b *Broker) {
		s := member(t, b, "c", 2)
		share(t, b, 1, 2, 2, 1)
		one, two := receive[*wire.Publish](s), receive[*wire.Publish](s)
		s.send(&wire.Puback{PacketID: one.PacketID}, &wire.Pubrec{PacketID: two.PacketID})
		s.want(&wire.Publish{Topic: "a", Payload: []byte("2"), QoS: 2, PacketID: 3}, &wire.Pubrel{PacketID: two.PacketID})
		s.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		s.closed()
		require.EqualValues(t, 2, b.Stats().Dropped)
		advance(time.Second)
	})
}

// [MQTT-4.8.2-3], and all else that a subscription says about its copies.
func TestAnHeirGetsItsOwnCopy(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, b *Broker) {
		goes := member(t, b, "goes", 1)
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 2, Retain: true,
			Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32(100)), ContentType: "t"}}))
		got := receive[*wire.Publish](goes)
		require.Equal(t, wire.AtLeastOnce, got.QoS)
		require.False(t, got.Retain)
		heir, _ := join(t, b, wire.V5, durableConnect(wire.V5, "heir"))
		heir.send(&wire.Subscribe{PacketID: 1, SubscriptionID: 7, Filters: []wire.SubscribeFilter{{Filter: "$share/g/a", QoS: 2, RetainAsPublished: true}}})
		receive[*wire.Suback](heir)
		advance(10 * time.Second)
		goes.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		goes.closed()
		got = receive[*wire.Publish](heir)
		require.Equal(t, wire.ExactlyOnce, got.QoS)
		require.True(t, got.Retain)
		require.Equal(t, []uint32{7}, got.Properties.SubscriptionIDs)
		require.Equal(t, uint32(90), *got.Properties.MessageExpiryInterval)
		require.Equal(t, "t", got.Properties.ContentType)
	})
}

// A member that is only away keeps what it has; new messages go to those who are there.
func TestAMemberThatIsAwayKeepsWhatItHas(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, b *Broker) {
		away := member(t, b, "away", 1)
		share(t, b, 1, 1, 1)
		receive[*wire.Publish](away)
		receive[*wire.Publish](away)
		there := member(t, b, "there", 1)
		away.cut()
		share(t, b, 1)
		there.gets("0")
		there.idle()
		away, _ = join(t, b, wire.V5, durableConnect(wire.V5, "away"))
		for _, want := range []string{"0", "1", "2"} {
			require.Equal(t, want, string(receive[*wire.Publish](away).Payload))
		}
	})
}

func TestHeirsThatAreAway(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, b *Broker) {
		goes := member(t, b, "goes", 1)
		share(t, b, 1, 1, 1)
		zero, heir := member(t, b, "zero", 0), member(t, b, "heir", 1)
		zero.cut()
		heir.cut()
		goes.cut()
		clean(t, b, "goes")
		heir, _ = join(t, b, wire.V5, durableConnect(wire.V5, "heir"))
		heir.gets("0", "1", "2")
		heir.cut()
		share(t, b, 1, 1) // nor does the turn of one at QoS 0 lose any
		heir, _ = join(t, b, wire.V5, durableConnect(wire.V5, "heir"))
		heir.gets("0", "1")
	})
}

func TestAMemberWithoutRoomIsPassedOver(t *testing.T) {
	for _, s := range []store.Store{nil, store.Memory()} {
		run(t, Config{QueuedMessages: 3, Store: s}, func(t *testing.T, b *Broker) {
			full := member(t, b, "full", 1)
			share(t, b, 1, 1, 1)
			free := member(t, b, "free", 1)
			share(t, b, 1, 1)
			free.gets("0", "1")
			require.Zero(t, b.Stats().Dropped)
			free.cut()
			share(t, b, 1, 1, 1)
			require.Zero(t, b.Stats().Dropped)
			share(t, b, 1)
			require.EqualValues(t, 1, b.Stats().Dropped)
			full.cut()
			full = clean(t, b, "full")
			require.EqualValues(t, 4, b.Stats().Dropped, "nobody has room")
			full.idle()
		})
	}
}

// The message may be on its way to a member when that leaves.
func TestAMessageThatMeetsAMemberLeaving(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, b *Broker) {
		goes := member(t, b, "goes", 1)
		goes.cut()
		stays := member(t, b, "stays", 1)
		stays.cut()
		for _, leaves := range []string{"goes", "stays"} {
			var r router
			b.mu.Lock()
			for r.targets == nil || r.targets[0].client.id != leaves {
				r.targets = append(r.targets[:0], b.groups["$share/g/a"].pickLocked().target(&message{}))
			}
			cl := b.clients[leaves]
			cl.mu.Lock()
			b.cancelAlarmLocked(cl)
			b.endSessionLocked(cl)
			cl.mu.Unlock()
			b.mu.Unlock()
			m := newMessage(&wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 1}, "", time.Now())
			lost := r.deliver(m, time.Now())
			require.Len(t, lost, 1)
			p := newPublication(publisher{}, wire.Success)
			waits := b.passOn(lost, &r, time.Now(), p)
			require.Equal(t, b.persistence.Stores() && leaves == "goes", waits)
			synctest.Wait()
			require.Equal(t, waits, len(p.answered) == 1)
			if leaves == "goes" {
				require.Equal(t, 1, b.Clients()[0].Waiting)
			}
		}
		require.EqualValues(t, 2, b.Stats().Dropped)
	})
}

// The publisher hears of its message when that is durable with the member that gets it
// in the end, and a crash in between loses nothing.
func TestAMemberLeavesWhileTheDiskIsSlow(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		goes, stays := member(t, b, "goes", 1), member(t, b, "stays", 1)
		stays.cut()
		p := clean(t, b, "p")
		hang := make(chan struct{})
		s.set(nil, hang)
		p.send(&wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 1, PacketID: 5})
		synctest.Wait()
		goes.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		goes.closed()
		p.idle()
		s.set(nil, nil)
		close(hang)
		p.want(&wire.Puback{PacketID: 5})
		left := recordsOf(t, s.Mem, records.QueuedKind)
		require.Len(t, left, 1)
		stays = resume(t, b, wire.V5, "stays")
		stays.gets("x")
		advance(time.Second)
		require.Empty(t, recordsOf(t, s.Mem, records.MessageKind))
	})
}

// The session may be gone from the disk before its messages are with somebody else.
func TestWhatWasNotPassedOnIsAtTheNextStart(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		goes := member(t, w.broker, "goes", 2)
		share(t, w.broker, 1, 2, 1, 2)
		receive[*wire.Publish](goes)
		receive[*wire.Publish](goes)
		stays := member(t, w.broker, "stays", 2)
		stays.cut()
		w.broker.mu.RLock()
		number := w.broker.clients["goes"].number
		w.broker.mu.RUnlock()
		goes.cut()
		w.broker.Close()
		require.NoError(t, w.memory.Commit([]store.Op{records.Deletion(records.SessionKey(number))}))
		b := w.kill()
		require.Equal(t, 1, b.Stats().Sessions)
		require.EqualValues(t, 1, b.Stats().Dropped, "1 was sent at QoS 2")
		fresh := clean(t, b, "fresh")
		b.mu.RLock()
		require.Greater(t, b.clients["fresh"].number, number)
		b.mu.RUnlock()
		fresh.cut()
		stays = resume(t, b, wire.V5, "stays")
		stays.gets("0", "2", "3")
		advance(time.Second)
		require.Zero(t, w.records(records.MessageKind, records.QueuedKind))
	})
}

// Without another member they are removed, as all that belongs to nobody.
func TestWhatNobodyIsThereForAtTheNextStartIsRemoved(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		goes := member(t, w.broker, "goes", 1)
		goes.cut()
		share(t, w.broker, 1, 1)
		w.broker.mu.RLock()
		number := w.broker.clients["goes"].number
		w.broker.mu.RUnlock()
		w.broker.Close()
		require.NoError(t, w.memory.Commit([]store.Op{records.Deletion(records.SessionKey(number))}))
		b := w.kill()
		require.EqualValues(t, 2, b.Stats().Dropped)
		advance(time.Second)
		require.Zero(t, w.records(records.MessageKind, records.QueuedKind, records.SubscriptionKind))
	})
}

// Members that go with the broker leave their messages to those whose sessions stay.
func TestTheEndOfTheBrokerIsTheEndOfPassingMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.Memory()
		b := New(Config{Store: m})
		stays := member(t, b, "stays", 1)
		passing := clean(t, b, "passing")
		passing.subscribe(filter("$share/g/a", 1))
		stays.cut()
		share(t, b, 1, 1, 1)
		require.NoError(t, b.Close())
		b = New(Config{Store: m})
		stays = resume(t, b, wire.V5, "stays")
		stays.gets("0", "1", "2")
		require.NoError(t, b.Close())
	})
}

// A disk that takes nothing delays the messages, and only those.
func TestAFullDiskDelaysWhatIsPassedOn(t *testing.T) {
	moodily(t, func(t *testing.T, b *Broker, s *moody, _ *bytes.Buffer) {
		goes, stays := member(t, b, "goes", 1), member(t, b, "stays", 1)
		stays.cut()
		share(t, b, 1, 1, 1)
		receive[*wire.Publish](goes)
		receive[*wire.Publish](goes)
		stays = resume(t, b, wire.V5, "stays")
		passing := clean(t, b, "passing")
		passing.subscribe(filter("$share/h/b", 1))
		s.removes = true
		s.set(errFull, nil)
		goes.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		goes.closed()
		advance(10 * time.Second)
		stays.idle()
		require.NoError(t, b.Publish(&wire.Publish{Topic: "b", QoS: 1}))
		receive[*wire.Publish](passing)
		require.Len(t, recordsOf(t, s.Mem, records.QueuedKind), 3, "they are not removed before they are elsewhere")
		s.set(nil, nil)
		advance(2 * time.Second)
		stays.gets("0", "1", "2")
	})
}

// A QoS 2 message of a client that has begun anew is not taken for the one of before,
// also after a crash.
func TestARestoredIdentifierTellsMessagesApart(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		reader := mustJoin(t, w.broker, wire.V5, durableConnect(wire.V5, "reader"))
		reader.subscribe(filter("a", 2))
		p := mustJoin(t, w.broker, wire.V311, durableConnect(wire.V311, "p"))
		p.send(&wire.Publish{Topic: "a", Payload: []byte("old"), QoS: 2, PacketID: 1})
		receive[*wire.Pubrec](p)
		reader.gets("old")
		advance(time.Second)
		b := w.kill()
		reader = resume(t, b, wire.V5, "reader")
		p = resume(t, b, wire.V311, "p")
		p.send(&wire.Publish{Topic: "a", Payload: []byte("new"), QoS: 2, PacketID: 1})
		receive[*wire.Pubrec](p)
		reader.gets("new")
		advance(time.Second)
		require.Equal(t, 1, w.records(records.IdentifierKind))
		b = w.kill()
		reader = resume(t, b, wire.V5, "reader")
		p = resume(t, b, wire.V311, "p")
		p.send(&wire.Publish{Topic: "a", Payload: []byte("new"), QoS: 2, PacketID: 1})
		receive[*wire.Pubrec](p)
		reader.idle()
		p.send(&wire.Pubrel{PacketID: 1})
		receive[*wire.Pubcomp](p)
		require.Zero(t, w.records(records.IdentifierKind))
	})
}

// Without an expiry interval the session ends with the connection, however that ends.
func TestAPassingMemberThatIsCutLeavesItsMessages(t *testing.T) {
	withAndWithoutStore(t, func(t *testing.T, b *Broker) {
		stays, passing := clean(t, b, "stays"), clean(t, b, "passing")
		passing.subscribe(filter("$share/g/a", 1))
		share(t, b, 1, 1)
		receive[*wire.Publish](passing)
		receive[*wire.Publish](passing)
		stays.subscribe(filter("$share/g/a", 2))
		passing.cut()
		stays.gets("0", "1")
		stays.idle()
	})
}
