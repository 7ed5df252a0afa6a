package mqtt_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// idleConsumer is a client with a Subscription on t that nobody receives from,
// and more messages for it than it has room for.
func idleConsumer(t *testing.T, cfg func(*mqtt.Config)) (*mqtttest.Server, *mqtt.Client, *mqtttest.Conn, *mqtt.Subscription) {
	t.Helper()
	srv := mqtttest.NewServer(t, wire.V5)
	c := quiet(srv)
	c.ReceiveMaximum = 4
	cfg(&c)
	client, conn := open(t, srv, c)
	sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("t"), BufferMessages: 2})
	sub.Messages()
	for i := range 4 {
		conn.Send(pub(uint16(i+1), 1, "held"), pub(0, 0, "lossy"), pub(0, 0, "lossy"))
	}
	synctest.Wait()
	return srv, client, conn, sub
}

func TestConsumerThatNeverReceivesDoesNotStopPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, _ := idleConsumer(t, func(c *mqtt.Config) { c.KeepAlive = time.Minute })
		for range 10 {
			mqtttest.Take[*wire.Pingreq](conn)
			conn.Send(&wire.Pingresp{})
		}
		require.Zero(t, client.Stats().Lost)
	})
}

func TestConsumerThatNeverReceivesDoesNotStopOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, _ := idleConsumer(t, func(*mqtt.Config) {})
		conn.WantIdle()
		other := subscribe(t, client, conn, "o", 0)
		conn.Send(to("o", pub(0, 0, "x")))
		wantMessages(t, other, "x")
		call := publish(t, client, "x", 2)
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(pubrec(p.PacketID))
		conn.Want(pubrel(p.PacketID))
		conn.Send(pubcomp(p.PacketID))
		require.NoError(t, call.wait())
		end := begin(func() error { return client.Unsubscribe(t.Context(), "x") })
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.wait())
	})
}

func TestConsumerThatNeverReceivesDoesNotStopClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, sub := idleConsumer(t, func(*mqtt.Config) {})
		end := begin(client.Close)
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.wait())
		require.ErrorIs(t, sub.Err(), mqtt.ErrClosed)
	})
}

func TestPublishingFromALoopWhoseBufferIsFull(t *testing.T) {
	for name, loop := range loops {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := quiet(srv)
				cfg.ReceiveMaximum = 2
				client, conn := open(t, srv, cfg)
				sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("t"), BufferMessages: 2})
				seen := 0
				begin(func() error {
					return loop(t.Context(), sub, func(m *mqtt.Message) error {
						seen++
						return client.Publish(t.Context(), "answer", m.Payload, 1)
					})
				})
				for i := range 10 {
					// More of it comes than there is room for while the loop publishes.
					conn.Send(pub(uint16(i+1), 1, "q"), pub(0, 0, "a"), pub(0, 0, "b"), pub(0, 0, "c"), pub(0, 0, "d"))
					acked := false
					for quiet := false; !quiet; {
						p, ok := mqtttest.TakeWithin[wire.Packet](conn, time.Second)
						quiet = !ok
						switch p := p.(type) {
						case *wire.Publish:
							conn.Send(puback(p.PacketID))
						case *wire.Puback:
							require.Equal(t, uint16(i+1), p.PacketID)
							acked = true
						}
					}
					require.True(t, acked)
				}
				require.GreaterOrEqual(t, seen, 20)
			})
		})
	}
}

// loops are the ways to receive; each ends with the first error of f.
var loops = map[string]func(context.Context, *mqtt.Subscription, func(*mqtt.Message) error) error{
	"Stream": func(ctx context.Context, sub *mqtt.Subscription, f func(*mqtt.Message) error) error {
		for m := range sub.Stream(ctx) {
			if err := f(m); err != nil {
				return err
			}
		}
		return errors.Join(ctx.Err(), sub.Err())
	},
	"Handle": func(ctx context.Context, sub *mqtt.Subscription, f func(*mqtt.Message) error) error {
		err := sub.Handle(ctx, func(_ context.Context, m *mqtt.Message) error { return f(m) })
		if errors.Is(err, mqtt.ErrUnsubscribed) {
			return nil
		}
		return err
	},
	"Messages": func(_ context.Context, sub *mqtt.Subscription, f func(*mqtt.Message) error) error {
		for m := range sub.Messages() {
			if err := f(m); err != nil {
				return err
			}
		}
		return sub.Err()
	},
	"Next": func(ctx context.Context, sub *mqtt.Subscription, f func(*mqtt.Message) error) error {
		for {
			m, err := sub.Next(ctx)
			if errors.Is(err, mqtt.ErrUnsubscribed) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := f(m); err != nil {
				return err
			}
		}
	},
	"All": func(ctx context.Context, sub *mqtt.Subscription, f func(*mqtt.Message) error) error {
		for m, err := range sub.All(ctx) {
			if err != nil {
				return err
			}
			if err := f(m); err != nil {
				return err
			}
		}
		return nil
	},
}

func TestEverythingMayBeCalledFromALoop(t *testing.T) {
	for name, loop := range loops {
		for action, f := range map[string]struct {
			do   func(context.Context, *mqtt.Client, *mqtt.Subscription) error
			ends error // what the loop ends with
		}{
			"publish": {func(ctx context.Context, c *mqtt.Client, _ *mqtt.Subscription) error {
				return c.Publish(ctx, "x", nil, 2)
			}, mqtt.ErrClosed},
			"subscribe": {func(ctx context.Context, c *mqtt.Client, _ *mqtt.Subscription) error {
				_, err := c.Subscribe(ctx, "x", 1)
				return err
			}, mqtt.ErrClosed},
			"unsubscribe": {func(ctx context.Context, _ *mqtt.Client, s *mqtt.Subscription) error {
				return s.Unsubscribe(ctx)
			}, nil},
			"flush": {func(ctx context.Context, c *mqtt.Client, _ *mqtt.Subscription) error {
				return c.Flush(ctx)
			}, mqtt.ErrClosed},
			"close": {func(_ context.Context, c *mqtt.Client, _ *mqtt.Subscription) error {
				return c.Close()
			}, mqtt.ErrClosed},
			"disconnect": {func(ctx context.Context, c *mqtt.Client, _ *mqtt.Subscription) error {
				return c.Disconnect(ctx)
			}, mqtt.ErrClosed},
		} {
			t.Run(name+" "+action, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					client, conn := open(t, srv, quiet(srv))
					sub := subscribe(t, client, conn, "t", 1)
					did := make(chan error, 1)
					looped := begin(func() error {
						return loop(t.Context(), sub, func(*mqtt.Message) error {
							did <- f.do(t.Context(), client, sub)
							return nil
						})
					})
					conn.Send(pub(1, 1, "x"))
					obey(conn)
					require.NoError(t, <-did)
					require.NoError(t, client.Close())
					require.ErrorIs(t, looped.wait(), f.ends)
				})
			})
		}
	}
}

// obey answers everything that comes, until nothing more does.
func obey(conn *mqtttest.Conn) {
	for {
		p, ok := mqtttest.TakeWithin[wire.Packet](conn, 10*time.Second)
		if !ok {
			return
		}
		switch p := p.(type) {
		case *wire.Publish:
			if p.QoS == 1 {
				conn.Send(puback(p.PacketID))
			} else if p.QoS == 2 {
				conn.Send(pubrec(p.PacketID))
			}
		case *wire.Pubrel:
			conn.Send(pubcomp(p.PacketID))
		case *wire.Subscribe:
			conn.Send(suback(p))
		case *wire.Unsubscribe:
			conn.Send(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))})
		case *wire.Disconnect:
			conn.Close()
			return
		}
	}
}

func TestCloseFromALoopWhoseLastMessageIsNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 1)
		conn.Send(pub(1, 1, "1"), pub(2, 1, "2"))
		synctest.Wait()
		got := 0
		for m, err := range sub.All(t.Context()) {
			if err != nil {
				require.ErrorIs(t, err, mqtt.ErrClosed)
				break
			}
			got++
			require.Equal(t, "1", string(m.Payload))
			require.NoError(t, client.Close())
		}
		require.Equal(t, 1, got)
		conn.WantDisconnect(wire.NormalDisconnection) // and no PUBACK: the body was not done
	})
}

func TestMessagesAreAcknowledgedWhenHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 2)
		conn.Send(pub(1, 1, "1"), pub(2, 2, "2"), pub(3, 1, "3"))
		conn.WantIdle()
		next(t, sub)
		conn.Want(puback(1))
		messages := sub.Messages()
		conn.WantIdle() // on its way to the channel, but not taken
		<-messages
		conn.Want(pubrec(2))
		conn.WantIdle()
		<-messages
		conn.Want(puback(3))
		conn.Send(pubrel(2))
		conn.Want(pubcomp(2))
	})
}

func TestAllAcknowledgesAfterTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 2)
		conn.Send(pub(1, 1, "1"), pub(2, 2, "2"))
		n := 0
		for _, err := range sub.All(t.Context()) {
			require.NoError(t, err)
			if n++; n == 1 {
				conn.WantIdle()
				continue
			}
			conn.Want(puback(1))
			conn.WantIdle()
			break
		}
		conn.Want(pubrec(2))
	})
}

func TestAllEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribe(t, client, conn, "t", 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		steps := 0
		for m, err := range sub.All(ctx) {
			require.Nil(t, m)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			steps++
		}
		require.Equal(t, 1, steps)
		conn.Send(pub(0, 0, "still there"))
		wantMessages(t, sub, "still there")
	})
}

func TestManualAcksInAnyOrderGoOutInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("t"), ManualAck: true})
		conn.Send(pub(1, 1, "1"), pub(2, 2, "2"), pub(3, 1, "3"), pub(0, 0, "4"))
		m1, m2, m3, m4 := next(t, sub), next(t, sub), next(t, sub), next(t, sub)
		require.NoError(t, m3.Ack())
		require.NoError(t, m2.Ack())
		require.NoError(t, m4.Ack())
		conn.WantIdle()
		require.NoError(t, m1.Ack())
		conn.Want(puback(1), pubrec(2), puback(3))
		require.NoError(t, m1.Ack(), "again")
		conn.WantIdle()
	})
}

func TestReceiveMaximumBoundsWhatIsUnacknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, _ := idleConsumer(t, func(*mqtt.Config) {})
		conn.WantIdle()
		conn.Send(pub(5, 1, "one too many"))
		conn.WantDisconnect(wire.ReceiveMaximumExceeded)
		require.Equal(t, 4, client.Stats().Unfinished)
	})
}

func TestAckSurvivesAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("t"), ManualAck: true})
		conn.Send(pub(1, 1, "1"), pub(2, 2, "2"), pub(3, 1, "3"))
		m1, m2, m3 := next(t, sub), next(t, sub), next(t, sub)
		conn.Close()
		synctest.Wait()
		require.NoError(t, m1.Ack())
		require.NoError(t, m2.Ack())
		conn = srv.Connected(resumed())
		renewed(t, conn)
		conn.Send(dup(1, 1, "1"), dup(2, 2, "2"), dup(3, 1, "3"))
		conn.Want(puback(1), pubrec(2))
		require.NoError(t, m3.Ack())
		conn.Want(puback(3))
		wantMessages(t, sub) // nothing twice
	})
}

func TestAckAfterALostSessionIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("t"), ManualAck: true})
		conn.Send(pub(1, 1, "1"))
		m := next(t, sub)
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		grant(conn)
		conn.Send(pub(1, 1, "1 as a new one"))
		wantAgain := next(t, sub)
		require.ErrorIs(t, m.Ack(), mqtt.ErrStale)
		conn.WantIdle()
		require.NoError(t, wantAgain.Ack())
		conn.Want(puback(1))
	})
}

func TestQoS0Overflow(t *testing.T) {
	for _, test := range []struct {
		policy mqtt.Overflow
		kept   []string
	}{
		{mqtt.DropNewest, []string{"0", "1", "q"}},
		{mqtt.DropOldest, []string{"q", "3", "4"}},
	} {
		for name, o := range map[string]mqtt.SubscribeOptions{"messages": {BufferMessages: 2}, "bytes": {BufferBytes: 4}} {
			t.Run(fmt.Sprint(test.policy, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					client, conn := open(t, srv, quiet(srv))
					o.Filters, o.Overflow = filters("t"), test.policy
					sub := subscribeWith(t, client, conn, o)
					events := client.Watch(t.Context())
					for i := range 5 {
						if i == 2 {
							conn.Send(pub(1, 1, "q")) // has always room
						}
						conn.Send(pub(0, 0, fmt.Sprint(i)))
					}
					synctest.Wait()
					require.Equal(t, uint64(3), sub.Dropped())
					require.Equal(t, uint64(3), client.Stats().Dropped)
					wantMessages(t, sub, test.kept...)
					// A second episode.
					conn.Send(pub(0, 0, "5"), pub(0, 0, "6"), pub(0, 0, "7"), pub(0, 0, "8"))
					synctest.Wait()
					require.Equal(t, uint64(5), sub.Dropped())
					episodes := 0
					for seen(events, func(e mqtt.Event) bool { return e.Subscription == sub && errors.Is(e.Err, mqtt.ErrQueueFull) }) {
						episodes++
					}
					require.Equal(t, 2, episodes)
				})
			})
		}
	}
}

func TestBlockStopsReadingUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 8 << 10})
		client, conn := open(t, srv, quiet(srv))
		sub := subscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: filters("t"), BufferMessages: 2, Overflow: mqtt.Block})
		const n = 200
		sent := begin(func() error {
			for i := range n {
				conn.Offer(pub(0, 0, fmt.Sprintf("%0100d", i)))
			}
			return nil
		})
		require.False(t, sent.over(), "the server is slowed down")
		for i := range n {
			require.Equal(t, fmt.Sprintf("%0100d", i), string(next(t, sub).Payload))
		}
		require.NoError(t, sent.wait())
		require.Zero(t, sub.Dropped())
	})
}

func TestReceivedMessageBelongsToItsReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := open(t, srv, quiet(srv))
		a, b := subscribe(t, client, conn, "t", 0), subscribe(t, client, conn, "#", 0)
		p := pub(0, 0, "good")
		p.Retain = true
		p.Properties = &wire.PublishProperties{CorrelationData: []byte("good"), UserProperties: []mqtt.UserProperty{{Name: "a", Value: "good"}},
			SubscriptionIDs: []uint32{1, 2}, ContentType: "c", ResponseTopic: "r", PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(7))}
		conn.Send(p)
		m := next(t, a)
		require.Equal(t, 7*time.Second, *m.MessageExpiryInterval)
		copy(m.Payload, "evil")
		copy(m.CorrelationData, "evil")
		m.UserProperties[0].Value = "evil"
		m.SubscriptionIDs[0] = 99
		*m.MessageExpiryInterval = 0
		conn.Send(to("x", pub(0, 0, "evil")))
		other := next(t, b)
		require.Equal(t, "good", string(other.Payload))
		require.Equal(t, "good", string(other.CorrelationData))
		require.Equal(t, "good", other.UserProperties[0].Value)
		require.Equal(t, []uint32{1, 2}, other.SubscriptionIDs)
		require.Equal(t, 7*time.Second, *other.MessageExpiryInterval)
		require.True(t, other.Retain)
		// It can be published as it is.
		require.NoError(t, client.PublishMessage(t.Context(), other))
		p.Properties.SubscriptionIDs = nil
		conn.Want(p)
	})
}
