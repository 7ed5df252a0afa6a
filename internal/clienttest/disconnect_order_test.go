package clienttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/broker"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// disconnecting begins a Disconnect that has so long.
func disconnecting(t *testing.T, client *mqtt.Client, limit time.Duration) *Call {
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errTimeIsUp)
	t.Cleanup(cancel)
	return Begin(func() error { return client.Disconnect(ctx) })
}

var errTimeIsUp = errors.New("time is up")

// unfinished returns what the error of a Disconnect says.
func unfinished(t *testing.T, err error) (published, received, requests int) {
	t.Helper()
	u, ok := errors.AsType[*mqtt.UnfinishedError](err)
	require.True(t, ok, "%v", err)
	require.False(t, mqtt.NotSent(err))
	return u.Published, u.Received, u.Requests
}

// workers are the ways to receive. Each ends with the Subscription.
var workers = map[string]func(t *testing.T, s *mqtt.Subscription, work func(*mqtt.Message)){
	"Stream": func(t *testing.T, s *mqtt.Subscription, work func(*mqtt.Message)) {
		for m := range s.Stream(t.Context()) {
			work(m)
		}
	},
	"Messages": func(_ *testing.T, s *mqtt.Subscription, work func(*mqtt.Message)) {
		for m := range s.Messages() {
			work(m)
		}
	},
	"Next": func(t *testing.T, s *mqtt.Subscription, work func(*mqtt.Message)) {
		for {
			m, err := s.Next(t.Context())
			if err != nil {
				return
			}
			work(m)
		}
	},
	"All": func(t *testing.T, s *mqtt.Subscription, work func(*mqtt.Message)) {
		for m, err := range s.All(t.Context()) {
			if err != nil {
				return
			}
			work(m)
		}
	},
	"Handle": func(t *testing.T, s *mqtt.Subscription, work func(*mqtt.Message)) {
		_ = s.Handle(t.Context(), func(_ context.Context, m *mqtt.Message) error {
			work(m)
			return nil
		})
	},
}

func TestDisconnectLetsConsumersTakeWhatWasReceived(t *testing.T) {
	for name, consume := range workers {
		for _, resume := range []bool{false, true} {
			t.Run(fmt.Sprint(name, resume), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					cfg := Quiet(srv)
					cfg.Resume = resume
					client, conn := Open(t, srv, cfg)
					sub := Subscribe(t, client, conn, "t", 2)
					var got []string
					consuming := Begin(func() error {
						consume(t, sub, func(m *mqtt.Message) {
							time.Sleep(time.Minute)
							got = append(got, string(m.Payload))
						})
						return sub.Err()
					})
					conn.Send(Pub(1, 1, "1"), Pub(0, 0, "2"), Pub(2, 1, "3"), Pub(0, 0, "4"), Pub(3, 1, "5"))
					synctest.Wait()
					end := disconnecting(t, client, time.Hour)
					require.False(t, end.Over())
					conn.Send(Pub(4, 1, "too late"), Pub(0, 0, "too late"))
					for _, id := range []uint16{1, 2, 3} {
						require.Equal(t, Puback(id), mqtttest.Take[*wire.Puback](conn))
					}
					conn.WantDisconnect(wire.NormalDisconnection)
					require.NoError(t, end.Wait())
					require.ErrorIs(t, consuming.Wait(), mqtt.ErrClosed)
					require.Equal(t, []string{"1", "2", "3", "4", "5"}, got)
				})
			})
		}
	}
}

func TestDisconnectLeavesTheRestWhenItsContextEnds(t *testing.T) {
	for name, consume := range workers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, staying(srv))
				sub := Subscribe(t, client, conn, "t", 1)
				consuming := Begin(func() error {
					consume(t, sub, func(*mqtt.Message) { time.Sleep(time.Minute) })
					return sub.Err()
				})
				for id := range uint16(5) {
					conn.Send(Pub(id+1, 1, "x"), Pub(0, 0, "x"))
				}
				synctest.Wait()
				end := disconnecting(t, client, 150*time.Second) // half of the third
				acknowledged := 0
				for {
					p := mqtttest.Take[wire.Packet](conn)
					if _, over := p.(*wire.Disconnect); over {
						break
					}
					require.IsType(t, &wire.Puback{}, p)
					acknowledged++
				}
				conn.Close()
				if name == "All" || name == "Handle" { // which acknowledge what is done
					require.NoError(t, left(end.Wait(), 8))
					require.Equal(t, 1, acknowledged)
				} else {
					require.NoError(t, left(end.Wait(), 7))
					require.Equal(t, 2, acknowledged)
				}
				require.ErrorIs(t, end.Err, errTimeIsUp)
				require.ErrorIs(t, consuming.Wait(), mqtt.ErrClosed)
			})
		})
	}
}

func TestDisconnectDoesNotWaitWhereNobodyTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, staying(srv))
		sub := Subscribe(t, client, conn, "t", 2)
		ctx, stop := context.WithCancel(t.Context())
		messages := sub.Stream(ctx)
		stop()
		require.Nil(t, <-messages)
		begun := time.Now()
		conn.Send(Pub(1, 1, "x"), Pub(2, 2, "x"), Pub(0, 0, "x"))
		synctest.Wait()
		end := Begin(func() error { return client.Disconnect(t.Context()) })
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, left(end.Wait(), 3))
		require.Zero(t, time.Since(begun))
		require.NoError(t, errors.Unwrap(errors.Unwrap(end.Err)), "nothing was waited for")
	})
}

func TestConsumersMayPublishWhileDisconnectWaitsForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, staying(srv))
		goOn := make(chan struct{})
		h := handle(t, client, conn, on("t"), func(ctx context.Context, m *mqtt.Message) error {
			<-goOn
			if _, err := client.Request(ctx, &mqtt.Message{Topic: "q", QoS: mqtt.AtLeastOnce}); err != nil {
				return err
			}
			return client.Publish(ctx, "result", m.Payload, mqtt.AtLeastOnce)
		})
		conn.Send(Pub(1, 1, "x"))
		synctest.Wait()
		end := disconnecting(t, client, time.Hour)
		require.False(t, end.Over())
		_, err := client.Subscribe(t.Context(), "new", 1)
		require.ErrorIs(t, err, mqtt.ErrClosed)
		require.True(t, mqtt.NotSent(err))
		_, err = client.Route("new")
		require.ErrorIs(t, err, mqtt.ErrClosed)
		close(goOn)
		Grant(conn)
		conn.Send(ResponseTo(TakeRequest(conn), "!"))
		p := mqtttest.Take[*wire.Publish](conn)
		require.Equal(t, "result", p.Topic)
		require.False(t, end.Over())
		conn.Send(Puback(p.PacketID))
		conn.Want(Puback(1))
		mqtttest.Take[*wire.Unsubscribe](conn) // of the topic of responses, which the session need not keep
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
	})
}

// TestResponsesBehindWhatCameTooLateAreFinished: they cannot be acknowledged, because
// acknowledgements go out in order, but what they are the answer to is over.
func TestResponsesBehindWhatCameTooLateAreFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, staying(srv))
		h := handle(t, client, conn, on("t"), func(ctx context.Context, m *mqtt.Message) error {
			_, err := client.Request(ctx, &mqtt.Message{Topic: "q", QoS: mqtt.AtLeastOnce})
			return err
		})
		conn.Send(Pub(1, 1, "x"))
		Grant(conn)
		request := TakeRequest(conn)
		end := disconnecting(t, client, time.Hour)
		require.False(t, end.Over())
		response := ResponseTo(request, "!")
		response.QoS, response.PacketID = 1, 3
		conn.Send(Pub(2, 1, "too late"), To("of nobody", Pub(4, 1, "too late")), response)
		conn.Want(Puback(1))
		mqtttest.Take[*wire.Unsubscribe](conn)
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
	})
}

func TestConsumersWithAConnectionOfTheirOwnMayPublishUntilTheyAreDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mqtttest.NewBroker(t)
		client, err := mqtt.Connect(t.Context(), "mqtt://b", mqtt.Config{ClientID: "c1", Dial: b.Dial})
		require.NoError(t, err)
		goOn := make(chan struct{})
		o := mqtt.SubscribeOptions{Filters: Filters("t"), OwnConnection: true}
		h := Begin(func() error {
			return client.Handle(t.Context(), o, func(ctx context.Context, m *mqtt.Message) error {
				<-goOn
				return client.Publish(ctx, "result", m.Payload, mqtt.AtLeastOnce)
			})
		})
		b.WantSubscribed("t")
		for range 3 {
			b.Publish(&wire.Publish{Topic: "t", Payload: []byte("x"), QoS: 1})
		}
		synctest.Wait()
		end := disconnecting(t, client, time.Hour)
		require.False(t, end.Over())
		close(goOn)
		require.NoError(t, end.Wait())
		require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
		require.Len(t, b.WantPublished("result", "x", "x", "x"), 3)
	})
}

func TestDisconnectTakesNoMoreMessagesOnceConsumersAreDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		d := PublishAsync(t, client, "accepted", 1)
		end := disconnecting(t, client, time.Hour)
		require.False(t, end.Over())
		for qos := range mqtt.QoS(3) {
			err := client.Publish(t.Context(), "t", nil, qos)
			require.ErrorIs(t, err, mqtt.ErrClosed)
			require.True(t, mqtt.NotSent(err))
		}
		_, err := client.Request(t.Context(), Question("?"))
		require.ErrorIs(t, err, mqtt.ErrClosed)
		require.True(t, mqtt.NotSent(err))
		conn.Want(Pub(1, 1, "accepted"))
		conn.Send(Puback(1))
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.True(t, Settled(d))
	})
}

func TestDisconnectCountsWhatIsPublishedAndUnfinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{ReceiveMaximum: 2})
		for i := range 5 {
			PublishAsync(t, client, fmt.Sprint(i), mqtt.QoS(1+i%2))
		}
		PublishAsync(t, client, "behind them", 0)
		conn.Want(Pub(1, 1, "0"), Pub(2, 2, "1"))
		conn.Send(Pubrec(2))
		conn.Want(Pubrel(2))
		end := disconnecting(t, client, time.Second)
		conn.WantDisconnect(wire.NormalDisconnection)
		published, received, requests := unfinished(t, end.Wait())
		require.Equal(t, []int{6, 0, 0}, []int{published, received, requests})
		require.ErrorIs(t, end.Err, errTimeIsUp)
		require.ErrorContains(t, end.Err, "mqtt: disconnect: 6 published messages unfinished: time is up")
	})
}

func TestDisconnectCountsWhatAnotherEndHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		cfg := Quiet(srv)
		cfg.Permanent = mqtt.IsPermanent
		client, conn := Open(t, srv, cfg)
		PublishAsync(t, client, "x", 1)
		end := disconnecting(t, client, time.Hour)
		require.False(t, end.Over())
		conn.Want(Pub(1, 1, "x"))
		conn.Send(&wire.Disconnect{ReasonCode: wire.SessionTakenOver})
		published, _, _ := unfinished(t, end.Wait())
		require.Equal(t, 1, published)
		require.ErrorIs(t, end.Err, mqtt.SessionTakenOver)
	})
}

func TestDisconnectWaitsForRequests(t *testing.T) {
	for _, answered := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			r := BeginRequest(t.Context(), client, Question("?"))
			Grant(conn)
			p := TakeRequest(conn)
			end := disconnecting(t, client, time.Minute)
			require.False(t, end.Over())
			if answered {
				conn.Send(ResponseTo(p, "!"))
				require.NoError(t, r.Wait())
			}
			conn.WantDisconnect(wire.NormalDisconnection)
			if answered {
				require.NoError(t, end.Wait())
				return
			}
			published, received, requests := unfinished(t, end.Wait())
			require.Equal(t, []int{0, 0, 1}, []int{published, received, requests})
			require.ErrorIs(t, r.Wait(), mqtt.ErrClosed)
		})
	}
}

func TestDisconnectWaitsForManualAcknowledgements(t *testing.T) {
	for _, acknowledged := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, staying(srv))
			sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), ManualAck: true})
			conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"), Pub(3, 1, "3"))
			first, second, third := Next(t, sub), Next(t, sub), Next(t, sub)
			end := disconnecting(t, client, time.Minute)
			require.False(t, end.Over())
			require.NoError(t, second.Ack())
			require.False(t, end.Over())
			if acknowledged {
				require.NoError(t, first.Ack())
				require.NoError(t, third.Ack())
				conn.Want(Puback(1), Puback(2), Puback(3))
			}
			conn.WantDisconnect(wire.NormalDisconnection)
			if acknowledged {
				require.NoError(t, end.Wait())
			} else {
				require.NoError(t, left(end.Wait(), 3), "the second waits for the first")
			}
		})
	}
}

// TestAMessageOfTwoSubscriptionsIsFinishedWhenBothAre: it has one acknowledgement, so it
// comes again for both.
func TestAMessageOfTwoSubscriptionsIsFinishedWhenBothAre(t *testing.T) {
	for _, both := range []bool{true, false} {
		Each(t, func(t *testing.T, v wire.Version) {
			srv := mqtttest.NewServer(t, v)
			client, conn := Open(t, srv, staying(srv))
			var ids []uint32
			subs := make([]*mqtt.Subscription, 2)
			for i, filter := range []string{"t", "+"} {
				b := BeginSubscribe(t.Context(), client, mqtt.Filter{Filter: filter, QoS: 1})
				id := Grant(conn).SubscriptionID
				require.NoError(t, b.Wait())
				subs[i] = b.Sub
				ids = append(ids, id)
			}
			if v == wire.V5 {
				conn.Send(IDs(Pub(1, 1, "x"), ids...))
			} else {
				conn.Send(Pub(1, 1, "x"))
			}
			require.Equal(t, "x", string(Next(t, subs[0]).Payload))
			if both {
				require.Equal(t, "x", string(Next(t, subs[1]).Payload))
				conn.Want(Puback(1))
			}
			conn.WantIdle()
			end := disconnecting(t, client, time.Minute)
			conn.WantDisconnect(wire.NormalDisconnection)
			if both {
				require.NoError(t, end.Wait())
			} else {
				require.NoError(t, left(end.Wait(), 1))
			}
		})
	}
}

func TestDisconnectGoesOnOverALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, staying(srv))
		goOn := make(chan struct{})
		var got []string
		h := handle(t, client, conn, on("t"), func(_ context.Context, m *mqtt.Message) error {
			got = append(got, string(m.Payload))
			<-goOn
			return nil
		})
		d := PublishAsync(t, client, "out", 1)
		conn.Want(Pub(2, 1, "out"))
		conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"))
		synctest.Wait()
		end := disconnecting(t, client, time.Hour)
		require.False(t, end.Over())
		conn.Close()
		conn = srv.Connected(Resumed())
		Renewed(t, conn)
		conn.Want(Dup(2, 1, "out"))
		conn.Send(Puback(2), Dup(1, 1, "1"), Dup(2, 2, "2"), Pub(3, 1, "too late"))
		require.False(t, end.Over())
		close(goOn)
		conn.Want(Puback(1), Pubrec(2))
		conn.Send(Pubrel(2))
		conn.Want(Pubcomp(2))
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
		require.Equal(t, []string{"1", "2"}, got)
		require.True(t, Settled(d))
	})
}

func TestDisconnectAnswersTheRequestsThatHaveCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		goOn := make(chan struct{})
		r := Respond(t, client, conn, 1, func(context.Context, *mqtt.Message) (*mqtt.Message, error) {
			<-goOn
			return &mqtt.Message{Topic: "r"}, nil
		})
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"), Pub(0, 0, "3"))
		synctest.Wait()
		end := disconnecting(t, client, time.Hour)
		require.False(t, end.Over())
		close(goOn)
		var answers, acks []uint16
		for len(answers) < 3 || len(acks) < 2 {
			switch p := mqtttest.Take[wire.Packet](conn).(type) {
			case *wire.Publish:
				answers = append(answers, p.PacketID)
				if p.QoS > 0 {
					conn.Send(Puback(p.PacketID))
				}
			case *wire.Puback:
				acks = append(acks, p.PacketID)
			}
		}
		slices.Sort(acks)
		require.Equal(t, []uint16{1, 2}, acks)
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.ErrorIs(t, r.Wait(), mqtt.ErrClosed)
	})
}

func TestDisconnectCountsWhatNobodyHasClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, staying(srv), Resumed())
		conn.Send(Pub(1, 1, "of an earlier process"))
		conn.WantIdle()
		end := disconnecting(t, client, time.Hour)
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, left(end.Wait(), 1))
	})
}

// TestDisconnectFreesAReaderThatWaitsForSpace: nobody will make any, and what it has to read
// is what Disconnect waits for.
func TestDisconnectFreesAReaderThatWaitsForSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferMessages: 1, Overflow: mqtt.Block})
		conn.Send(Pub(0, 0, "1"), Pub(0, 0, "2"), Pub(0, 0, "3"))
		synctest.Wait() // the reader has come to what finds no space
		d := PublishAsync(t, client, "x", 1)
		conn.Want(Pub(2, 1, "x"))
		conn.Send(Puback(2))
		require.False(t, Settled(d), "the reader waits")
		end := disconnecting(t, client, time.Hour)
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, left(end.Wait(), 1))
		require.True(t, Settled(d))
	})
}

func TestSeveralDisconnectsAllWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, staying(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
		synctest.Wait()
		taken := sub.Messages()
		a, b := disconnecting(t, client, time.Hour), disconnecting(t, client, time.Hour)
		require.False(t, a.Over())
		require.False(t, b.Over())
		<-taken
		require.False(t, a.Over())
		<-taken
		conn.Want(Puback(1), Puback(2))
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, a.Wait())
		require.NoError(t, b.Wait())
	})
}

func TestDisconnectLeavesTheBufferOfMessagesToItsReader(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			const n = 100
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			sub := Subscribe(t, client, conn, "t", 0)
			for range n {
				conn.Send(Pub(0, 0, "x"))
			}
			synctest.Wait()
			got, messages := 0, sub.Messages()
			reading := Begin(func() error {
				for range messages {
					got++
				}
				return sub.Err()
			})
			end := disconnecting(t, client, time.Hour)
			conn.WantDisconnect(wire.NormalDisconnection)
			require.NoError(t, end.Wait())
			require.ErrorIs(t, reading.Wait(), mqtt.ErrClosed)
			require.Equal(t, n, got)
		})
	}
}

// The last acknowledgement ends the wait of Disconnect, and still goes out before it.
func TestDisconnectSendsTheAcknowledgementThatItWaitedFor(t *testing.T) {
	b := broker.New(broker.Config{})
	defer b.Close()
	config := mqtt.Config{
		ClientID: "client", Resume: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) },
	}
	answers := map[string]func(*mqtt.Message) error{
		"acknowledged": (*mqtt.Message).Ack,
		"refused":      func(m *mqtt.Message) error { return m.Refuse(mqtt.QuotaExceeded, "") },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			for range 1000 {
				client, err := mqtt.Connect(t.Context(), "mqtt://server", config)
				require.NoError(t, err)
				sub, err := client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{
					Filters: []mqtt.Filter{{Filter: "t", QoS: mqtt.AtLeastOnce}}, ManualAck: true,
				})
				require.NoError(t, err)
				require.NoError(t, client.Publish(t.Context(), "t", nil, mqtt.AtLeastOnce))
				m, err := sub.Next(t.Context())
				require.NoError(t, err)
				ending := Begin(func() error { return client.Disconnect(t.Context()) })
				runtime.Gosched()
				require.NoError(t, answer(m))
				require.NoError(t, ending.Wait())
			}
		})
	}
}
