package mqtttest_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestControlSeesBothDirectionsAndTheClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		var up, down atomic.Int32
		stop := b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
			counter := &up
			if p.Direction == mqtttest.Down {
				counter = &down
			}
			if p.ClientID == "c1" && p.Conn == 1 && p.Version == wire.V5 && p.Packet.(*wire.Publish).Topic == "t" {
				counter.Add(1)
			}
		})
		var all atomic.Int32
		b.Control(0, func(*mqtttest.Packet) { all.Add(1) })
		c := connect(t, b, mqtt.Config{})
		sub := subscribe(t, c, "t")
		publish(t, c, "t", "one", mqtt.AtLeastOnce)
		next(t, sub)
		require.Equal(t, int32(1), up.Load())
		require.Equal(t, int32(1), down.Load())

		stop()
		publish(t, c, "t", "two", mqtt.AtLeastOnce)
		require.Equal(t, "two", string(next(t, sub).Payload), "passed on all the same")
		require.Equal(t, int32(1), up.Load())
		synctest.Wait()
		require.Equal(t, int32(12), all.Load(), "every packet of the conversation")
	})
}

func TestControlReplaces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
			if p.Direction == mqtttest.Up {
				return
			}
			changed := *p.Packet.(*wire.Publish)
			changed.Payload = []byte("changed")
			p.Replace(&changed, &wire.Publish{Topic: "t", Payload: []byte("invented")})
		})
		c := connect(t, b, mqtt.Config{})
		sub := subscribe(t, c, "t")
		publish(t, c, "t", "original", mqtt.AtMostOnce)
		require.Equal(t, "changed", string(next(t, sub).Payload))
		require.Equal(t, "invented", string(next(t, sub).Payload))
	})
}

func TestControlAnswersInPlaceOfTheBroker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
			p.Drop()
			p.Answer(&wire.Puback{PacketID: p.Packet.(*wire.Publish).PacketID, ReasonCode: wire.QuotaExceeded})
		})
		c := connect(t, b, mqtt.Config{})
		err := c.Publish(t.Context(), "t", nil, mqtt.AtLeastOnce)
		require.ErrorIs(t, err, mqtt.QuotaExceeded)
		require.Zero(t, b.Stats().Received)
	})
}

func TestControlDelaysAndKeepsTheOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
			if p.Direction == mqtttest.Up && string(p.Packet.(*wire.Publish).Payload) == "slow" {
				p.Delay(3 * time.Second)
			}
		})
		c := connect(t, b, mqtt.Config{})
		sub := subscribe(t, c, "t")
		start := time.Now()
		publish(t, c, "t", "slow", mqtt.AtMostOnce)
		publish(t, c, "t", "behind it", mqtt.AtMostOnce)
		require.Equal(t, "slow", string(next(t, sub).Payload))
		require.Equal(t, 3*time.Second, time.Since(start))
		require.Equal(t, "behind it", string(next(t, sub).Payload))
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestControlCuts(t *testing.T) {
	for name, cut := range map[string]func(*mqtttest.Packet){
		"behind the packet": (*mqtttest.Packet).Cut,
		"in front of it":    func(p *mqtttest.Packet) { p.Drop(); p.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := mqtttest.NewBroker(t)
				var once atomic.Bool
				b.Control(wire.TypePublish, func(p *mqtttest.Packet) {
					if !once.Swap(true) {
						cut(p)
					}
				})
				c := connect(t, b, mqtt.Config{Reconnect: quickly})
				publish(t, c, "t", "x", mqtt.ExactlyOnce)
				require.Equal(t, uint64(1), b.Stats().Received, "exactly once")
				require.Equal(t, uint64(2), c.Stats().Connections)
			})
		})
	}
}

func TestControlsRunOneAfterTheOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		b.Control(wire.TypePublish, (*mqtttest.Packet).Drop)
		b.Control(wire.TypePublish, func(p *mqtttest.Packet) { p.Answer(&wire.Puback{PacketID: p.Packet.(*wire.Publish).PacketID}) })
		c := connect(t, b, mqtt.Config{})
		publish(t, c, "t", "x", mqtt.AtLeastOnce)
		require.Zero(t, b.Stats().Received)
	})
}

func TestWhatCanNotBeEncodedFailsTheTest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		judge := &judge{TB: t}
		b := mqtttest.NewBroker(judge)
		b.Control(wire.TypeConnack, func(p *mqtttest.Packet) { p.Answer(&wire.Puback{}) })
		connect(t, b, mqtt.Config{})
		require.Contains(t, judge.said(), "cannot send: PUBACK: PacketID is 0")
	})
}

func TestBytesThatAreNoPacketPass(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "\x10\x0c\x00\x04MQTT", "\xff\xff\xff\xff\xff\xff"} {
			nc, err := b.Dial(t.Context(), "", "")
			require.NoError(t, err)
			_, err = nc.Write([]byte(text))
			require.NoError(t, err)
			require.NoError(t, nc.Close())
		}
		synctest.Wait()
		require.Equal(t, uint64(3), b.Stats().Refused)
		b.WantNoLeak()
		var noted int
		for _, e := range b.Timeline() {
			if e.Size > 0 {
				require.Nil(t, e.Packet)
				require.Contains(t, e.String(), "bytes that are no packet")
				noted++
			}
		}
		require.Equal(t, 3, noted)
	})
}
