package broker

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/journal"
	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/wire"
)

// answered is a request and what holds from its answer on. Before the answer either
// what held before or this may be found.
type answered struct {
	request wire.Packet
	holds   func(s *state)
}

// state is what a broker shows of itself.
type state struct {
	filters  map[string]wire.QoS
	retained map[string]string
	sessions int
}

func stateOf(b *Broker) state {
	s := state{filters: map[string]wire.QoS{}, retained: map[string]string{}, sessions: b.Stats().Sessions}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if cl := b.clients["c"]; cl != nil {
		for filter, sub := range cl.subscriptions {
			s.filters[filter] = sub.qos
		}
	}
	for m := range b.retained.topics.From("") {
		s.retained[m.publish.Topic] = string(m.publish.Payload)
	}
	return s
}

// What was answered is there after a crash at any Commit, and what was not is there
// or not as a whole.
func TestWhatIsAnsweredHoldsWhereverTheBrokerCrashes(t *testing.T) {
	retained := func(id uint16, payload string) answered {
		return answered{&wire.Publish{Topic: "r", Payload: []byte(payload), QoS: 1, PacketID: id, Retain: true}, func(s *state) {
			if s.retained["r"] = payload; payload == "" {
				delete(s.retained, "r")
			}
		}}
	}
	subscribed := func(id uint16, filter string, qos wire.QoS) answered {
		return answered{&wire.Subscribe{PacketID: id, Filters: []wire.SubscribeFilter{{Filter: filter, QoS: qos}}}, func(s *state) { s.filters[filter] = qos }}
	}
	exchanges := []answered{
		{durableConnect(wire.V5, "c"), func(s *state) { s.sessions = 1 }},
		subscribed(1, "a", 1),
		retained(2, "one"),
		subscribed(3, "b/#", 2),
		subscribed(4, "a", 0),
		retained(5, "two"),
		{&wire.Unsubscribe{PacketID: 6, Filters: []string{"b/#"}}, func(s *state) { delete(s.filters, "b/#") }},
		retained(7, ""),
		subscribed(8, "$share/g/b", 1),
	}
	crashesAt(t, func(t *testing.T, c crash) bool {
		w := newWorld(t, c)
		held := state{filters: map[string]wire.QoS{}, retained: map[string]string{}}
		s := dial(t, w.broker, wire.V5)
		next := 0
		for ; next < len(exchanges); next++ {
			s.send(exchanges[next].request)
			if _, err := s.next(); err != nil {
				break
			}
			exchanges[next].holds(&held)
		}
		advance(journal.LazyDelay)
		crashed := w.hasCrashed()
		require.False(t, next < len(exchanges) && !crashed, "no answer")
		allowed := []state{held}
		if next < len(exchanges) {
			after := state{filters: map[string]wire.QoS{}, retained: map[string]string{}, sessions: held.sessions}
			for _, p := range exchanges[:next+1] {
				p.holds(&after)
			}
			allowed = append(allowed, after)
		}
		require.Contains(t, allowed, stateOf(w.kill()), fmt.Sprint("after ", next, " answers"))
		return crashed
	})
}

// Of two publishers, a session that ends, and one that begins: the one that is answered
// first is there after a crash, whatever shares the Commit.
func TestTasksThatShareACommitSurviveTogether(t *testing.T) {
	crashesAt(t, func(t *testing.T, c crash) bool {
		w := newWorld(t, c)
		sub := w.actor(wire.V5, "sub", filter("#", 2))
		w.until(crash{}, func() bool { return sub.filters == nil })
		var publishers []*actor
		for i := range 4 {
			p := w.actor([]wire.Version{wire.V311, wire.V5}[i%2], fmt.Sprint("p", i))
			publishers = append(publishers, p)
			for n := range 3 {
				p.publish(wire.Publish{Topic: fmt.Sprint("t/", i), Payload: fmt.Append(nil, n), QoS: 2, Retain: n == 1})
			}
		}
		w.until(crash{}, func() bool {
			for _, p := range publishers {
				if len(p.done) < 3 {
					return false
				}
			}
			return len(sub.got) >= 12
		})
		synctest.Wait()
		next := map[string]int{}
		for _, p := range sub.got {
			require.Equal(t, fmt.Sprint(next[p.Topic]), string(p.Payload), p.Topic)
			next[p.Topic]++
		}
		require.Len(t, sub.got, 12)
		return w.crashes > 0
	})
}

func TestManyConnectionsFightForOneDurableSession(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		const rivals = 20
		scripts := make([]*script, rivals)
		for i := range scripts {
			scripts[i] = dial(t, w.broker, wire.V5)
			scripts[i].send(&wire.Connect{ClientID: "c", CleanStart: i%2 == 0, SessionExpiryInterval: uint32(i % 3 * 60)})
		}
		synctest.Wait()
		var alive []*script
		for _, s := range scripts {
			// Who has lost the session before CONNACK could be sent gets none.
			if p, err := s.next(); err != nil {
				require.ErrorIs(t, err, io.EOF)
				continue
			} else if p.(*wire.Connack).ReasonCode.Failed() {
				t.Fatal(p)
			}
			if p, err := s.next(); err == nil {
				require.Equal(t, &wire.Disconnect{ReasonCode: wire.SessionTakenOver}, p)
				s.closed()
			} else {
				alive = append(alive, s)
			}
		}
		require.Len(t, alive, 1)
		alive[0].send(&wire.Pingreq{})
		alive[0].want(&wire.Pingresp{})
		require.Equal(t, 1, w.broker.Stats().Sessions)
		// One that was kept before has its record until it ends with its connection.
		alive[0].cut()
		advance(time.Second)
		require.Equal(t, w.broker.Stats().Sessions, w.records(records.SessionKind))
	})
}
