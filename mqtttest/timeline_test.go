package mqtttest_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestFailedTestPrintsItsTimeline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &judge{TB: t}
		b := mqtttest.NewBroker(j)
		c := connect(t, b, mqtt.Config{Version: mqtt.V311, Username: "alice", Password: "wonderland", Reconnect: quickly})
		time.Sleep(time.Second) // of the bubble
		b.Swallow(mqtttest.Match{Type: wire.TypePuback})
		b.Delay(250 * time.Millisecond)
		d, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", Payload: []byte("hello"), QoS: mqtt.AtLeastOnce})
		require.NoError(t, err)
		time.Sleep(time.Second)
		b.Drop()
		_, err = d.Wait(t.Context())
		require.NoError(t, err)
		b.HalfOpen()
		publish(t, c, "t", strings.Repeat("long", 50), mqtt.AtMostOnce)
		synctest.Wait()
		require.NotContains(t, j.said(), "what happened", "it has not failed yet")
		j.Errorf("failed")
		j.end()
		said := j.said()
		for _, line := range []string{
			`    0.000000  #1 c1           → CONNECT Version=3.1.1 CleanStart KeepAlive=60 ClientID="c1" Username="alice" Password=[redacted]`,
			`    0.000000  #1 c1           ← CONNACK` + "\n",
			`    1.000000  #1 c1           → PUBLISH Topic="t" Payload="hello" PacketID=1 QoS=1   [took 250ms]`,
			`    1.250000  #1 c1           ← PUBACK PacketID=1   [dropped]`,
			`    2.000000  #1 c1             connection cut: by Drop`,
			`Payload="longlonglonglonglonglonglonglonglonglonglonglonglonglonglong"… (200 bytes)   [has not arrived]`,
		} {
			require.Contains(t, said, line)
		}
		require.NotContains(t, said, "wonderland")
	})
}

func TestTimelineIsAPictureOfTheMoment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{})
		before := b.Timeline()
		publish(t, c, "t", "x", mqtt.AtLeastOnce)
		require.Len(t, before, 2)
		after := b.Timeline()
		require.Len(t, after, 4)
		e := after[2]
		require.Equal(t, mqtttest.Up, e.Direction)
		require.Equal(t, "up", e.Direction.String())
		require.Equal(t, "c1", e.ClientID)
		require.Equal(t, 1, e.Conn)
		require.Equal(t, wire.V5, e.Version)
		require.Equal(t, e.Packet.Size(wire.V5), e.Size)
		require.Equal(t, e.Time, e.Passed)
	})
}

func TestTimelineIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &judge{TB: t}
		b := mqtttest.NewBroker(j)
		c := connect(t, b, mqtt.Config{})
		b.Remember(1000, 1<<20)
		for range 1500 {
			publish(t, c, "t", "x", mqtt.AtMostOnce)
		}
		publish(t, c, "t", "last", mqtt.AtLeastOnce)
		require.LessOrEqual(t, len(b.Timeline()), 1000)
		require.Greater(t, len(b.Timeline()), 700)
		b.WantPublished("t", "last")

		for range 30 {
			publish(t, c, "big", string(bytes.Repeat([]byte("x"), 100<<10)), mqtt.AtLeastOnce)
		}
		kept := 0
		for _, e := range b.Timeline() {
			kept += e.Size
		}
		require.LessOrEqual(t, kept, 1<<20)
		for range 300 {
			publish(t, c, "t", "x", mqtt.AtLeastOnce)
		}
		j.Errorf("failed")
		j.end()
		require.Contains(t, j.said(), "earlier events")
		require.Less(t, strings.Count(j.said(), "\n"), 420)
	})
}
