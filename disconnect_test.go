package mqtt_test

import (
	"context"
	"net"
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

func TestDisconnectChangesTheSessionExpiry(t *testing.T) {
	for name, c := range map[string]struct {
		resume bool
		expiry *time.Duration
		want   *uint32
	}{
		"default":             {want: new(uint32(0))},
		"default of a resume": {resume: true},
		"end":                 {resume: true, expiry: new(time.Duration(0)), want: new(uint32(0))},
		"shorter":             {resume: true, expiry: new(1500 * time.Millisecond), want: new(uint32(2))},
		"kept all the same":   {expiry: new(time.Hour), want: new(uint32(3600))},
		"forever":             {resume: true, expiry: new(time.Duration(-1)), want: new(uint32(0xffffffff))},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				cfg.Resume = c.resume
				client, conn := Open(t, srv, cfg)
				end := Begin(func() error {
					return client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{
						SessionExpiry: c.expiry, ReasonString: "leaving", UserProperties: []mqtt.UserProperty{{Name: "k", Value: "v"}},
					})
				})
				p := mqtttest.Take[*wire.Disconnect](conn)
				require.Equal(t, &wire.Disconnect{
					SessionExpiryInterval: c.want, ReasonString: "leaving", UserProperties: []wire.UserProperty{{Name: "k", Value: "v"}},
				}, p)
				require.NoError(t, end.Wait())
			})
		})
	}
}

func TestDisconnectCanNotKeepASessionThatEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.SessionExpiry = -1
		client, conn := Open(t, srv, cfg)
		err := client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{SessionExpiry: new(time.Hour)})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		err = client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{ReasonString: "\x00"})
		require.ErrorIs(t, err, mqtt.ErrInvalid)
		conn.WantIdle()
		require.Equal(t, mqtt.Connected, client.State(), "the client goes on")
	})
}

func TestDisconnectBefore5HasNothingToSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, Quiet(srv))
		end := Begin(func() error {
			return client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{SessionExpiry: new(time.Hour), ReasonString: "leaving"})
		})
		conn.Want(&wire.Disconnect{})
		require.NoError(t, end.Wait())
	})
}

func TestDisconnectLeavesOutTextThatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{MaximumPacketSize: 20})
		end := Begin(func() error {
			return client.DisconnectWith(t.Context(), mqtt.DisconnectOptions{ReasonCode: mqtt.QuotaExceeded, ReasonString: "far too long for this server"})
		})
		p := mqtttest.Take[*wire.Disconnect](conn)
		require.Equal(t, mqtt.QuotaExceeded, p.ReasonCode)
		require.Empty(t, p.ReasonString)
		require.NoError(t, end.Wait())
	})
}

func TestCloseSaysDisconnectAndEndsEveryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.SessionExpiry = -1
		cfg.QueueMessages = 1
		client, conn := OpenWith(t, srv, cfg, &wire.Connack{ReceiveMaximum: 1})
		sub := Subscribe(t, client, conn, "a", 1)
		sent := Publish(t, client, "sent", 1)
		conn.Want(Pub(2, 1, "sent"))
		queued := Publish(t, client, "queued", 1)
		synctest.Wait()
		noRoom := Publish(t, client, "no room", 1)
		waits := []*Call{
			Begin(func() error { return client.Flush(t.Context()) }),
			Begin(func() error { _, err := sub.Next(t.Context()); return err }),
			Begin(func() error { _, err := client.Subscribe(t.Context(), "b", 0); return err }),
			Begin(func() error { return client.Unsubscribe(t.Context(), "c") }),
		}
		messages := Begin(func() error {
			for range sub.Messages() {
			}
			return sub.Err()
		})
		synctest.Wait()
		end := Begin(client.Close)
		mqtttest.Take[wire.Packet](conn) // SUBSCRIBE and UNSUBSCRIBE, in any order
		mqtttest.Take[wire.Packet](conn)
		conn.Want(&wire.Disconnect{})
		conn.WantClosed()
		require.NoError(t, end.Wait())
		for _, w := range append(waits, messages, sent, queued, noRoom) {
			require.True(t, w.Over())
			require.ErrorIs(t, w.Wait(), mqtt.ErrClosed)
		}
		require.False(t, mqtt.NotSent(sent.Wait()))
		require.True(t, mqtt.NotSent(queued.Wait()))
		require.True(t, mqtt.NotSent(noRoom.Wait()))
		require.Equal(t, mqtt.Closed, client.State())
		require.ErrorIs(t, client.Err(), mqtt.ErrClosed)
	})
}

func TestEverythingAfterCloseSaysClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "a", 1)
		unread := Subscribe(t, client, conn, "b", 1)
		conn.Send(To("a", IDs(Pub(1, 1, "late"), 1)))
		synctest.Wait()
		m, err := sub.Next(t.Context())
		require.NoError(t, err)
		end := Begin(client.Close)
		conn.Skip()
		conn.Close()
		require.NoError(t, end.Wait())
		<-client.Done()

		ctx := t.Context()
		for qos := range mqtt.QoS(3) {
			err := client.Publish(ctx, "t", nil, qos)
			require.ErrorIs(t, err, mqtt.ErrClosed)
			require.True(t, mqtt.NotSent(err))
		}
		_, err = client.PublishAsync(ctx, &mqtt.Message{Topic: "t"})
		require.ErrorIs(t, err, mqtt.ErrClosed)
		_, err = client.Subscribe(ctx, "a", 0)
		require.ErrorIs(t, err, mqtt.ErrClosed)
		require.True(t, mqtt.NotSent(err))
		err = client.Unsubscribe(ctx, "a")
		require.ErrorIs(t, err, mqtt.ErrClosed)
		require.True(t, mqtt.NotSent(err))
		require.ErrorIs(t, client.Flush(ctx), mqtt.ErrClosed)
		_, err = sub.Next(ctx)
		require.ErrorIs(t, err, mqtt.ErrClosed)
		_, open := <-unread.Messages()
		require.False(t, open)
		require.ErrorIs(t, unread.Err(), mqtt.ErrClosed)
		for _, err := range sub.All(ctx) {
			require.ErrorIs(t, err, mqtt.ErrClosed)
		}
		m.Ack()
		sub.Unsubscribe(ctx)
		sub.Drain(ctx)
		_, open = <-client.Watch(ctx)
		require.False(t, open)
		require.NoError(t, client.Close())
		require.NoError(t, client.Disconnect(ctx))
		require.Equal(t, mqtt.Closed, client.State())
		client.Stats()
		client.ServerInfo()
	})
}

func TestCloseReturnsAlthoughTheServerDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 512})
		client, _ := Open(t, srv, Quiet(srv))
		require.NoError(t, client.Publish(t.Context(), "t", make([]byte, 64<<10), 0))
		synctest.Wait() // the writer is stuck
		begun := time.Now()
		require.NoError(t, client.Close())
		require.LessOrEqual(t, time.Since(begun), 2*time.Second)
	})
}

// hurriedConn begins a Close while the writer is about to set its deadline.
type hurriedConn struct {
	net.Conn
	close   atomic.Pointer[func()]
	hurried chan struct{}
}

func (c *hurriedConn) SetWriteDeadline(t time.Time) error {
	if f := c.close.Swap(nil); f != nil {
		go (*f)()
		<-c.hurried
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *hurriedConn) SetDeadline(t time.Time) error {
	defer close(c.hurried)
	return c.Conn.SetDeadline(t)
}

func TestCloseIsNotHeldUpByAWriteThatJustBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 512})
		cfg := Quiet(srv)
		conn := &hurriedConn{hurried: make(chan struct{})}
		cfg.Dial = func(ctx context.Context, network, address string) (nc net.Conn, err error) {
			conn.Conn, err = srv.Dial(ctx, network, address)
			return conn, err
		}
		client, _ := Open(t, srv, cfg)
		begun := time.Now()
		conn.close.Store(new(func() { client.Close() }))
		require.NoError(t, client.Publish(t.Context(), "t", make([]byte, 64<<10), 0))
		<-client.Done()
		require.LessOrEqual(t, time.Since(begun), 2*time.Second)
	})
}

func TestCloseReturnsAlthoughTheServerDoesNotClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		begun := time.Now()
		require.NoError(t, client.Close())
		require.LessOrEqual(t, time.Since(begun), 2*time.Second)
		mqtttest.Take[*wire.Disconnect](conn)
	})
}

func TestCloseWhileAServerTalksWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		end := Begin(client.Close)
		mqtttest.Take[*wire.Disconnect](conn)
		conn.Offer(Pub(1, 1, "x"), &wire.Pingresp{}, Pub(0, 0, "x"), &wire.Disconnect{ReasonCode: wire.ServerShuttingDown})
		require.NoError(t, end.Wait())
		require.ErrorIs(t, client.Err(), mqtt.ErrClosed)
		conn.WantClosed()
	})
}

func TestConcurrentClosesAllReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		var ends []*Call
		for range 5 {
			ends = append(ends, Begin(client.Close), Begin(func() error { return client.Disconnect(t.Context()) }))
		}
		mqtttest.Take[*wire.Disconnect](conn)
		conn.WantClosed() // and nothing behind DISCONNECT
		for _, end := range ends {
			require.NoError(t, end.Wait())
		}
	})
}

func TestCloseWhileWaitingToReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		srv.Refuse()
		conn.Close()
		srv.WantNone(time.Minute)
		require.NotEqual(t, mqtt.Connected, client.State())
		begun := time.Now()
		require.NoError(t, client.Close())
		require.Zero(t, time.Since(begun))
		require.ErrorIs(t, client.Err(), mqtt.ErrClosed)
	})
}

func TestCloseWhileDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		var stuck atomic.Bool
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if stuck.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return srv.Dial(ctx, network, address)
		}
		client, conn := Open(t, srv, cfg)
		stuck.Store(true)
		conn.Close()
		srv.WantNone(time.Second)
		require.Equal(t, mqtt.Connecting, client.State())
		begun := time.Now()
		require.NoError(t, client.Close())
		require.Zero(t, time.Since(begun))
	})
}

func TestCloseDuringTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		conn.Close()
		conn = srv.Accept()
		conn.WantConnect()
		begun := time.Now()
		require.NoError(t, client.Close())
		require.Zero(t, time.Since(begun))
		conn.WantClosed()
	})
}

func TestCloseRacesWithConnack(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			conn.Close()
			conn = srv.Accept()
			conn.WantConnect()
			end := Begin(client.Close)
			conn.Offer(&wire.Connack{SessionPresent: true})
			// Perhaps a DISCONNECT, certainly the end.
			if _, ok := mqtttest.TakeWithin[*wire.Disconnect](conn, time.Minute); ok {
				conn.WantClosed()
			}
			require.NoError(t, end.Wait())
			require.ErrorIs(t, client.Err(), mqtt.ErrClosed)
			srv.WantNone(time.Minute)
		})
	}
}

func TestCloseFromADialFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		var client atomic.Pointer[mqtt.Client]
		closed := make(chan error, 1)
		cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if c := client.Load(); c != nil {
				closed <- c.Close()
			}
			return srv.Dial(ctx, network, address)
		}
		c, conn := Open(t, srv, cfg)
		client.Store(c)
		conn.Close()
		require.NoError(t, <-closed)
		<-c.Done()
	})
}

func TestCloseRacesWithEverything(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			cfg := Quiet(srv)
			cfg.QueueMessages = 2
			client, conn := OpenWith(t, srv, cfg, &wire.Connack{ReceiveMaximum: 2})
			sub := Subscribe(t, client, conn, "t", 2)
			drained := Subscribe(t, client, conn, "d", 2)
			consume := Begin(func() error {
				for range sub.Messages() {
				}
				return sub.Err()
			})
			calls := []*Call{
				Begin(func() error { _, err := client.Subscribe(t.Context(), "x", 1); return err }),
				Begin(func() error { return client.Unsubscribe(t.Context(), "y") }),
				Begin(func() error { return drained.Drain(t.Context()) }),
				Begin(func() error { return client.Flush(t.Context()) }),
				Begin(func() error { return client.Disconnect(t.Context()) }),
				Begin(func() error {
					for range client.Watch(t.Context()) {
					}
					return nil
				}),
			}
			for range 4 {
				for qos := range mqtt.QoS(3) {
					calls = append(calls, Publish(t, client, "x", qos))
				}
			}
			conn.Send(Pub(1, 1, "m"), Pub(2, 2, "m"), Pub(0, 0, "m"))
			Begin(func() error { conn.Close(); return nil })
			require.NoError(t, client.Close())
			for i, c := range calls {
				require.True(t, c.Over(), "call %d", i)
			}
			require.ErrorIs(t, consume.Wait(), mqtt.ErrClosed)
		})
	}
}

func TestDrainReturnsWhenTheClientCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(1, 1, "nobody takes it"))
		synctest.Wait()
		drain := Begin(func() error { return sub.Drain(t.Context()) })
		p := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.Success}})
		require.False(t, drain.Over())
		require.NoError(t, client.Close())
		require.True(t, drain.Over())
		require.ErrorIs(t, drain.Wait(), mqtt.ErrClosed)
	})
}

func TestDisconnectWaitsForWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{ReceiveMaximum: 1})
		one, two := PublishAsync(t, client, "1", 1), PublishAsync(t, client, "2", 2)
		end := Begin(func() error { return client.Disconnect(t.Context()) })
		conn.Want(Pub(1, 1, "1"))
		require.False(t, end.Over())
		conn.Send(Puback(1))
		conn.Want(Pub(2, 2, "2"))
		conn.Send(Pubrec(2))
		conn.Want(Pubrel(2))
		require.False(t, end.Over())
		conn.Send(Pubcomp(2))
		conn.Want(&wire.Disconnect{SessionExpiryInterval: new(uint32(0))})
		conn.WantClosed()
		require.NoError(t, end.Wait())
		for _, d := range []*mqtt.Delivery{one, two} {
			_, err := d.Wait(t.Context())
			require.NoError(t, err)
		}
	})
}

func TestDisconnectSurvivesALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		PublishAsync(t, client, "1", 1)
		end := Begin(func() error { return client.Disconnect(t.Context()) })
		conn.Want(Pub(1, 1, "1"))
		conn.Close()
		conn = srv.Connected(Resumed())
		conn.Want(Dup(1, 1, "1"))
		conn.Send(Puback(1))
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
	})
}

func TestDisconnectClosesWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		d := PublishAsync(t, client, "1", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		end := Begin(func() error { return client.Disconnect(ctx) })
		conn.Want(Pub(1, 1, "1"))
		conn.WantDisconnect(wire.NormalDisconnection)
		err := end.Wait()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "1 published messages unfinished")
		_, err = d.Wait(t.Context())
		require.ErrorIs(t, err, mqtt.ErrClosed)
		require.False(t, mqtt.NotSent(err))
	})
}

func TestDisconnectGivesItsReason(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.SessionExpiry = -1
		client, conn := Open(t, srv, cfg)
		require.ErrorIs(t, client.Disconnect(t.Context(), mqtt.ServerBusy), mqtt.ErrInvalid)
		require.Equal(t, mqtt.Connected, client.State(), "a code that only servers give ends nothing")
		end := Begin(func() error { return client.Disconnect(t.Context(), mqtt.DisconnectWithWill) })
		if v == wire.V5 {
			conn.WantDisconnect(wire.DisconnectWithWill)
		} else {
			conn.WantClosed() // a DISCONNECT would drop the will
		}
		require.NoError(t, end.Wait())
	})
}

func TestCloseWithABlockedSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "t"}}, BufferMessages: 1, Overflow: mqtt.Block})
		conn.Send(Pub(0, 0, "1"), Pub(0, 0, "2"), Pub(0, 0, "3"))
		synctest.Wait() // the reader waits for room
		begun := time.Now()
		require.NoError(t, client.Close())
		require.LessOrEqual(t, time.Since(begun), 2*time.Second)
	})
}

func TestCloseFromPermanent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		var client *mqtt.Client
		closed := make(chan error, 1)
		cfg.Permanent = func(error) bool {
			closed <- client.Close()
			return false
		}
		client, conn := Open(t, srv, cfg)
		conn.Close()
		<-client.Done()
		require.NoError(t, <-closed)
		require.ErrorIs(t, client.Err(), mqtt.ErrClosed)
	})
}

func TestDisconnectCutShortByCloseSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		PublishAsync(t, client, "never acknowledged", 1)
		mqtttest.Take[*wire.Publish](conn)
		disconnect := Begin(func() error { return client.Disconnect(t.Context()) })
		synctest.Wait()
		require.NoError(t, client.Close())
		require.ErrorIs(t, disconnect.Wait(), mqtt.ErrClosed)
		require.NoError(t, client.Disconnect(t.Context()), "it has ended already")
	})
}

func TestAckAfterTheEndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: []mqtt.Filter{{Filter: "t", QoS: 1}}, ManualAck: true})
		conn.Send(Pub(1, 1, "x"))
		msg, err := sub.Next(t.Context())
		require.NoError(t, err)
		require.NoError(t, client.Close())
		require.Error(t, msg.Ack())
		require.NoError(t, msg.Ack(), "further calls do nothing")
	})
}
