package mqtt_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestFlushWaitsForWhatWasAcceptedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		publishAsync(t, client, "1", 2)
		flush := begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.over())
		publishAsync(t, client, "later", 1)
		conn.Want(pub(1, 2, "1"), pub(2, 1, "later"))
		conn.Send(pubrec(1))
		conn.Want(pubrel(1))
		require.False(t, flush.over())
		conn.Send(pubcomp(1))
		require.NoError(t, flush.wait())
	})
}

func TestFlushWaitsForTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1024})
		client, conn := open(t, srv, quiet(srv))
		require.NoError(t, client.Publish(t.Context(), "t", make([]byte, 4096), 0))
		flush := begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.over())
		mqtttest.Take[*wire.Publish](conn)
		require.NoError(t, flush.wait())
	})
}

func TestFlushSaysWhenQoS0MessagesWereLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1024})
		client, conn := open(t, srv, quiet(srv))
		require.NoError(t, client.Publish(t.Context(), "t", make([]byte, 4096), 0))
		flush := begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.over())
		conn.Close()
		require.ErrorIs(t, flush.wait(), mqtt.ErrConnectionLost)
	})
}

func TestFlushAndDisconnectKnowWhatEarlierConnectionsLost(t *testing.T) {
	large := make([]byte, 4096)
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1024})
		client, conn := open(t, srv, quiet(srv))
		for range 3 {
			require.NoError(t, client.Publish(t.Context(), "t", large, 0))
		}
		conn.Close()
		synctest.Wait()
		err := client.Flush(t.Context())
		require.ErrorIs(t, err, mqtt.ErrConnectionLost)
		require.ErrorContains(t, err, "3 QoS 0 messages")
		require.False(t, mqtt.NotSent(err))
		require.NoError(t, client.Flush(t.Context()), "it was told")

		conn = srv.Connected(resumed())
		require.NoError(t, client.Publish(t.Context(), "t", []byte("small"), 0))
		conn.Want(pub(0, 0, "small"))
		acknowledged := publishAsync(t, client, "acknowledged", 1)
		conn.Want(pub(1, 1, "acknowledged"))
		require.NoError(t, client.Publish(t.Context(), "t", large, 0))
		flushes := []*call{
			begin(func() error { return client.Flush(t.Context()) }),
			begin(func() error { return client.Flush(t.Context()) }),
		}
		require.False(t, flushes[0].over())
		conn.Close()
		conn = srv.Connected(resumed())
		conn.Want(dup(1, 1, "acknowledged"))
		require.False(t, flushes[0].over(), "it waits for the rest")
		conn.Send(puback(1))
		<-acknowledged.Done()
		for _, flush := range flushes {
			require.ErrorContains(t, flush.wait(), "1 QoS 0 messages")
		}

		require.NoError(t, client.Publish(t.Context(), "t", large, 0))
		conn.Close()
		synctest.Wait()
		require.ErrorContains(t, client.Disconnect(t.Context()), "1 QoS 0 messages")
	})
}

func TestFlushKnowsThatMessagesAtMostOnceWereWrittenBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		for i := range 10 {
			require.NoError(t, client.Publish(t.Context(), "t", fmt.Append(nil, i), 0))
		}
		synctest.Wait()
		conn.Close()
		synctest.Wait()
		require.NoError(t, client.Flush(t.Context()))
	})
}

func TestFlushOfAcknowledgedMessagesDoesNotWaitForTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1024})
		client, conn := open(t, srv, quiet(srv))
		publishAsync(t, client, "1", 1)
		conn.Want(pub(1, 1, "1"))
		flush := begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.over())
		publishAsync(t, client, string(make([]byte, 4096)), 1)
		conn.Send(puback(1))
		require.True(t, flush.over())
		require.NoError(t, flush.wait())
	})
}

func TestFlushEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, _ := open(t, srv, quiet(srv))
		publishAsync(t, client, "1", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, client.Flush(ctx), context.DeadlineExceeded)
	})
}

func TestFlushDoesNotSayThatCloseHasDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, _ := open(t, srv, quiet(srv))
		publishAsync(t, client, "1", 1)
		flush := begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.over())
		require.NoError(t, client.Close())
		require.ErrorIs(t, flush.wait(), mqtt.ErrClosed)
	})
}

func TestWithdrawnMessageDoesNotHoldUpFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := openWith(t, srv, quiet(srv), &wire.Connack{ReceiveMaximum: 1})
		publishAsync(t, client, "1", 1)
		ctx, cancel := context.WithCancel(t.Context())
		call := begin(func() error { return client.Publish(ctx, "t", nil, 1) })
		synctest.Wait()
		flush := begin(func() error { return client.Flush(t.Context()) })
		require.False(t, flush.over())
		cancel()
		require.True(t, mqtt.NotSent(call.wait()))
		require.False(t, flush.over())
		conn.Want(pub(1, 1, "1"))
		conn.Send(puback(1))
		require.NoError(t, flush.wait())
	})
}
