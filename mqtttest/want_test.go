package mqtttest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestWantsWaitForWhatComesLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{KeepAlive: -1})
		b.Delay(time.Minute)
		done := make(chan error, 1)
		go func() {
			sub, err := c.Subscribe(t.Context(), "a/#", mqtt.AtLeastOnce)
			if err == nil {
				err = c.Publish(t.Context(), "a/b", []byte("one"), mqtt.AtLeastOnce)
			}
			if err == nil {
				err = c.Publish(t.Context(), "a/c", []byte("two"), mqtt.AtLeastOnce)
			}
			if err == nil {
				err = sub.Unsubscribe(t.Context())
			}
			done <- err
		}()
		start := time.Now()
		require.Equal(t, wire.AtLeastOnce, b.WantSubscribed("a/#", "c1"))
		require.Equal(t, 2*time.Minute, time.Since(start), "there and back")
		found := b.WantPublished("a/+", "one", "two")
		require.Equal(t, "a/c", found[1].Topic)
		require.Equal(t, 5*time.Minute, time.Since(start))
		b.Want(mqtttest.Match{Type: wire.TypeUnsuback})
		require.NoError(t, <-done)
	})
}

func TestRepeatedMessageCountsOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{Reconnect: quickly})
		b.CutAt(mqtttest.Match{Type: wire.TypePuback}, 0)
		publish(t, c, "t", "x", mqtt.AtLeastOnce)
		b.Want(mqtttest.Match{Type: wire.TypePublish, Direction: mqtttest.Up, Times: 2})
		require.Len(t, b.WantPublished("t"), 1)
	})
}

func TestAliasedMessageHasItsTopic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		nc, err := b.Dial(t.Context(), "", "")
		require.NoError(t, err)
		defer nc.Close()
		aliased := func(topic, payload string) *wire.Publish {
			return &wire.Publish{Topic: topic, Payload: []byte(payload), Properties: &wire.PublishProperties{TopicAlias: 1}}
		}
		write(t, nc, wire.V5, &wire.Connect{ClientID: "short", CleanStart: true}, aliased("long/topic", "1"), aliased("", "2"))
		require.Equal(t, "long/topic", b.WantPublished("long/#", "1", "2")[1].Topic)
	})
}

func TestSubscriptionsFollowTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBrokerWith(t, mqtttest.Config{Broker: broker.Config{MaximumQoS: new(wire.AtLeastOnce)}})
		c := connect(t, b, mqtt.Config{})
		sub := subscribe(t, c, "t")
		require.Equal(t, wire.AtLeastOnce, b.WantSubscribed("t"), "what was granted")
		require.NoError(t, sub.Unsubscribe(t.Context()))
		require.Contains(t, unwanted(t, b, func(b *mqtttest.Broker) { b.WantSubscribed("t") }), `"c1": []`)

		subscribe(t, c, "u")
		require.NoError(t, c.Disconnect(t.Context()))
		b.WantDisconnected("c1")
		require.Contains(t, unwanted(t, b, func(b *mqtttest.Broker) { b.WantSubscribed("u") }), `"c1": []`)
	})
}

// unwanted runs an assertion of b that fails, and returns what it says.
func unwanted(t *testing.T, b *mqtttest.Broker, want func(*mqtttest.Broker)) string {
	t.Helper()
	j := &judge{TB: t}
	defer b.Report(j)()
	said := j.sentence(func() { want(b) })
	require.True(t, j.Failed())
	return said
}

func TestWantsSayWhatIsMissing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{})
		publish(t, c, "t", "other", mqtt.AtMostOnce)
		start := time.Now()
		for want, assertion := range map[string]func(*mqtttest.Broker){
			"want published on \"t\": [\"x\"]":                 func(b *mqtttest.Broker) { b.WantPublished("t", "x") },
			"PUBLISH Topic=\"t\" Payload=\"other\"":            func(b *mqtttest.Broker) { b.WantPublished("t", "x") },
			"within 10m0s: nothing":                            func(b *mqtttest.Broker) { b.WantPublished("u") },
			"\"a/#/b\":":                                       func(b *mqtttest.Broker) { b.WantPublished("a/#/b") },
			"subscription to \"t\" of one of [\"c1\"]":         func(b *mqtttest.Broker) { b.WantSubscribed("t", "c1") },
			"want connected=true within 10m0s: client \"c2\"":  func(b *mqtttest.Broker) { b.WantConnected("c1", "c2") },
			"want connected=false within 10m0s: client \"c1\"": func(b *mqtttest.Broker) { b.WantDisconnected("c1", "c2") },
			"no such packet within 10m0s: 2 × AUTH from the broker": func(b *mqtttest.Broker) {
				b.Want(mqtttest.Match{Type: wire.TypeAuth, Direction: mqtttest.Down, Times: 2})
			},
			"any packet from the client, client \"c2\", with a condition": func(b *mqtttest.Broker) {
				b.Want(mqtttest.Match{Direction: mqtttest.Up, ClientID: "c2", If: func(wire.Packet) bool { return true }})
			},
			"want -1 packets":                     func(b *mqtttest.Broker) { b.Want(mqtttest.Match{Times: -1}) },
			"connections are left: \n\t#1 \"c1\"": (*mqtttest.Broker).WantNoLeak,
		} {
			require.Contains(t, unwanted(t, b, assertion), want)
		}
		require.GreaterOrEqual(t, time.Since(start), 10*time.Minute)
	})
}

func TestWantNoLeakFindsGoroutines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		stop := make(chan struct{})
		go func() {
			go leaked(stop) // whoever starts it
		}()
		require.Contains(t, unwanted(t, b, (*mqtttest.Broker).WantNoLeak), "mqtttest_test.leaked")
		close(stop)
		b.WantNoLeak()
	})
}

func leaked(stop chan struct{}) { <-stop }

func TestWantNoLeakIgnoresOtherTests(t *testing.T) {
	stop := make(chan struct{})
	go leaked(stop)
	defer close(stop)
	b := mqtttest.NewBroker(t)
	c := connect(t, b, mqtt.Config{})
	require.NoError(t, c.Close())
	b.WantNoLeak()
}

func TestWantNoLeakFindsMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{})
		b.Swallow(mqtttest.Match{Type: wire.TypePuback})
		_, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte("forgotten"), QoS: mqtt.AtLeastOnce})
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, c.Close())
		said := unwanted(t, b, (*mqtttest.Broker).WantNoLeak)
		require.Contains(t, said, "messages are not acknowledged")
		require.Contains(t, said, `Payload="forgotten"`)
	})
}
