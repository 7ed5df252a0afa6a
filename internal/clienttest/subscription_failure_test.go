package clienttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/reconnect"
	"github.com/seed65a45251/mqtt/wire"
)

// trying is a Subscription to t under a policy.
func trying(p mqtt.FailurePolicy) mqtt.SubscribeOptions {
	o := on("t")
	o.OnFailure = &p
	return o
}

// hourly waits up to an hour between attempts.
var hourly = reconnect.Policy{Min: time.Hour, Max: time.Hour}

// failures is a function of Handle that fails for the messages named in times, so many
// times each, or always where that is negative.
type failures struct {
	mu    sync.Mutex
	times map[string]int
	calls []string
}

func (f *failures) handle(_ context.Context, m *mqtt.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	payload := string(m.Payload)
	f.calls = append(f.calls, payload)
	if f.times[payload] == 0 {
		return nil
	}
	f.times[payload]--
	return fmt.Errorf("%w for %s", errHandler, payload)
}

// called returns what the function was called for so far.
func (f *failures) called() []string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

// letter returns the dead letter of m that the server is to get.
func letter(m *wire.Publish, topic string, attempts int) *wire.Publish {
	p := &wire.PublishProperties{}
	if m.Properties != nil {
		*p = *m.Properties
	}
	p.MessageExpiryInterval = nil
	p.UserProperties = append(p.UserProperties,
		wire.UserProperty{Name: "dead-letter-topic", Value: m.Topic},
		wire.UserProperty{Name: "dead-letter-error", Value: fmt.Sprintf("%v for %s", errHandler, m.Payload)},
		wire.UserProperty{Name: "dead-letter-attempts", Value: fmt.Sprint(attempts)})
	return &wire.Publish{Topic: topic, Payload: m.Payload, QoS: 1, Properties: p}
}

// wantLetter wants a dead letter and returns the acknowledgement of it.
func wantLetter(t *testing.T, conn *mqtttest.Conn, want *wire.Publish) *wire.Puback {
	t.Helper()
	got := mqtttest.Take[*wire.Publish](conn)
	want.PacketID = got.PacketID
	require.Equal(t, Encoded(t, want), Encoded(t, got), "%+v", got)
	return Puback(got.PacketID)
}

func TestFailedMessageIsTriedAgain(t *testing.T) {
	for _, concurrency := range []int{0, 3} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			f := &failures{times: map[string]int{"1": 2}}
			o := trying(mqtt.FailurePolicy{Attempts: 3, Backoff: hourly})
			o.Concurrency = concurrency
			h := handle(t, client, conn, o, f.handle)
			began := time.Now()
			conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"))
			require.Equal(t, []string{"1"}, f.called(), "2 has the same topic")
			for len(f.called()) < 4 {
				time.Sleep(time.Minute)
			}
			require.Equal(t, []string{"1", "1", "1", "2"}, f.called())
			require.LessOrEqual(t, time.Since(began), 2*time.Hour+time.Minute)
			conn.Want(Puback(1), Pubrec(2))
			require.False(t, h.Over())
			require.Equal(t, uint64(2), client.Stats().Retried)
		})
	}
}

func TestLastFailureEndsHandle(t *testing.T) {
	for _, concurrency := range []int{0, 3} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			f := &failures{times: map[string]int{"1": -1}}
			o := trying(mqtt.FailurePolicy{Attempts: 2})
			o.Concurrency = concurrency
			h := handle(t, client, conn, o, f.handle)
			conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
			require.ErrorIs(t, h.Wait(), errHandler)
			require.Equal(t, []string{"1", "1"}, f.called())
			WantUnsubscribe(t, conn, "t")
			conn.WantIdle()
			got := make(chan string, 9)
			handle(t, client, conn, on("t"), list(got))
			wantStrings(t, got, "1", "2")
			conn.Want(Puback(1), Puback(2))
		})
	}
}

func TestZeroPolicyEndsHandleAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		f := &failures{times: map[string]int{"1": -1}}
		h := handle(t, client, conn, trying(mqtt.FailurePolicy{}), f.handle)
		conn.Send(Pub(1, 1, "1"))
		require.EqualError(t, h.Wait(), `mqtt: handle "t": handler failed for 1`)
		require.Len(t, f.called(), 1)
	})
}

func TestPermanentErrorsAreNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		f := &failures{times: map[string]int{"1": -1}}
		h := handle(t, client, conn, trying(mqtt.FailurePolicy{
			Attempts: -1, Backoff: hourly, Permanent: func(err error) bool { return errors.Is(err, errHandler) },
		}), f.handle)
		conn.Send(Pub(1, 1, "1"))
		require.ErrorIs(t, h.Wait(), errHandler)
		require.Len(t, f.called(), 1)
	})
}

func TestWithoutALimitAttemptsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		f := &failures{times: map[string]int{"1": 500}}
		handle(t, client, conn, trying(mqtt.FailurePolicy{Attempts: -1}), f.handle)
		conn.Send(Pub(1, 1, "1"))
		for len(f.called()) < 501 {
			time.Sleep(time.Minute)
		}
		conn.Want(Puback(1))
	})
}

func TestRefusalIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		calls := 0
		handle(t, client, conn, trying(mqtt.FailurePolicy{Attempts: 5, DeadLetter: "dead", Refuse: mqtt.QuotaExceeded}), func(context.Context, *mqtt.Message) error {
			calls++
			return &mqtt.Refusal{ReasonCode: mqtt.NotAuthorized}
		})
		conn.Send(Pub(1, 1, "1"))
		conn.Want(&wire.Puback{PacketID: 1, ReasonCode: wire.NotAuthorized})
		conn.WantIdle()
		require.Equal(t, 1, calls)
	})
}

// What the function acknowledges or refuses itself is done, whatever it returns.
func TestMessageThatTheFunctionSettlesIsNotTriedAgain(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			o := trying(mqtt.FailurePolicy{Attempts: 2, DeadLetter: "dead"})
			o.Concurrency = concurrency
			h := handle(t, client, conn, o, func(_ context.Context, m *mqtt.Message) error {
				if string(m.Payload) == "acknowledged" {
					return errors.Join(m.Ack(), errHandler)
				}
				return errors.Join(m.Refuse(mqtt.NotAuthorized, ""), errHandler)
			})
			conn.Send(Pub(1, 1, "acknowledged"), Pub(2, 1, "refused"))
			conn.Want(Puback(1), &wire.Puback{PacketID: 2, ReasonCode: wire.NotAuthorized})
			conn.WantIdleFor(time.Hour)
			require.Zero(t, client.Stats().Retried)
			require.False(t, h.Over())
		})
	}
}

func TestDeadLetter(t *testing.T) {
	for _, concurrency := range []int{0, 3} {
		for _, topic := range []string{"dead", "dead/#"} {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				f := &failures{times: map[string]int{"1": -1, "2": -1, "3": -1}}
				o := trying(mqtt.FailurePolicy{Attempts: 2, DeadLetter: topic})
				o.Concurrency = concurrency
				handle(t, client, conn, o, f.handle)
				for qos := range wire.QoS(3) {
					p := Pub(uint16(qos), qos, fmt.Sprint(qos+1))
					p.Retain = true
					p.Properties = &wire.PublishProperties{
						ContentType: "text", ResponseTopic: "r", CorrelationData: []byte("c"), PayloadFormatUTF8: true,
						MessageExpiryInterval: new(uint32(7)), UserProperties: []wire.UserProperty{{Name: "a", Value: "b"}},
					}
					conn.Send(p)
					p.Retain = false
					ack := wantLetter(t, conn, letter(p, strings.Replace(topic, "#", "t", 1), 2))
					conn.WantIdle() // not acknowledged before the dead letter is
					conn.Send(ack)
					switch qos {
					case 1:
						conn.Want(Puback(1))
					case 2:
						conn.Want(Pubrec(2))
						conn.Send(Pubrel(2))
						conn.Want(Pubcomp(2))
					}
				}
				conn.WantIdle()
				require.Equal(t, uint64(3), client.Stats().DeadLettered)
			})
		}
	}
}

func TestDeadLetterBefore50(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, Quiet(srv))
		f := &failures{times: map[string]int{"1": -1}}
		handle(t, client, conn, trying(mqtt.FailurePolicy{DeadLetter: "dead/#"}), f.handle)
		conn.Send(Pub(1, 2, "1"))
		ack := wantLetter(t, conn, &wire.Publish{Topic: "dead/t", Payload: []byte("1"), QoS: 1})
		conn.WantIdle()
		conn.Send(ack)
		conn.Want(Pubrec(1))
	})
}

func TestDeadLetterThatWouldBeTooLargeHasThePayloadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := OpenWith(t, srv, Quiet(srv), &wire.Connack{MaximumPacketSize: 60})
		f := &failures{times: map[string]int{"1": -1}}
		handle(t, client, conn, trying(mqtt.FailurePolicy{DeadLetter: "dead"}), f.handle)
		conn.Send(Pub(1, 1, "1"))
		conn.Send(wantLetter(t, conn, &wire.Publish{Topic: "dead", Payload: []byte("1"), QoS: 1}))
		conn.Want(Puback(1))
	})
}

func TestRefusedDeadLetter(t *testing.T) {
	for _, refuse := range []mqtt.ReasonCode{0, mqtt.ImplementationSpecificError} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			f := &failures{times: map[string]int{"1": -1}}
			h := handle(t, client, conn, trying(mqtt.FailurePolicy{DeadLetter: "dead", Refuse: refuse, Backoff: hourly}), f.handle)
			p := Pub(1, 1, "1")
			conn.Send(p)
			for range 3 {
				ack := wantLetter(t, conn, letter(p, "dead", 1))
				ack.ReasonCode = wire.QuotaExceeded // for now
				conn.Send(ack)
				time.Sleep(time.Hour)
			}
			ack := wantLetter(t, conn, letter(p, "dead", 1))
			require.Len(t, f.called(), 1, "the function had its attempts")
			ack.ReasonCode, ack.ReasonString = wire.NotAuthorized, "no dead letters"
			conn.Send(ack)
			if refuse == 0 {
				err := h.Wait()
				require.ErrorIs(t, err, errHandler)
				require.ErrorIs(t, err, mqtt.NotAuthorized)
				WantUnsubscribe(t, conn, "t")
				conn.WantIdle() // it is not acknowledged
				return
			}
			ack = mqtttest.Take[*wire.Puback](conn)
			require.Equal(t, refuse, ack.ReasonCode)
			require.Contains(t, ack.ReasonString, "handler failed for 1")
			require.Contains(t, ack.ReasonString, "no dead letters")
			require.False(t, h.Over())
		})
	}
}

func TestRefusedAfterTheLastAttempt(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		f := &failures{times: map[string]int{"1": -1, "2": -1, "3": -1}}
		handle(t, client, conn, trying(mqtt.FailurePolicy{Attempts: 2, Refuse: mqtt.PayloadFormatInvalid}), f.handle)
		conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"), Pub(0, 0, "3"))
		if v < wire.V5 {
			conn.Want(Puback(1), Pubrec(2))
		} else {
			conn.Want(&wire.Puback{PacketID: 1, ReasonCode: wire.PayloadFormatInvalid, ReasonString: "handler failed for 1"},
				&wire.Pubrec{PacketID: 2, ReasonCode: wire.PayloadFormatInvalid, ReasonString: "handler failed for 2"})
		}
		for len(f.called()) < 6 {
			time.Sleep(time.Second)
		}
		require.Equal(t, []string{"1", "1", "2", "2", "3", "3"}, f.called())
		require.Equal(t, uint64(2), client.Stats().Rejected)
	})
}

func TestAttemptsHoldUpTheirKeyOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		f := &failures{times: map[string]int{"a1": 1, "b1": 1, "c1": 1}}
		o := concurrently(2)
		o.OnFailure = &mqtt.FailurePolicy{Attempts: 2, Backoff: hourly}
		handle(t, client, conn, o, f.handle)
		for i, payload := range []string{"a1", "a2", "b1", "b2", "c1", "d1", "d2"} {
			conn.Send(To(payload[:1], Pub(uint16(i+1), 1, payload)))
		}
		require.ElementsMatch(t, []string{"a1", "b1", "c1", "d1", "d2"}, f.called(), "three wait, and two calls are free")
		for len(f.called()) < 10 {
			time.Sleep(time.Minute)
		}
		order := make(map[byte]string)
		for _, payload := range f.called() {
			order[payload[0]] += payload
		}
		require.Equal(t, map[byte]string{'a': "a1a1a2", 'b': "b1b1b2", 'c': "c1c1", 'd': "d1d2"}, order)
		conn.Want(Puback(1), Puback(2), Puback(3), Puback(4), Puback(5), Puback(6), Puback(7))
	})
}

func TestUnorderedAttemptsHoldUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		f := &failures{times: map[string]int{"1": 1, "2": 1}}
		o := unordered(2)
		o.OnFailure = &mqtt.FailurePolicy{Attempts: 2, Backoff: hourly}
		handle(t, client, conn, o, f.handle)
		conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"), Pub(3, 1, "3"), Pub(4, 1, "4"))
		require.ElementsMatch(t, []string{"1", "2", "3", "4"}, f.called())
		time.Sleep(time.Hour)
		require.Len(t, f.called(), 6)
		conn.Want(Puback(1), Puback(2), Puback(3), Puback(4))
	})
}

func TestNextAttemptGetsTheFieldsAsTheyCame(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		for _, lend := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				o := trying(mqtt.FailurePolicy{Attempts: 3, DeadLetter: "dead"})
				o.Concurrency, o.Lend = concurrency, lend
				var had []*mqtt.Message
				handle(t, client, conn, o, func(_ context.Context, m *mqtt.Message) error {
					require.Equal(t, "t", m.Topic)
					require.Equal(t, "1", string(m.Payload))
					require.Nil(t, m.UserProperties)
					for _, earlier := range had {
						require.NotSame(t, earlier, m)
					}
					if !lend {
						had = append(had, m)
					}
					m.Topic, m.Payload = "x", []byte("y")
					m.UserProperties = append(m.UserProperties, mqtt.UserProperty{Name: "n"})
					return fmt.Errorf("%w for 1", errHandler)
				})
				p := Pub(1, 1, "1")
				conn.Send(p)
				conn.Send(wantLetter(t, conn, letter(p, "dead", 3)))
				conn.Want(Puback(1))
			})
		}
	}
}

// waitingHandle is a Handle whose message 1 waits for its next attempt; 2 is behind it.
func waitingHandle(t *testing.T, concurrency int) (*mqtttest.Server, *mqtt.Client, *mqtttest.Conn, *mqtt.Subscription, *handling, *failures) {
	t.Helper()
	srv := mqtttest.NewServer(t, wire.V5)
	client, conn := Open(t, srv, Quiet(srv))
	f := &failures{times: map[string]int{"1": 1}}
	o := trying(mqtt.FailurePolicy{Attempts: 2, Backoff: reconnect.Policy{Min: 1000 * time.Hour, Max: 1000 * time.Hour}})
	o.Concurrency = concurrency
	sub := SubscribeWith(t, client, conn, o)
	ctx, cancel := context.WithCancelCause(t.Context())
	h := &handling{Begin(func() error { return sub.Handle(ctx, f.handle) }), cancel}
	conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
	require.Equal(t, []string{"1"}, f.called())
	return srv, client, conn, sub, h, f
}

// wantInAnyOrder wants so many packets, and no others.
func wantInAnyOrder(t *testing.T, conn *mqtttest.Conn, packets ...wire.Packet) {
	t.Helper()
	var want, got []string
	for _, p := range packets {
		want = append(want, string(Encoded(t, p)))
		got = append(got, string(Encoded(t, mqtttest.Take[wire.Packet](conn))))
	}
	require.ElementsMatch(t, want, got)
	conn.WantIdle()
}

func TestEndOfTheContextWhileAMessageWaitsForItsNextAttempt(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			_, _, conn, sub, h, f := waitingHandle(t, concurrency)
			began := time.Now()
			h.end(context.Canceled)
			require.ErrorIs(t, h.Wait(), context.Canceled)
			require.Zero(t, time.Since(began))
			WantMessages(t, sub, "1", "2")
			conn.Want(Puback(1), Puback(2))
			require.Len(t, f.called(), 1)
		})
	}
}

func TestUnsubscribeWhileAMessageWaitsForItsNextAttempt(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			_, _, conn, sub, h, f := waitingHandle(t, concurrency)
			end := Begin(func() error { return sub.Unsubscribe(t.Context()) })
			require.ErrorIs(t, h.Wait(), mqtt.ErrUnsubscribed)
			wantInAnyOrder(t, conn, Puback(1), Puback(2), &wire.Unsubscribe{PacketID: 2, Filters: []string{"t"}}) // they are dropped
			conn.Send(&wire.Unsuback{PacketID: 2, ReasonCodes: []wire.ReasonCode{0}})
			require.NoError(t, end.Wait())
			require.Len(t, f.called(), 1)
		})
	}
}

func TestDrainWaitsForTheNextAttempt(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			_, _, conn, sub, h, f := waitingHandle(t, concurrency)
			end := Begin(func() error { return sub.Drain(t.Context()) })
			WantUnsubscribe(t, conn, "t")
			require.False(t, end.Over())
			require.NoError(t, end.Wait())
			require.ErrorIs(t, h.Wait(), mqtt.ErrUnsubscribed)
			conn.Want(Puback(1), Puback(2))
			require.Equal(t, []string{"1", "1", "2"}, f.called())
		})
	}
}

func TestDisconnectWhileAMessageWaitsForItsNextAttempt(t *testing.T) {
	for _, concurrency := range []int{0, 2} {
		for name, ends := range map[string]func(*mqtt.Client) error{
			"Close": (*mqtt.Client).Close,
			"Disconnect with a deadline": func(c *mqtt.Client) error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				return left(c.Disconnect(ctx), 2)
			},
			"Disconnect without": func(c *mqtt.Client) error { return left(c.Disconnect(context.Background()), 2) },
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					_, client, conn, _, h, f := waitingHandle(t, concurrency)
					began := time.Now()
					end := Begin(func() error { return ends(client) })
					conn.WantDisconnect(wire.NormalDisconnection) // and no PUBACK
					require.NoError(t, end.Wait())
					require.LessOrEqual(t, time.Since(began), time.Minute)
					require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
					require.Len(t, f.called(), 1)
				})
			})
		}
	}
}

func TestDisconnectLetsTheNextAttemptHappen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, _, h, f := waitingHandle(t, 0)
		ctx, cancel := context.WithTimeout(t.Context(), 2000*time.Hour)
		defer cancel()
		end := Begin(func() error { return client.Disconnect(ctx) })
		for len(f.called()) < 3 {
			time.Sleep(time.Hour)
		}
		conn.Want(Puback(1), Puback(2))
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
		require.Equal(t, []string{"1", "1", "2"}, f.called())
	})
}

func TestReconnectWhileAMessageWaitsForItsNextAttempt(t *testing.T) {
	for _, resumed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			srv, _, conn, _, h, f := waitingHandle(t, 0)
			conn.Close()
			if resumed {
				conn = srv.Connected(Resumed())
				Renewed(t, conn)
				conn.Send(Dup(1, 1, "1"), Dup(2, 1, "2"))
			} else {
				conn = srv.Connected(&wire.Connack{})
				Grant(conn)
			}
			for len(f.called()) < 3 {
				time.Sleep(time.Hour)
			}
			require.Equal(t, []string{"1", "1", "2"}, f.called())
			if resumed {
				conn.Want(Puback(1), Puback(2))
			}
			conn.WantIdle()
			require.False(t, h.Over())
		})
	}
}

func TestDeadLetterOfAnEndingClientIsNotLost(t *testing.T) {
	for _, refuse := range []mqtt.ReasonCode{0, mqtt.NotAuthorized} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			f := &failures{times: map[string]int{"1": -1}}
			h := handle(t, client, conn, trying(mqtt.FailurePolicy{DeadLetter: "dead", Refuse: refuse}), f.handle)
			conn.Send(Pub(1, 1, "1"))
			mqtttest.Take[*wire.Publish](conn) // which is not answered
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			end := Begin(func() error { return client.Disconnect(ctx) })
			conn.WantDisconnect(wire.NormalDisconnection) // and no PUBACK: the server keeps the message
			_, ok := errors.AsType[*mqtt.UnfinishedError](end.Wait())
			require.True(t, ok)
			require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
		})
	}
}

func TestDeadLettersOfAnOwnConnectionGoByWayOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		f := &failures{times: map[string]int{"1": -1, "2": -1}}
		o := trying(mqtt.FailurePolicy{DeadLetter: "dead"})
		o.OwnConnection = true
		h := beginHandle(t, client, o, f.handle)
		own := srv.Connected(&wire.Connack{})
		Grant(own)
		p := Pub(1, 1, "1")
		own.Send(p)
		ack := wantLetter(t, conn, letter(p, "dead", 1))
		own.WantIdle()
		conn.Send(ack)
		own.Want(Puback(1))
		require.Equal(t, uint64(1), client.Stats().DeadLettered)
		// Disconnect lets the last dead letter through.
		own.Send(Pub(2, 1, "2"))
		q := mqtttest.Take[*wire.Publish](conn)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		end := Begin(func() error { return client.Disconnect(ctx) })
		synctest.Wait()
		conn.Send(Puback(q.PacketID))
		own.Want(Puback(2))
		own.WantDisconnect(wire.NormalDisconnection)
		conn.WantDisconnect(wire.NormalDisconnection)
		require.NoError(t, end.Wait())
		require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
	})
}

func TestPanicInALaterAttemptLeavesItsMessageToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		calls := 0
		h := Begin(func() (err error) {
			defer func() { err = recover().(error) }()
			return client.Handle(t.Context(), trying(mqtt.FailurePolicy{Attempts: 9}), func(context.Context, *mqtt.Message) error {
				if calls++; calls == 3 {
					panic(errHandler)
				}
				return errHandler
			})
		})
		Grant(conn)
		conn.Send(Pub(1, 1, "1"))
		require.ErrorIs(t, h.Wait(), errHandler)
		WantUnsubscribe(t, conn, "t")
		WantMessages(t, Subscribe(t, client, conn, "t", 1), "1")
		conn.Want(Puback(1))
	})
}

func TestDeadLetterIsAcknowledgedWithManualAckToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		f := &failures{times: map[string]int{"1": -1}}
		o := trying(mqtt.FailurePolicy{DeadLetter: "dead"})
		o.ManualAck = true
		handle(t, client, conn, o, f.handle)
		p := Pub(1, 1, "1")
		conn.Send(p)
		conn.Send(wantLetter(t, conn, letter(p, "dead", 1)))
		conn.Want(Puback(1))
	})
}

func TestPolicyIsTheOneOfTheTimeOfSubscribing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		f := &failures{times: map[string]int{"1": 1}}
		o := trying(mqtt.FailurePolicy{Attempts: 2})
		handle(t, client, conn, o, f.handle)
		o.OnFailure.Attempts = 0
		conn.Send(Pub(1, 1, "1"))
		conn.Want(Puback(1))
	})
}

func TestPoliciesThatCannotWorkAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		for name, c := range map[string]struct {
			policy  mqtt.FailurePolicy
			filters string // a comma between them
			block   bool
		}{
			"a negative delay":             {policy: mqtt.FailurePolicy{Backoff: reconnect.Policy{Min: -1}}},
			"two counts":                   {policy: mqtt.FailurePolicy{Backoff: reconnect.Policy{MaxAttempts: 3}}},
			"no connection":                {policy: mqtt.FailurePolicy{Backoff: reconnect.Policy{HealthyAfter: 3}}},
			"a code that is no failure":    {policy: mqtt.FailurePolicy{Refuse: mqtt.NoMatchingSubscribers}},
			"a code of other packets":      {policy: mqtt.FailurePolicy{Refuse: mqtt.ServerBusy}},
			"a filter":                     {policy: mqtt.FailurePolicy{DeadLetter: "dead/+"}},
			"a topic in the middle":        {policy: mqtt.FailurePolicy{DeadLetter: "dead/#/x"}},
			"everything":                   {policy: mqtt.FailurePolicy{DeadLetter: "#"}},
			"a reader that waits":          {policy: mqtt.FailurePolicy{DeadLetter: "dead"}, block: true},
			"its own topic":                {policy: mqtt.FailurePolicy{DeadLetter: "t"}},
			"its own topic, shared":        {policy: mqtt.FailurePolicy{DeadLetter: "t"}, filters: "a,$share/g/+"},
			"its own topic, by a prefix":   {policy: mqtt.FailurePolicy{DeadLetter: "t/dead"}, filters: "$queue/t/#"},
			"all topics":                   {policy: mqtt.FailurePolicy{DeadLetter: "dead/#"}, filters: "#"},
			"those below":                  {policy: mqtt.FailurePolicy{DeadLetter: "dead/#"}, filters: "dead/#"},
			"those further below":          {policy: mqtt.FailurePolicy{DeadLetter: "a/b/#"}, filters: "+/#"},
			"those that might be theirs":   {policy: mqtt.FailurePolicy{DeadLetter: "dead/#"}, filters: "dead/x/#"},
			"those of the second level on": {policy: mqtt.FailurePolicy{DeadLetter: "a/b/#"}, filters: "a/+/#"},
		} {
			o := trying(c.policy)
			if c.filters != "" {
				o.Filters = Filters(strings.Split(c.filters, ",")...)
			}
			if c.block {
				o.Overflow = mqtt.Block
			}
			err := client.Handle(t.Context(), o, fail)
			require.ErrorIs(t, err, mqtt.ErrInvalid, name)
			require.True(t, mqtt.NotSent(err))
		}
		o := mqtt.RespondOptions{SubscribeOptions: trying(mqtt.FailurePolicy{Attempts: 2})}
		require.ErrorIs(t, client.RespondWith(t.Context(), o, nothing), mqtt.ErrInvalid)
		conn.WantIdle()
	})
}

func TestDeadLettersThatDoNotComeBack(t *testing.T) {
	for filter, topic := range map[string]string{
		"a/#": "dead/#", "+/x": "dead/#", "+": "a/b", "dead": "dead/#", "#": "$dead/#", "+/a/#": "$dead/#",
		"a/b/#": "a/c/#", "dead/x": "dead/#", "$share/g/a/#": "dead",
		"$queue/a/#": "dead/#",
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := mqtttest.NewServer(t, wire.V5)
			client, conn := Open(t, srv, Quiet(srv))
			o := on(filter)
			o.OnFailure = &mqtt.FailurePolicy{DeadLetter: topic}
			require.False(t, handle(t, client, conn, o, fail).Over(), "%s with %s", filter, topic)
		})
	}
}
