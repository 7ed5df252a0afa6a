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

func TestRetainedMessagesSurvive(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		p := clean(t, w.broker, "p")
		properties := &wire.PublishProperties{ContentType: "t", MessageExpiryInterval: new(uint32(100))}
		for qos := range wire.QoS(3) {
			m := &wire.Publish{Topic: fmt.Sprint("a/", qos), Payload: []byte("old"), QoS: qos, Retain: true, Properties: properties}
			if qos == 0 {
				p.send(m, m)
				m.Payload = []byte("new")
				p.send(m)
				continue
			}
			durably(p, m)
			m.Payload = []byte("new")
			durably(p, m)
		}
		durably(p, &wire.Publish{Topic: "gone", Payload: []byte("x"), QoS: 1, Retain: true})
		durably(p, &wire.Publish{Topic: "gone", QoS: 1, Retain: true})
		durably(p, &wire.Publish{Topic: "short", Payload: []byte("x"), QoS: 1, Retain: true, Properties: &wire.PublishProperties{MessageExpiryInterval: new(uint32(3))}})
		p.net.Close()
		advance(10 * time.Second) // QoS 0 needs a moment, and nobody waits for it
		b := w.kill()
		require.Equal(t, 3, b.Stats().Retained)
		s := clean(t, b, "s")
		s.subscribe(filter("#", 2))
		for range 3 {
			got := receive[*wire.Publish](s)
			require.Equal(t, "new", string(got.Payload))
			require.True(t, got.Retain)
			require.EqualValues(t, 90, *got.Properties.MessageExpiryInterval)
			require.Equal(t, "t", got.Properties.ContentType)
		}
		s.idle()
		advance(time.Second)
		require.Equal(t, 3, w.records(records.RetainedKind), "what expired is removed")
		advance(90 * time.Second)
		b = w.kill()
		require.Zero(t, b.Stats().Retained)
		require.Zero(t, w.records(records.MessageKind))
	})
}

func TestWhatANewSubscriptionBringsSurvives(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		require.NoError(t, w.broker.Publish(&wire.Publish{Topic: "a/1", Payload: []byte("1"), QoS: 1, Retain: true}))
		require.NoError(t, w.broker.Publish(&wire.Publish{Topic: "a/2", Payload: []byte("2"), QoS: 2, Retain: true}))
		require.NoError(t, w.broker.Publish(&wire.Publish{Topic: "a/0", Payload: []byte("0"), Retain: true}))
		s, _ := join(t, w.broker, wire.V5, durableConnect(wire.V5, "s"))
		s.subscribe(filter("a/#", 2))
		for range 3 {
			receive[*wire.Publish](s)
		}
		// [MQTT-3.3.1-10] The resumed session does not subscribe again.
		s = resume(t, w.kill(), wire.V5, "s")
		got := map[string]bool{}
		for range 2 {
			p := receive[*wire.Publish](s)
			require.True(t, p.Retain && p.Duplicate)
			got[p.Topic] = true
		}
		require.Equal(t, map[string]bool{"a/1": true, "a/2": true}, got)
		s.idle()
	})
}

func TestManyChangesOfARetainedMessageAreOneWrite(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		p := clean(t, w.broker, "p")
		advance(time.Second)
		before := w.broker.Stats().Commits
		for i := range 1000 {
			p.send(&wire.Publish{Topic: "a", Payload: fmt.Append(nil, i), Retain: true})
		}
		synctest.Wait()
		require.Equal(t, before, w.broker.Stats().Commits)
		advance(time.Second)
		require.Equal(t, before+1, w.broker.Stats().Commits)
		s := clean(t, w.kill(), "s")
		s.subscribe(filter("a", 0))
		require.Equal(t, "999", string(receive[*wire.Publish](s).Payload))
	})
}

func watchWills(t *testing.T, b *Broker) *script {
	t.Helper()
	s, ack := join(t, b, wire.V5, &wire.Connect{ClientID: "watcher", SessionExpiryInterval: 100_000})
	if !ack.SessionPresent {
		s.subscribe(filter("will/#", 1))
	}
	return s
}

// willing returns a CONNECT whose session and will outlive the connection.
func willing(id string, delay, expiry uint32) *wire.Connect {
	return &wire.Connect{ClientID: id, SessionExpiryInterval: expiry, Will: &wire.Will{
		Topic: "will/" + id, Payload: []byte("gone"), QoS: 1, DelayInterval: delay, ContentType: "t",
		UserProperties: []wire.UserProperty{{Name: "n", Value: "v"}},
	}}
}

func TestTheWillOfAClientThatWasThereSurvives(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		watchWills(t, w.broker).net.Close()
		join(t, w.broker, wire.V5, willing("now", 0, 600))
		join(t, w.broker, wire.V5, willing("later", 100, 600))
		join(t, w.broker, wire.V5, willing("end", 600, 300))
		s, _ := join(t, w.broker, wire.V5, willing("goodbye", 0, 600))
		s.send(&wire.Disconnect{})
		s.closed()
		advance(time.Second)
		watcher := watchWills(t, w.kill())
		p := receiveAs(watcher)
		require.Equal(t, "will/now", p.Topic)
		require.Equal(t, &wire.PublishProperties{ContentType: "t", UserProperties: []wire.UserProperty{{Name: "n", Value: "v"}}}, p.Properties)
		watcher.idle()
		advance(99 * time.Second)
		watcher.idle()
		advance(time.Second)
		require.Equal(t, "will/later", receiveAs(watcher).Topic)
		watcher.net.Close()
		advance(100 * time.Second)
		w.disk.die()
		advance(150 * time.Second) // the session of "end" is over, and with it the delay
		watcher = watchWills(t, w.kill())
		require.Equal(t, "will/end", receiveAs(watcher).Topic)
		watcher.idle()
		advance(time.Second)
		watcher = watchWills(t, w.kill())
		watcher.idle() // once
	})
}

func TestAGoodbyeIsOnTheDiskAtOnce(t *testing.T) {
	survives(t, func(t *testing.T, w *world) {
		watchWills(t, w.broker).net.Close()
		s, _ := join(t, w.broker, wire.V5, willing("c", 0, 600))
		s.send(&wire.Disconnect{})
		s.closed()
		watchWills(t, w.kill()).idle()
		require.Equal(t, 2, w.broker.Stats().Sessions)
	})
}

// Whatever the Commit at which the broker crashes, a will comes exactly once.
func TestAWillIsPublishedOnceWhereverTheBrokerCrashes(t *testing.T) {
	crashesAt(t, func(t *testing.T, c crash) bool {
		w := newWorld(t, c)
		watcher := w.actor(wire.V5, "watcher", filter("will/#", 2))
		w.until(crash{}, func() bool { return watcher.filters == nil })
		dying := w.actor(wire.V5, "dying")
		dying.connect.Will = &wire.Will{Topic: "will/dying", Payload: []byte("x"), QoS: 2, DelayInterval: 10}
		w.until(crash{}, func() bool { return dying.engine.Connected() })
		dying.cut()
		w.actors = w.actors[:1]
		for range 100 {
			advance(time.Second)
			if w.hasCrashed() {
				w.restart(crash{})
			}
			watcher.step()
		}
		all, _ := watcher.payloads()
		require.Equal(t, []string{"x"}, all)
		return w.crashes > 0
	})
}
