package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func withWill(delay, expiry uint32) *wire.Connect {
	return &wire.Connect{
		ClientID:              "dying",
		SessionExpiryInterval: expiry,
		KeepAlive:             10,
		Will:                  &wire.Will{Topic: "will", Payload: []byte("gone"), QoS: 1, DelayInterval: delay},
	}
}

func TestWillFollowsEveryEndButAGoodbye(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(b *Broker, s *script)
		want bool
	}{
		"cut":            {func(_ *Broker, s *script) { s.cut() }, true},
		"silence":        {func(_ *Broker, _ *script) { advance(15 * time.Second) }, true},
		"fault":          {func(_ *Broker, s *script) { s.write([]byte{0, 0}) }, true},
		"taken over":     {func(b *Broker, s *script) { clean(s.t, b, "dying") }, true},
		"by the program": {func(b *Broker, s *script) { b.Disconnect("dying", wire.AdministrativeAction) }, true},
		"crash":          {func(b *Broker, _ *script) { b.DropConnections() }, false}, // the watcher is gone, too
		"goodbye":        {func(_ *Broker, s *script) { s.send(&wire.Disconnect{}) }, false},
		"goodbye with will": {func(_ *Broker, s *script) {
			if s.version == wire.V5 {
				s.send(&wire.Disconnect{ReasonCode: wire.DisconnectWithWill})
			} else {
				s.cut()
			}
		}, true},
		"wrong goodbye": {func(_ *Broker, s *script) {
			if s.version == wire.V5 {
				s.send(&wire.Disconnect{SessionExpiryInterval: new(uint32(60))})
			} else {
				s.write([]byte{0xe1, 0})
				if s.version == wire.V31 { // leaves those bits open
					s.write([]byte{0, 0})
				}
			}
		}, true},
	} {
		for _, v := range []wire.Version{wire.V311, wire.V5} {
			t.Run(name+" "+v.String(), func(t *testing.T) {
				run(t, Config{}, func(t *testing.T, b *Broker) {
					watcher := clean(t, b, "watcher")
					watcher.subscribe(filter("will", 1))
					connect := withWill(0, 0)
					connect.CleanStart = true
					s, _ := join(t, b, v, connect)
					watcher.idle()
					test.end(b, s)
					synctest.Wait()
					switch {
					case test.want:
						p := receiveAs(watcher)
						require.Equal(t, "gone", string(p.Payload))
						require.False(t, p.Retain)
						watcher.idle()
					case name == "crash":
						watcher.closed()
					default:
						watcher.idle()
					}
				})
			})
		}
	}
}

func TestWillWaitsForItsDelay(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		watcher := clean(t, b, "watcher")
		watcher.subscribe(filter("will", 0))

		s, _ := join(t, b, wire.V5, withWill(5, 60))
		s.cut()
		advance(4900 * time.Millisecond)
		watcher.idle()
		advance(100 * time.Millisecond)
		require.Equal(t, "gone", string(receive[*wire.Publish](watcher).Payload))

		// [MQTT-3.1.3-9] back in time: no will.
		s, ack := join(t, b, wire.V5, withWill(5, 60))
		require.True(t, ack.SessionPresent)
		s.cut()
		advance(time.Second)
		s, _ = join(t, b, wire.V5, &wire.Connect{ClientID: "dying", SessionExpiryInterval: 60})
		advance(time.Minute)
		watcher.idle()
		s.cut()
		watcher.idle()

		// A clean start ends the session, and that is when the will is due.
		s, _ = join(t, b, wire.V5, withWill(5, 60))
		s.cut()
		s, _ = join(t, b, wire.V5, &wire.Connect{ClientID: "dying", CleanStart: true})
		require.Equal(t, "gone", string(receive[*wire.Publish](watcher).Payload))
		s.cut()

		// So does its expiry.
		s, _ = join(t, b, wire.V5, withWill(50, 2))
		s.cut()
		advance(2 * time.Second)
		require.Equal(t, "gone", string(receive[*wire.Publish](watcher).Payload))
		advance(time.Minute)
		watcher.idle()
	})
}

func TestTakeoverOfADelayedWill(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		watcher := clean(t, b, "watcher")
		watcher.subscribe(filter("will", 0))
		old, _ := join(t, b, wire.V5, withWill(5, 60))
		join(t, b, wire.V5, &wire.Connect{ClientID: "dying", SessionExpiryInterval: 60})
		old.ended(wire.SessionTakenOver)
		advance(time.Minute)
		watcher.idle()
	})
}

func TestWillCarriesItsProperties(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		connect := withWill(0, 0)
		connect.Will = &wire.Will{
			Topic: "will", Retain: true, Payload: []byte("x"),
			PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(100)), ContentType: "text", ResponseTopic: "r",
			CorrelationData: []byte{1}, UserProperties: []wire.UserProperty{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "0"}},
		}
		s, _ := join(t, b, wire.V5, connect)
		s.cut()
		watcher := clean(t, b, "watcher")
		watcher.subscribe(filter("will", 0))
		p := receive[*wire.Publish](watcher)
		require.True(t, p.Retain)
		require.Equal(t, &wire.PublishProperties{
			PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(100)), ContentType: "text", ResponseTopic: "r",
			CorrelationData: []byte{1}, UserProperties: connect.Will.UserProperties,
		}, p.Properties)
	})
}
