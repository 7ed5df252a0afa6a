package stresstest

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// slowly opens a client whose network takes 64 KiB and then waits for the server
// to read.
func slowly(t *testing.T) (*mqtttest.Server, *mqtt.Client, *mqtttest.Conn) {
	t.Helper()
	srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 64 << 10})
	client, conn := Open(t, srv, Quiet(srv))
	return srv, client, conn
}

func large() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 1<<16) } // 1 MiB

func TestLargePayloadsArriveWhole(t *testing.T) {
	for qos := range mqtt.QoS(3) {
		synctest.Test(t, func(t *testing.T) {
			_, client, conn := slowly(t)
			done := Begin(func() error { return client.Publish(t.Context(), "t", large(), qos) })
			synctest.Wait()
			behind := PublishAsync(t, client, "behind", 0)
			p := mqtttest.Take[*wire.Publish](conn)
			require.True(t, bytes.Equal(large(), p.Payload))
			require.Equal(t, qos, p.QoS)
			conn.Want(Pub(0, 0, "behind"))
			switch qos {
			case 1:
				conn.Send(Puback(p.PacketID))
			case 2:
				conn.Send(Pubrec(p.PacketID))
				conn.Want(Pubrel(p.PacketID))
				conn.Send(Pubcomp(p.PacketID))
			}
			require.NoError(t, done.Wait())
			require.True(t, Settled(behind))
			require.NoError(t, client.Flush(t.Context()))
		})
	}
}

func TestALargePayloadIsTheCallersWhenPublishIsCancelled(t *testing.T) {
	for qos := range mqtt.QoS(3) {
		synctest.Test(t, func(t *testing.T) {
			_, client, conn := slowly(t)
			ctx, cancel := context.WithCancel(t.Context())
			payload := large()
			done := Begin(func() error { return client.Publish(ctx, "t", payload, qos) })
			synctest.Wait()
			require.False(t, done.Over(), "the network is full")
			cancel()
			err := done.Wait()
			require.ErrorIs(t, err, context.Canceled)
			require.False(t, mqtt.NotSent(err))
			clear(payload)
			p := mqtttest.Take[*wire.Publish](conn)
			require.True(t, bytes.Equal(large(), p.Payload))
			if qos > 0 {
				conn.Send(Puback(p.PacketID), Puback(p.PacketID))
			}
		})
	}
}

func TestALargePayloadThatIsCutSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client, conn := slowly(t)
		done := Begin(func() error { return client.Publish(t.Context(), "t", large(), 0) })
		synctest.Wait()
		flushed := Begin(func() error { return client.Flush(t.Context()) })
		synctest.Wait()
		acknowledged := PublishAsync(t, client, string(large()), 1)
		synctest.Wait()
		require.False(t, done.Over())
		conn.Close()
		err := done.Wait()
		require.ErrorIs(t, err, mqtt.ErrConnectionLost)
		require.False(t, mqtt.NotSent(err))
		require.NoError(t, flushed.Wait(), "nothing of what it waited for is on its way")
		conn = srv.Connected(Resumed())
		p := mqtttest.Take[*wire.Publish](conn)
		require.True(t, bytes.Equal(large(), p.Payload))
		conn.Send(Puback(p.PacketID))
		_, err = acknowledged.Wait(t.Context())
		require.NoError(t, err)
	})
}

func TestTheServerIsHeardWhileALargePayloadIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn := slowly(t)
		sub := Subscribe(t, client, conn, "t", 1)
		payload := bytes.Repeat(large(), 8) // more than the reader lets answers gather
		done := Begin(func() error { return client.Publish(t.Context(), "o", payload, 0) })
		synctest.Wait()
		for i := range uint16(5) {
			conn.Send(Pub(i+1, 1, "in"))
			require.Equal(t, "in", string(Next(t, sub).Payload))
		}
		p := mqtttest.Take[*wire.Publish](conn)
		require.True(t, bytes.Equal(payload, p.Payload))
		for i := range uint16(5) {
			conn.Want(Puback(i + 1))
		}
		require.NoError(t, done.Wait())
	})
}
