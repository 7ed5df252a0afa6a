package mqtttest_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestDropIsForTheClientsNamed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c1 := connect(t, b, mqtt.Config{ClientID: "c1", Reconnect: quickly})
		c2 := connect(t, b, mqtt.Config{ClientID: "c2", Reconnect: quickly})
		b.Drop("c1")
		b.Want(mqtttest.Match{Type: wire.TypeConnack, ClientID: "c1", Times: 2})
		b.Drop()
		b.Want(mqtttest.Match{Type: wire.TypeConnack, ClientID: "c1", Times: 3})
		b.Want(mqtttest.Match{Type: wire.TypeConnack, ClientID: "c2", Times: 2})
		synctest.Wait()
		require.Equal(t, uint64(3), c1.Stats().Connections)
		require.Equal(t, uint64(2), c2.Stats().Connections)
	})
}

func TestDropOnALoopbackPort(t *testing.T) {
	b := mqtttest.NewBroker(t)
	c, err := mqtt.Connect(t.Context(), b.URL(), mqtt.Config{ClientID: "c1"})
	require.NoError(t, err)
	events := c.Watch(t.Context())
	b.Drop()
	require.Equal(t, mqtt.SessionResumed, untilConnected(events).Session)
	require.NoError(t, c.Close())
	b.WantNoLeak()
}

func TestDropPublishesTheWill(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		sub := subscribe(t, connect(t, b, mqtt.Config{ClientID: "watcher"}), "gone")
		connect(t, b, mqtt.Config{ClientID: "mortal", Will: &mqtt.Will{Message: mqtt.Message{Topic: "gone"}}})
		b.Drop("mortal")
		require.Equal(t, "gone", next(t, sub).Topic)
	})
}

// bare is a client made of bytes.
func bare(t *testing.T, b *mqtttest.Broker, id string) io.ReadWriteCloser {
	t.Helper()
	nc, err := b.Dial(t.Context(), "", "")
	require.NoError(t, err)
	write(t, nc, wire.V311, &wire.Connect{ClientID: id, CleanStart: true})
	return nc
}

func write(t *testing.T, w io.Writer, v wire.Version, packets ...wire.Packet) {
	t.Helper()
	var stream []byte
	for _, p := range packets {
		var err error
		stream, err = p.Append(stream, v)
		require.NoError(t, err)
	}
	_, err := w.Write(stream)
	require.NoError(t, err)
}

func TestCutAfterIsExactToTheByte(t *testing.T) {
	for n := 1; n <= 4; n++ {
		bubble(t, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			b.CutAfter(mqtttest.Down, n) // nobody is there: for the next one
			got, err := io.ReadAll(bare(t, b, "c1"))
			require.NoError(t, err)
			require.Equal(t, "\x20\x02\x00\x00"[:n], string(got))
			got = make([]byte, 4)
			_, err = io.ReadFull(bare(t, b, "c1"), got)
			require.NoError(t, err, "it was for one connection")
		})
	}
}

func TestCutAfterOnAnOpenConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{Reconnect: quickly})
		b.CutAfter(mqtttest.Up, 5, "c1")
		publish(t, c, "t", "x", mqtt.ExactlyOnce)
		require.Equal(t, uint64(2), c.Stats().Connections)
		require.Equal(t, uint64(1), b.Stats().Received)
		b.WantPublished("t", "x")

		b.CutAfter(mqtttest.Both, 0)
		b.WantConnected("c1")
	})
}

func TestCutAtCutsWithinAPacket(t *testing.T) {
	for _, n := range []int{0, 1, -1, 1000} {
		bubble(t, func(t *testing.T) {
			b := mqtttest.NewBroker(t)
			c := connect(t, b, mqtt.Config{Reconnect: quickly})
			b.CutAt(mqtttest.Match{Type: wire.TypePuback, Direction: mqtttest.Down}, n)
			publish(t, c, "t", "x", mqtt.AtLeastOnce)
			connections, published := uint64(2), 2
			if n == 1000 {
				published = 1 // the acknowledgement was whole
				b.WantDisconnected("c1")
				b.WantConnected("c1")
				synctest.Wait()
			}
			require.Equal(t, connections, c.Stats().Connections)
			require.Equal(t, uint64(published), b.Stats().Received)
		})
	}
}

func TestHalfOpenTakesBytesAndAnswersNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{KeepAlive: 10 * time.Second})
		events := c.Watch(t.Context())
		b.HalfOpen()
		start := time.Now()
		for e := range events {
			if e.State == mqtt.Reconnecting {
				require.ErrorIs(t, e.Err, mqtt.ErrKeepAlive)
				break
			}
		}
		require.LessOrEqual(t, time.Since(start), 15*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, c.Publish(ctx, "t", nil, mqtt.AtLeastOnce), context.DeadlineExceeded)
		b.Heal()
		publish(t, c, "t", "x", mqtt.AtLeastOnce)
	})
}

func TestHalfOpenHidesTheEndOfAConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		watcher := subscribe(t, connect(t, b, mqtt.Config{ClientID: "watcher"}), "gone")
		mortal := connect(t, b, mqtt.Config{ClientID: "mortal", KeepAlive: -1, Will: &mqtt.Will{Message: mqtt.Message{Topic: "gone"}}})
		b.HalfOpen("mortal")
		require.NoError(t, mortal.Close())
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := watcher.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		b.WantConnected("mortal")
		b.Heal()
		b.WantDisconnected("mortal")
	})
}

func TestDelayIsLatencyAndNotThroughput(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{})
		b.Delay(100*time.Millisecond, "c1")
		start := time.Now()
		var last *mqtt.Delivery
		for range 50 {
			d, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
			require.NoError(t, err)
			last = d
		}
		_, err := last.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, 200*time.Millisecond, time.Since(start), "there and back once, for all")
	})
}

func TestThrottle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{})
		b.Throttle(1000)
		start := time.Now()
		publish(t, c, "t", strings.Repeat("x", 5000), mqtt.AtLeastOnce)
		took := time.Since(start)
		require.Greater(t, took, 5*time.Second)
		require.Less(t, took, 5*time.Second+100*time.Millisecond)
		b.Throttle(0)
		start = time.Now()
		publish(t, c, "t", strings.Repeat("x", 5000), mqtt.AtLeastOnce)
		require.Zero(t, time.Since(start))
	})
}

func TestReorderKeepsWhatMustStayInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{})
		sub := subscribe(t, c, "#")
		b.Reorder(time.Second, 7)
		const each = 30
		for i := range byte(each) {
			for _, topic := range []string{"a", "b"} {
				b.Publish(&wire.Publish{Topic: topic, Payload: []byte{i}, QoS: wire.AtLeastOnce, PacketID: 1})
			}
		}
		var order strings.Builder
		got := map[string]byte{}
		for range 2 * each {
			m := next(t, sub)
			require.Equal(t, got[m.Topic], m.Payload[0])
			got[m.Topic]++
			order.WriteString(m.Topic)
		}
		require.NotEqual(t, strings.Repeat("ab", each), order.String())
	})
}

func TestReorderLetsAnswersOvertakeEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{})
		b.Reorder(time.Second, 1)
		overtaken := 0
		for range 20 {
			slow, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: mqtt.ExactlyOnce})
			require.NoError(t, err)
			fast, err := c.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: mqtt.AtLeastOnce})
			require.NoError(t, err)
			for _, d := range []*mqtt.Delivery{slow, fast} {
				_, err = d.Wait(t.Context())
				require.NoError(t, err)
			}
			timeline := b.Timeline()
			if lastOf[*wire.Puback](timeline).Passed.Before(lastOf[*wire.Pubrec](timeline).Passed) {
				overtaken++
			}
		}
		require.Greater(t, overtaken, 2)
		require.Less(t, overtaken, 18)
	})
}

func lastOf[P wire.Packet](timeline []mqtttest.Event) mqtttest.Event {
	for _, e := range slices.Backward(timeline) {
		if _, ok := e.Packet.(P); ok {
			return e
		}
	}
	return mqtttest.Event{}
}

func TestHealEndsWhatIsSet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		c := connect(t, b, mqtt.Config{})
		b.Delay(time.Hour)
		b.Throttle(1)
		b.CutAfter(mqtttest.Both, 1)
		b.Swallow(mqtttest.Match{Type: wire.TypePublish, Times: -1})
		b.Announce(func(*wire.Connack) { t.Error("announced") })
		b.Heal()
		start := time.Now()
		publish(t, c, "t", "x", mqtt.ExactlyOnce)
		require.Zero(t, time.Since(start))
		connect(t, b, mqtt.Config{ClientID: "another"})
	})
}
