package broker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

func TestIdentifierIsNotUsedTwiceAtATime(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.subscribe(filter("a", 1))
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1}))
		held := receive[*wire.Publish](s).PacketID // and not acknowledged
		for sent := 0; sent < 70_000; {
			for range 100 {
				require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 1}))
				sent++
			}
			open := map[uint16]bool{held: true}
			for range 100 {
				id := receive[*wire.Publish](s).PacketID
				require.NotZero(t, id)
				require.False(t, open[id], id) // [MQTT-2.2.1-4]
				open[id] = true
			}
			delete(open, held)
			for id := range open {
				s.send(&wire.Puback{PacketID: id})
			}
		}
	})
}

func TestSharedMessageGoesWithItsMember(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		first, _ := join(t, b, wire.V5, &wire.Connect{ClientID: "first", SessionExpiryInterval: 1})
		first.subscribe(filter("$share/g/a", 2))
		require.NoError(t, b.Publish(&wire.Publish{Topic: "a", QoS: 2}))
		receive[*wire.Publish](first)
		second := clean(t, b, "second")
		second.subscribe(filter("$share/g/a", 2))
		first.cut()
		advance(2 * time.Second)
		require.Equal(t, 1, b.Stats().Sessions)
		second.idle() // [MQTT-4.8.2-5]
	})
}

func TestPeerThatDoesNotReadIsClosedAllTheSame(t *testing.T) {
	run(t, Config{WriteTimeout: time.Hour}, func(t *testing.T, b *Broker) {
		s := clean(t, b, "c")
		s.subscribe(filter("a", 0))
		for range 10 {
			require.NoError(t, b.Publish(message0("a", string(make([]byte, 20_000)))))
		}
		synctest.Wait()
		s.send(&wire.Connect{ClientID: "c"})
		advance(2 * time.Second)
		require.Zero(t, b.Stats().Connections) // [MQTT-4.13.2-1]
	})
}

func TestUnknownProtocolLevels(t *testing.T) {
	for level, want := range map[byte]string{
		2: "20 02 00 01",
		6: "20 03 00 84 00",
	} {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			s := dial(t, b, wire.V5)
			s.write([]byte("\x10\x0d\x00\x04MQTT" + string(level) + "\x02\x00\x3c\x00\x01c"))
			synctest.Wait()
			got := make([]byte, 10)
			n, err := s.net.Read(got)
			require.NoError(t, err)
			require.Equal(t, want, fmt.Sprintf("% x", got[:n])) // [MQTT-3.1.2-2]
			s.closed()
		})
	}
}

func TestClientIdentifiersAreAccepted(t *testing.T) {
	for _, v := range versions {
		run(t, Config{}, func(t *testing.T, b *Broker) {
			for _, id := range []string{"c", "0123456789abcdefghijABC", strings.Repeat("é", 300)} { // [MQTT-3.1.3-5]
				join(t, b, v, &wire.Connect{ClientID: id, CleanStart: true})
			}
			require.Equal(t, 3, b.Stats().Sessions)
		})
	}
}

func TestSubscribingAgainLosesNothing(t *testing.T) {
	run(t, Config{}, func(t *testing.T, b *Broker) {
		const messages = 2000
		s := clean(t, b, "c")
		s.subscribe(filter("a", 1))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range messages {
				if err := b.Publish(&wire.Publish{Topic: "a", Payload: fmt.Append(nil, i), QoS: 1}); err != nil {
					t.Error(err)
				}
			}
		}()
		for seen, answers := 0, 0; seen < messages; {
			if answers < 200 {
				s.send(&wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter("a", wire.QoS(1+answers%2))}})
			}
			p, err := s.next()
			require.NoError(t, err)
			switch p := p.(type) {
			case *wire.Suback:
				answers++
			case *wire.Publish:
				require.Equal(t, fmt.Sprint(seen), string(p.Payload)) // [MQTT-3.8.4-4]
				s.send(&wire.Puback{PacketID: p.PacketID})
				seen++
			}
		}
		<-done
	})
}

func TestWillIsRetainedIfItSaysSo(t *testing.T) {
	for _, v := range versions {
		for _, retained := range []bool{false, true} {
			run(t, Config{}, func(t *testing.T, b *Broker) {
				s, _ := join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true, Will: &wire.Will{Topic: "w", Payload: []byte("x"), Retain: retained}})
				s.cut()
				late := clean(t, b, "late")
				late.subscribe(filter("w", 0))
				if retained { // [MQTT-3.1.2-14], [MQTT-3.1.2-15]
					late.want(retain("w", "x"))
				}
				late.idle()
				// [MQTT-3.1.2-10] it is published once.
				s, _ = join(t, b, v, &wire.Connect{ClientID: "c", CleanStart: true})
				s.cut()
				late.idle()
			})
		}
	}
}
