package clienttest

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestEveryWaitingConsumerSeesTheEndOfADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 0)
		var consumers []*Call
		for range 3 { // each wants one message; there is one for them all
			consumers = append(consumers, Begin(func() error {
				_, err := sub.Next(t.Context())
				return err
			}))
		}
		synctest.Wait()
		drain := Begin(func() error { return sub.Drain(t.Context()) })
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(Pub(0, 0, "last"), &wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, drain.Wait())
		got := 0
		for _, c := range consumers {
			require.True(t, c.Over())
			if c.Err == nil {
				got++
				continue
			}
			require.ErrorIs(t, c.Err, mqtt.ErrUnsubscribed)
		}
		require.Equal(t, 1, got)
	})
}

func TestSubscribeReturnsAlthoughTheFirstMessagesFillABlockingBuffer(t *testing.T) {
	for name, reversed := range map[string]bool{"after SUBACK": false, "before SUBACK": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				var sub *mqtt.Subscription
				b := Begin(func() (err error) {
					sub, err = client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{
						Filters: Filters("t"), BufferMessages: 2, Overflow: mqtt.Block})
					return err
				})
				ack := Suback(mqtttest.Take[*wire.Subscribe](conn))
				messages := []wire.Packet{Pub(0, 0, "1"), Pub(0, 0, "2"), Pub(0, 0, "3"), Pub(0, 0, "4")}
				if reversed {
					conn.Send(messages...)
					synctest.Wait()
					conn.Send(ack)
				} else {
					conn.Send(append([]wire.Packet{ack}, messages...)...)
				}
				require.True(t, b.Over(), "nobody can receive before Subscribe returns")
				require.NoError(t, b.Wait())
				conn.Send(Pub(0, 0, "5"))
				synctest.Wait()
				WantMessages(t, sub, "1", "2", "3", "4", "5")
				require.Zero(t, sub.Dropped())
			})
		})
	}
}

func TestMessageMayBeCopiedAsSoonAsItIsReceived(t *testing.T) {
	srv := mqtttest.NewServer(t, wire.V5)
	client, conn := Open(t, srv, Quiet(srv))
	sub := Subscribe(t, client, conn, "t", 1)
	var consumers sync.WaitGroup
	var mu sync.Mutex
	var copies []mqtt.Message
	for range 2 {
		consumers.Go(func() {
			for m := range sub.Messages() {
				own := *m
				mu.Lock()
				copies = append(copies, own)
				mu.Unlock()
			}
		})
	}
	for i := range 200 {
		conn.Send(Pub(uint16(i+1), 1, "x"))
	}
	for i := range 200 {
		conn.Want(Puback(uint16(i + 1)))
	}
	end := Begin(client.Close)
	conn.WantDisconnect(wire.NormalDisconnection)
	require.NoError(t, end.Wait())
	consumers.Wait()
	require.Len(t, copies, 200)
}

func TestMessagesThatABlockedReaderGivesUpAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{
			Filters: Filters("t"), BufferMessages: 1, Overflow: mqtt.Block})
		conn.Send(Pub(0, 0, "1"), Pub(0, 0, "2"), Pub(0, 0, "3"))
		synctest.Wait()
		require.Zero(t, sub.Dropped())
		end := Begin(client.Close)
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.Equal(t, uint64(2), sub.Dropped())
	})
}

// lateDeadline is a connection that another goroutine overtakes, once, before a
// write deadline takes effect.
type lateDeadline struct {
	net.Conn
	overtake  atomic.Pointer[func()]
	overtaken chan struct{}
}

func (c *lateDeadline) SetWriteDeadline(t time.Time) error {
	if f := c.overtake.Swap(nil); f != nil {
		(*f)()
		<-c.overtaken
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *lateDeadline) SetDeadline(t time.Time) error {
	defer func() {
		select {
		case c.overtaken <- struct{}{}:
		default:
		}
	}()
	return c.Conn.SetDeadline(t)
}

func TestCloseIsNotHeldUpByAWriteThatBeginsAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 1 << 10})
		cfg := Quiet(srv)
		nc := &lateDeadline{overtaken: make(chan struct{}, 1)}
		cfg.Dial = func(ctx context.Context, network, address string) (_ net.Conn, err error) {
			nc.Conn, err = srv.Dial(ctx, network, address)
			return nc, err
		}
		client, conn := Open(t, srv, cfg)
		// The reader waits for room, so that it does not see the deadline either.
		SubscribeWith(t, client, conn, mqtt.SubscribeOptions{
			Filters: Filters("t"), BufferMessages: 1, Overflow: mqtt.Block})
		conn.Send(Pub(0, 0, "1"), Pub(0, 0, "2"))
		synctest.Wait()
		var end *Call
		nc.overtake.Store(new(func() { end = Begin(client.Close) }))
		start := time.Now()
		PublishAsync(t, client, strings.Repeat("x", 1<<16), 1) // the server does not read it
		synctest.Wait()
		require.NoError(t, end.Wait())
		require.LessOrEqual(t, time.Since(start), 2*time.Second)
	})
}
