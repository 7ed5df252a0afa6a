package broker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker/internal/records"
	"github.com/seed65a45251/mqtt/wire"
)

// survives calls f with a world whose broker does not crash on its own.
func survives(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t, crash{})) })
}

// kill ends the broker in the middle of whatever it does and starts the next one.
func (w *world) kill() *Broker {
	synctest.Wait()
	w.restart(crash{})
	return w.broker
}

// durably publishes and waits for the acknowledgement.
func durably(s *script, p *wire.Publish) {
	s.t.Helper()
	p.PacketID = 77
	s.send(p)
	if p.QoS == wire.AtLeastOnce {
		require.False(s.t, receive[*wire.Puback](s).ReasonCode.Failed())
		return
	}
	require.False(s.t, receive[*wire.Pubrec](s).ReasonCode.Failed())
	s.send(&wire.Pubrel{PacketID: 77})
	require.Equal(s.t, wire.Success, receive[*wire.Pubcomp](s).ReasonCode)
}

func resume(t *testing.T, b *Broker, v wire.Version, id string) *script {
	t.Helper()
	s, ack := join(t, b, v, durableConnect(v, id))
	if v != wire.V31 {
		require.True(t, ack.SessionPresent)
	}
	return s
}

func TestSubscriptionsSurviveWithTheirOptions(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		s, _ := join(t, w.broker, wire.V5, durableConnect(wire.V5, "c"))
		s.send(&wire.Subscribe{PacketID: 1, SubscriptionID: 7, Filters: []wire.SubscribeFilter{
			{Filter: "a/+", QoS: 1, RetainAsPublished: true, RetainHandling: wire.DontSendRetained},
		}})
		receive[*wire.Suback](s)
		s.send(&wire.Subscribe{PacketID: 2, SubscriptionID: 300, Filters: []wire.SubscribeFilter{{Filter: "a/#", QoS: 2, NoLocal: true}, {Filter: "gone", QoS: 0}}})
		receive[*wire.Suback](s)
		s.send(&wire.Unsubscribe{PacketID: 3, Filters: []string{"gone"}})
		receive[*wire.Unsuback](s)

		b := w.kill()
		require.Equal(t, 2, b.Stats().Subscriptions)
		require.Equal(t, 1, b.Stats().Durable)
		s = resume(t, b, wire.V5, "c")
		s.send(&wire.Publish{Topic: "a/b", QoS: 1, Retain: true, Payload: []byte("x"), PacketID: 9})
		var p *wire.Publish
		for range 2 {
			got, err := s.next()
			require.NoError(t, err)
			if q, ok := got.(*wire.Publish); ok {
				p = q
			}
		}
		require.True(t, p.Retain)
		require.Equal(t, []uint32{7}, p.Properties.SubscriptionIDs, "no local")
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a/b", QoS: 2}))
		require.ElementsMatch(t, []uint32{7, 300}, receive[*wire.Publish](s).Properties.SubscriptionIDs)
	})
}

func TestSharedSubscriptionsSurvive(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		for _, id := range []string{"one", "two"} {
			s, _ := join(t, w.broker, wire.V5, durableConnect(wire.V5, id))
			s.subscribe(filter("$share/g/a", 1))
		}
		old, _ := join(t, w.broker, wire.V311, durableConnect(wire.V311, "old"))
		old.subscribe(filter("$share/g/a", 1)) // before 5.0 that is nothing special
		b := w.kill()
		for range 4 {
			require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1}))
		}
		for _, info := range b.Clients() {
			want := 2
			if info.Peer.ClientID == "old" {
				want = 0
			}
			require.Equal(t, want, info.Waiting, info.Peer.ClientID)
		}
		b = w.kill()
		for _, id := range []string{"one", "two"} {
			s := resume(t, b, wire.V5, id)
			receiveAs(s)
			receiveAs(s)
		}
	})
}

func TestOpenExchangesSurvive(t *testing.T) {
	for _, v := range []wire.Version{wire.V31, wire.V311, wire.V5} {
		survives(t, func(t *testing.T, w *world) {
			s, _ := join(t, w.broker, v, durableConnect(v, "c"))
			s.subscribe(filter("a", 2))
			for i, qos := range []wire.QoS{1, 2, 2} {
				require.NoError(t, w.broker.Publish(&wire.Publish{Topic: "a", Payload: fmt.Append(nil, i), QoS: qos}))
			}
			one, two, three := receive[*wire.Publish](s), receive[*wire.Publish](s), receive[*wire.Publish](s)
			require.False(t, one.Duplicate)
			s.send(&wire.Pubrec{PacketID: three.PacketID})
			receive[*wire.Pubrel](s)

			s = resume(t, w.kill(), v, "c")
			s.want(&wire.Pubrel{PacketID: three.PacketID})
			one.Duplicate, two.Duplicate = true, true
			s.want(one, two)
			// Once more, and without a new acknowledgement.
			s = resume(t, w.kill(), v, "c")
			s.want(&wire.Pubrel{PacketID: three.PacketID}, one, two)
			s.send(&wire.Pubcomp{PacketID: three.PacketID}, &wire.Puback{PacketID: one.PacketID}, &wire.Pubrec{PacketID: two.PacketID})
			s.want(&wire.Pubrel{PacketID: two.PacketID})
			s.send(&wire.Pubcomp{PacketID: two.PacketID})
			advance(time.Second)
			require.Zero(t, w.records(records.MessageKind, records.QueuedKind))
		})
	}
}

func TestAReceivedIdentifierSurvives(t *testing.T) {
	for _, v := range []wire.Version{wire.V31, wire.V311, wire.V5} {
		survives(t, func(t *testing.T, w *world) {
			watcher, _ := join(t, w.broker, v, durableConnect(v, "watcher"))
			watcher.subscribe(filter("#", 2))
			p, _ := join(t, w.broker, v, durableConnect(v, "p"))
			m := &wire.Publish{Topic: "a", Payload: []byte("once"), QoS: 2, PacketID: 5}
			p.send(m)
			receive[*wire.Pubrec](p)

			b := w.kill()
			p = resume(t, b, v, "p")
			m.Duplicate = true
			p.send(m)
			p.want(&wire.Pubrec{PacketID: 5})
			p.send(&wire.Pubrel{PacketID: 5})
			p.want(&wire.Pubcomp{PacketID: 5})

			// The identifier is free now, also for a broker that comes after this one.
			b = w.kill()
			p = resume(t, b, v, "p")
			durably(p, &wire.Publish{Topic: "a", Payload: []byte("new"), QoS: 2, PacketID: 5})
			watcher = resume(t, b, v, "watcher")
			require.Equal(t, "once", string(receive[*wire.Publish](watcher).Payload))
			require.Equal(t, "new", string(receive[*wire.Publish](watcher).Payload))
			watcher.idle()
		})
	}
}

func TestQueuedMessagesSurviveWithTheirProperties(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		for _, id := range []string{"one", "two"} {
			s, _ := join(t, w.broker, wire.V5, durableConnect(wire.V5, id))
			s.subscribe(filter("a", 1))
			s.cut()
		}
		p := clean(t, w.broker, "p")
		properties := &wire.PublishProperties{
			PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(30)), ContentType: "t", ResponseTopic: "r",
			CorrelationData: []byte{0}, UserProperties: []wire.UserProperty{{Name: "n", Value: "v"}},
		}
		durably(p, &wire.Publish{Topic: "a", Payload: []byte("x"), QoS: 1, Properties: properties})
		durably(p, &wire.Publish{Topic: "a", Payload: []byte("short"), QoS: 1, Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32(5))}})
		require.Equal(t, 2, w.records(records.MessageKind), "one for both sessions")
		require.Equal(t, 4, w.records(records.QueuedKind))
		p.net.Close()
		advance(10 * time.Second)
		b := w.kill()
		s := resume(t, b, wire.V5, "one")
		got := receiveAs(s)
		properties.MessageExpiryInterval = new(uint32(20))
		require.Equal(t, properties, got.Properties)
		s.idle()
		require.EqualValues(t, 2, b.Stats().Expired)
		advance(time.Second)
		require.Equal(t, 1, w.records(records.MessageKind), "the other session needs it")
		receiveAs(resume(t, b, wire.V5, "two"))
		advance(time.Second)
		require.Zero(t, w.records(records.MessageKind, records.QueuedKind))
	})
}

func TestASessionEndsWhileTheBrokerIsAway(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		s, _ := join(t, w.broker, wire.V5, durableConnect(wire.V5, "absent")) // one minute
		s.subscribe(filter("a", 1))
		s.cut()
		s, _ = join(t, w.broker, wire.V5, durableConnect(wire.V5, "present"))
		s.subscribe(filter("a", 1))
		require.NoError(t, w.broker.Publish(&wire.Publish{Topic: "a", QoS: 1}))
		advance(30 * time.Second)
		w.disk.die()
		advance(29 * time.Second)
		w.kill()
		advance(0)
		require.Equal(t, 2, w.broker.Stats().Sessions)
		advance(2 * time.Second)
		require.Equal(t, 1, w.broker.Stats().Sessions, "absent for a minute")
		// The other one was there at the crash, up to a minute after the clock's last word.
		advance(59*time.Second + time.Second)
		require.Zero(t, w.broker.Stats().Sessions)
		advance(time.Second)
		require.Zero(t, w.records(records.SessionKind, records.SubscriptionKind, records.QueuedKind, records.MessageKind))
	})
}

func TestAConnectedSessionSurvivesAsLongAsItsClientAskedFor(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		s, _ := join(t, w.broker, wire.V5, durableConnect(wire.V5, "c"))
		advance(3 * time.Hour) // the clock goes on
		w.kill()
		advance(59 * time.Second)
		_, ack := join(t, w.broker, wire.V5, durableConnect(wire.V5, "c"))
		require.True(t, ack.SessionPresent)
		s.net.Close()
	})
}

func TestACleanStartIsForGood(t *testing.T) {
	for _, expiry := range []uint32{0, 60} {
		survives(t, func(t *testing.T, w *world) {
			s, _ := join(t, w.broker, wire.V5, durableConnect(wire.V5, "c"))
			s.subscribe(filter("a", 1))
			s.cut()
			require.NoError(t, w.broker.Publish(&wire.Publish{Topic: "a", QoS: 1}))
			join(t, w.broker, wire.V5, &wire.Connect{ClientID: "c", CleanStart: true, SessionExpiryInterval: expiry})
			b := w.kill()
			require.Zero(t, b.Stats().Subscriptions)
			_, ack := join(t, b, wire.V5, durableConnect(wire.V5, "c"))
			require.Equal(t, expiry > 0, ack.SessionPresent)
			advance(time.Second)
			require.Zero(t, w.records(records.SubscriptionKind, records.QueuedKind, records.MessageKind))
			require.Equal(t, 1, w.records(records.SessionKind))
		})
	}
}

func TestASessionStillBelongsToItsUser(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		w.cfg.Authenticators = []Authenticator{AllowAll{}}
		connect := durableConnect(wire.V5, "c")
		connect.Username = new("ann")
		join(t, w.kill(), wire.V5, connect)
		b := w.kill()
		info := b.Clients()[0]
		require.Equal(t, "ann", info.Peer.Username)
		require.Equal(t, wire.V5, info.Peer.Version)
		require.NotEmpty(t, info.Peer.RemoteAddr.Network())
		other := durableConnect(wire.V5, "c")
		other.Username = new("bob")
		refusedAs(t, b, wire.V5, other, wire.NotAuthorized)
		_, ack := join(t, b, wire.V5, connect)
		require.True(t, ack.SessionPresent)
	})
}

func TestWithoutExpiryNothingTouchesTheDisk(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		s := clean(t, w.broker, "s")
		s.subscribe(filter("#", 2))
		kept, _ := join(t, w.broker, wire.V5, durableConnect(wire.V5, "kept"))
		kept.subscribe(filter("#", 0))
		advance(time.Second)
		before := w.broker.Stats().Commits
		p := clean(t, w.broker, "p")
		for qos := range wire.QoS(3) {
			publishAs(p, "a", "x", qos)
		}
		advance(time.Second)
		require.Equal(t, before, w.broker.Stats().Commits)
	})
}
