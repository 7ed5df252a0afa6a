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
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

func TestCloneSharesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		o := mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true}
		sub := SubscribeWith(t, client, conn, o)
		p := Pub(1, 1, "good")
		p.Retain = true
		p.Properties = &wire.PublishProperties{CorrelationData: []byte("good"), UserProperties: []mqtt.UserProperty{{Name: "a", Value: "good"}},
			SubscriptionIDs: []uint32{1}, ContentType: "c", ResponseTopic: "r", PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(7))}
		conn.Send(p)
		m := Next(t, sub)
		clone := m.Clone()
		copy(m.Payload, "evil")
		copy(m.CorrelationData, "evil")
		m.UserProperties[0].Value = "evil"
		m.SubscriptionIDs[0] = 99
		*m.MessageExpiryInterval = 0
		require.Equal(t, "good", string(clone.Payload))
		require.Equal(t, "good", string(clone.CorrelationData))
		require.Equal(t, []mqtt.UserProperty{{Name: "a", Value: "good"}}, clone.UserProperties)
		require.Equal(t, []uint32{1}, clone.SubscriptionIDs)
		require.Equal(t, 7*time.Second, *clone.MessageExpiryInterval)
		require.Equal(t, mqtt.AtLeastOnce, clone.QoS)

		require.NoError(t, clone.Ack())
		conn.WantIdle() // it is no receipt
		require.NoError(t, m.Ack())
		conn.Want(Puback(1))
		p.Properties.SubscriptionIDs, p.PacketID = nil, 2
		Begin(func() error { return client.PublishMessage(t.Context(), clone) })
		conn.Want(p)
	})
}

func TestCloneOfAnEmptyMessage(t *testing.T) {
	clone := new(mqtt.Message).Clone()
	require.NotNil(t, clone.Payload)
	require.Empty(t, clone.Payload)
	require.Nil(t, clone.CorrelationData)
	require.Nil(t, clone.UserProperties)
	require.Nil(t, clone.SubscriptionIDs)
	require.Nil(t, clone.MessageExpiryInterval)
	require.NoError(t, clone.Ack())
}

func lossy(filters ...string) (list []mqtt.Filter) {
	for _, f := range filters {
		list = append(list, mqtt.Filter{Filter: f})
	}
	return list
}

func TestChannelIsBufferedWhereNothingIsAcknowledged(t *testing.T) {
	for name, test := range map[string]struct {
		o    mqtt.SubscribeOptions
		room int
	}{
		"all at most once": {mqtt.SubscribeOptions{Filters: lossy("t", "u")}, 32},
		"one is not":       {mqtt.SubscribeOptions{Filters: append(lossy("t"), Filters("u")...)}, 0},
		"few":              {mqtt.SubscribeOptions{Filters: lossy("t"), BufferMessages: 128}, 2},
		"few bytes":        {mqtt.SubscribeOptions{Filters: lossy("t"), BufferBytes: 64 << 10}, 1},
		"hardly any":       {mqtt.SubscribeOptions{Filters: lossy("t"), BufferMessages: 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				sub := SubscribeWith(t, client, conn, test.o)
				messages := sub.Messages()
				require.Equal(t, test.room, cap(messages))
				for range test.room + 2 {
					conn.Send(Pub(0, 0, "x"))
					synctest.Wait()
				}
				require.Len(t, messages, test.room)
				require.Zero(t, sub.Dropped())
			})
		})
	}
}

func TestUnsubscribeDropsWhatIsInTheChannel(t *testing.T) {
	for _, taken := range []int{0, 5} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: lossy("t")})
			messages := sub.Messages()
			for range 50 {
				conn.Send(Pub(0, 0, "x"))
			}
			for range taken {
				<-messages
			}
			end := Begin(func() error { return sub.Unsubscribe(t.Context()) })
			WantUnsubscribe(t, conn, "t")
			require.NoError(t, end.Wait())
			synctest.Wait()
			m, ok := <-messages
			require.False(t, ok, "%v", m)
		})
	}
}

func TestDrainLeavesWhatIsInTheChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: lossy("t")})
		messages := sub.Messages()
		for range 10 {
			conn.Send(Pub(0, 0, "x"))
		}
		end := Begin(func() error { return sub.Drain(t.Context()) })
		WantUnsubscribe(t, conn, "t")
		require.NoError(t, end.Wait())
		require.NoError(t, client.Close())
		n := 0
		for range messages {
			n++
		}
		require.Equal(t, 10, n)
	})
}

// Another Subscription on the filter has asked for QoS 1. This one gets QoS 0, and
// has nothing to acknowledge.
func TestDroppingFromTheChannelHoldsUpNoAcknowledgement(t *testing.T) {
	for _, manual := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			other := Subscribe(t, client, conn, "t", 1)
			sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: lossy("t"), ManualAck: manual})
			messages := sub.Messages()
			conn.Send(Pub(1, 1, "x"), Pub(2, 1, "x"))
			synctest.Wait()
			require.Len(t, messages, 2)
			WantMessages(t, other, "x", "x")
			conn.Want(Puback(1), Puback(2))
			require.NoError(t, sub.Unsubscribe(t.Context()))
			synctest.Wait()
			_, ok := <-messages
			require.False(t, ok)
		})
	}
}

// idleConsumer is a client with a Subscription on t that nobody receives from,
// and more messages for it than it has room for.
func idleConsumer(t *testing.T, cfg func(*mqtt.Config)) (*mqtttest.Server, *mqtt.Client, *mqtttest.Conn, *mqtt.Subscription) {
	t.Helper()
	srv := mqtttest.NewServer(t, wire.V5)
	c := Quiet(srv)
	c.ReceiveMaximum = 4
	cfg(&c)
	client, conn := Open(t, srv, c)
	sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferMessages: 2})
	sub.Messages()
	for i := range 4 {
		conn.Send(Pub(uint16(i+1), 1, "held"), Pub(0, 0, "lossy"), Pub(0, 0, "lossy"))
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
		other := Subscribe(t, client, conn, "o", 0)
		conn.Send(To("o", Pub(0, 0, "x")))
		WantMessages(t, other, "x")
		call := Publish(t, client, "x", 2)
		p := mqtttest.Take[*wire.Publish](conn)
		conn.Send(Pubrec(p.PacketID))
		conn.Want(Pubrel(p.PacketID))
		conn.Send(Pubcomp(p.PacketID))
		require.NoError(t, call.Wait())
		end := Begin(func() error { return client.Unsubscribe(t.Context(), "x") })
		u := mqtttest.Take[*wire.Unsubscribe](conn)
		conn.Send(&wire.Unsuback{PacketID: u.PacketID, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.Wait())
	})
}

func TestConsumerThatNeverReceivesDoesNotStopClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, sub := idleConsumer(t, func(*mqtt.Config) {})
		end := Begin(client.Close)
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.ErrorIs(t, sub.Err(), mqtt.ErrClosed)
	})
}

func TestPublishingFromALoopWhoseBufferIsFull(t *testing.T) {
	for name, loop := range loops {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				cfg := Quiet(srv)
				cfg.ReceiveMaximum = 2
				client, conn := Open(t, srv, cfg)
				sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferMessages: 2})
				seen := 0
				Begin(func() error {
					return loop(t.Context(), sub, func(m *mqtt.Message) error {
						seen++
						return client.Publish(t.Context(), "answer", m.Payload, 1)
					})
				})
				for i := range 10 {
					// More of it comes than there is room for while the loop publishes.
					conn.Send(Pub(uint16(i+1), 1, "q"), Pub(0, 0, "a"), Pub(0, 0, "b"), Pub(0, 0, "c"), Pub(0, 0, "d"))
					acked := false
					for quiet := false; !quiet; {
						p, ok := mqtttest.TakeWithin[wire.Packet](conn, time.Second)
						quiet = !ok
						switch p := p.(type) {
						case *wire.Publish:
							conn.Send(Puback(p.PacketID))
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
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				err := c.Disconnect(ctx)
				if name != "All" && name != "Handle" { // which are at work on the message
					return err
				}
				left, ok := errors.AsType[*mqtt.UnfinishedError](err)
				if !ok || left.Received != 1 {
					return fmt.Errorf("it waits for itself: %w", err)
				}
				return nil
			}, mqtt.ErrClosed},
		} {
			t.Run(name+" "+action, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					client, conn := Open(t, srv, Quiet(srv))
					sub := Subscribe(t, client, conn, "t", 1)
					did := make(chan error, 1)
					looped := Begin(func() error {
						return loop(t.Context(), sub, func(*mqtt.Message) error {
							did <- f.do(t.Context(), client, sub)
							return nil
						})
					})
					conn.Send(Pub(1, 1, "x"))
					Obey(conn)
					require.NoError(t, <-did)
					require.NoError(t, client.Close())
					require.ErrorIs(t, looped.Wait(), f.ends)
				})
			})
		}
	}
}

func TestCloseFromALoopWhoseLastMessageIsNotDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
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
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"), Pub(3, 1, "3"))
		conn.WantIdle()
		Next(t, sub)
		conn.Want(Puback(1))
		messages := sub.Messages()
		conn.WantIdle() // on its way to the channel, but not taken
		<-messages
		conn.Want(Pubrec(2))
		conn.WantIdle()
		<-messages
		conn.Want(Puback(3))
		conn.Send(Pubrel(2))
		conn.Want(Pubcomp(2))
	})
}

func TestAllAcknowledgesAfterTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"))
		n := 0
		for _, err := range sub.All(t.Context()) {
			require.NoError(t, err)
			if n++; n == 1 {
				conn.WantIdle()
				continue
			}
			conn.Want(Puback(1))
			conn.WantIdle()
			break
		}
		conn.Want(Pubrec(2))
	})
}

func TestAllEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		steps := 0
		for m, err := range sub.All(ctx) {
			require.Nil(t, m)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			steps++
		}
		require.Equal(t, 1, steps)
		conn.Send(Pub(0, 0, "still there"))
		WantMessages(t, sub, "still there")
	})
}

func TestManualAcksInAnyOrderGoOutInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true})
		conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"), Pub(3, 1, "3"), Pub(0, 0, "4"))
		m1, m2, m3, m4 := Next(t, sub), Next(t, sub), Next(t, sub), Next(t, sub)
		require.NoError(t, m3.Ack())
		require.NoError(t, m2.Ack())
		require.NoError(t, m4.Ack())
		conn.WantIdle()
		require.NoError(t, m1.Ack())
		conn.Want(Puback(1), Pubrec(2), Puback(3))
		require.NoError(t, m1.Ack(), "again")
		conn.WantIdle()
	})
}

func TestReceiveMaximumBoundsWhatIsUnacknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, _ := idleConsumer(t, func(*mqtt.Config) {})
		conn.WantIdle()
		conn.Send(Pub(5, 1, "one too many"))
		conn.WantDisconnect(wire.ReceiveMaximumExceeded)
		require.Equal(t, 4, client.Stats().Unfinished)
	})
}

func TestAckSurvivesAReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true})
		conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"), Pub(3, 1, "3"))
		m1, m2, m3 := Next(t, sub), Next(t, sub), Next(t, sub)
		conn.Close()
		synctest.Wait()
		require.NoError(t, m1.Ack())
		require.NoError(t, m2.Ack())
		conn = srv.Connected(Resumed())
		Renewed(t, conn)
		conn.Send(Dup(1, 1, "1"), Dup(2, 2, "2"), Dup(3, 1, "3"))
		conn.Want(Puback(1), Pubrec(2))
		require.NoError(t, m3.Ack())
		conn.Want(Puback(3))
		WantMessages(t, sub) // nothing twice
	})
}

func TestAckAfterALostSessionIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true})
		conn.Send(Pub(1, 1, "1"))
		m := Next(t, sub)
		conn.Close()
		conn = srv.Connected(&wire.Connack{})
		Grant(conn)
		conn.Send(Pub(1, 1, "1 as a new one"))
		wantAgain := Next(t, sub)
		require.ErrorIs(t, m.Ack(), mqtt.ErrStale)
		conn.WantIdle()
		require.NoError(t, wantAgain.Ack())
		conn.Want(Puback(1))
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
					client, conn := Open(t, srv, Quiet(srv))
					o.Filters, o.Overflow = Filters("t"), test.policy
					sub := SubscribeWith(t, client, conn, o)
					events := client.Watch(t.Context())
					for i := range 5 {
						if i == 2 {
							conn.Send(Pub(1, 1, "q")) // has always room
						}
						conn.Send(Pub(0, 0, fmt.Sprint(i)))
					}
					synctest.Wait()
					require.Equal(t, uint64(3), sub.Dropped())
					require.Equal(t, uint64(3), client.Stats().DroppedBy.Newest+client.Stats().DroppedBy.Oldest)
					WantMessages(t, sub, test.kept...)
					// A second episode.
					conn.Send(Pub(0, 0, "5"), Pub(0, 0, "6"), Pub(0, 0, "7"), Pub(0, 0, "8"))
					synctest.Wait()
					require.Equal(t, uint64(5), sub.Dropped())
					episodes := 0
					for Seen(events, func(e mqtt.Event) bool { return e.Subscription == sub && errors.Is(e.Err, mqtt.ErrQueueFull) }) {
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
		client, conn := Open(t, srv, Quiet(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferMessages: 2, Overflow: mqtt.Block})
		const n = 200
		sent := Begin(func() error {
			for i := range n {
				conn.Offer(Pub(0, 0, fmt.Sprintf("%0100d", i)))
			}
			return nil
		})
		require.False(t, sent.Over(), "the server is slowed down")
		for i := range n {
			require.Equal(t, fmt.Sprintf("%0100d", i), string(Next(t, sub).Payload))
		}
		require.NoError(t, sent.Wait())
		require.Zero(t, sub.Dropped())
	})
}

func TestReceivedMessageBelongsToItsReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		a, b := Subscribe(t, client, conn, "t", 0), Subscribe(t, client, conn, "#", 0)
		p := Pub(0, 0, "good")
		p.Retain = true
		p.Properties = &wire.PublishProperties{CorrelationData: []byte("good"), UserProperties: []mqtt.UserProperty{{Name: "a", Value: "good"}},
			SubscriptionIDs: []uint32{1, 2}, ContentType: "c", ResponseTopic: "r", PayloadFormatUTF8: true, MessageExpiryInterval: new(uint32(7))}
		conn.Send(p)
		m := Next(t, a)
		require.Equal(t, 7*time.Second, *m.MessageExpiryInterval)
		copy(m.Payload, "evil")
		copy(m.CorrelationData, "evil")
		m.UserProperties[0].Value = "evil"
		m.SubscriptionIDs[0] = 99
		*m.MessageExpiryInterval = 0
		conn.Send(To("x", Pub(0, 0, "evil")))
		other := Next(t, b)
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

func TestUserPropertyIsTheFirstOfItsName(t *testing.T) {
	m := &mqtt.Message{UserProperties: []mqtt.UserProperty{{Name: "a", Value: "1"}, {Name: "b", Value: ""}, {Name: "a", Value: "2"}}}
	for name, want := range map[string]struct {
		value string
		ok    bool
	}{"a": {"1", true}, "b": {"", true}, "A": {"", false}, "": {"", false}} {
		value, ok := m.UserProperty(name)
		require.Equal(t, want.value, value, name)
		require.Equal(t, want.ok, ok, name)
	}
}
