package clienttest

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// paced is Quiet with a limit of ten messages a second.
func paced(srv *mqtttest.Server) mqtt.Config {
	cfg := Quiet(srv)
	cfg.PublishRate.Messages = 10
	return cfg
}

func TestPublishingKeepsToTheRate(t *testing.T) {
	for _, qos := range []mqtt.QoS{0, 1, 2} {
		for _, stored := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := paced(srv)
				if stored {
					cfg.Store = NewDisk()
				}
				client, conn := Open(t, srv, cfg)
				begun := time.Now()
				for i := range 20 {
					if i%2 == 0 {
						PublishAsync(t, client, fmt.Sprint(i), qos)
						continue
					}
					Publish(t, client, fmt.Sprint(i), qos)
					synctest.Wait()
				}
				for i := range 20 {
					p := mqtttest.Take[*wire.Publish](conn)
					require.Equal(t, fmt.Sprint(i), string(p.Payload))
					due := time.Duration(i) * 100 * time.Millisecond
					require.InDelta(t, due, time.Since(begun), float64(11*time.Millisecond))
					switch p.QoS {
					case 1:
						conn.Send(Puback(p.PacketID))
					case 2:
						conn.Send(Pubrec(p.PacketID))
						conn.Want(Pubrel(p.PacketID))
						conn.Send(Pubcomp(p.PacketID))
					}
				}
				require.NoError(t, client.Flush(t.Context()))
			})
		}
	}
}

func TestRepeatsKeepToTheRateOfPublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, paced(srv))
		for i := range 10 {
			PublishAsync(t, client, fmt.Sprint(i), 1)
		}
		for i := range 10 {
			conn.Want(Pub(uint16(i+1), 1, fmt.Sprint(i)))
		}
		conn.Close()
		conn = srv.Connected(Resumed())
		begun := time.Now()
		for i := range 10 {
			conn.Want(Dup(uint16(i+1), 1, fmt.Sprint(i)))
		}
		require.Greater(t, time.Since(begun), 800*time.Millisecond)
	})
}

func TestWhatTheRateHoldsBackIsInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := paced(srv)
		cfg.QueueMessages, cfg.QueueAge = 3, 150*time.Millisecond
		cfg.WhenFull.Acknowledged = mqtt.FullFail
		client, conn := Open(t, srv, cfg)
		PublishAsync(t, client, "0", 1)
		conn.Want(Pub(1, 1, "0"))
		var held []*mqtt.Delivery
		for i := range 3 {
			held = append(held, PublishAsync(t, client, fmt.Sprint(i+1), 1))
		}
		_, err := client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1})
		require.ErrorIs(t, err, mqtt.ErrQueueFull)
		_, err = client.PublishAsync(t.Context(), &mqtt.Message{Topic: "t", QoS: 1, NotQueued: true})
		require.ErrorIs(t, err, mqtt.ErrQueueFull)
		conn.Want(Pub(2, 1, "1"))
		_, err = held[2].Wait(t.Context())
		require.ErrorIs(t, err, mqtt.ErrExpired)
		require.True(t, mqtt.NotSent(err))
	})
}

func TestAMessageThatIsNotQueuedGoesAsSoonAsTheRateAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, paced(srv))
		m := &mqtt.Message{Topic: "t", Payload: []byte("x"), NotQueued: true}
		require.NoError(t, client.PublishMessage(t.Context(), m))
		require.ErrorIs(t, client.PublishMessage(t.Context(), m), mqtt.ErrQueueFull)
		time.Sleep(100 * time.Millisecond)
		require.NoError(t, client.PublishMessage(t.Context(), m))
		conn.Want(Pub(0, 0, "x"), Pub(0, 0, "x"))
		conn.WantIdle()
	})
}

func TestPublishRateIsChecked(t *testing.T) {
	for _, rate := range []mqtt.PublishRate{
		{Messages: -1}, {Messages: math.NaN()}, {Bytes: math.Inf(1)}, {Messages: 1, Burst: -1}, {Burst: time.Second}, {Bytes: 1, Burst: 5},
	} {
		_, err := mqtt.Start("mqtt://server", mqtt.Config{PublishRate: rate})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		require.ErrorContains(t, err, "Config.PublishRate")
	}
}
