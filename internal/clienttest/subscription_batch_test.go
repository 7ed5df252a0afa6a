package clienttest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// batching is a HandleBatches under way, whose function waits for next and returns what
// it gets from there.
type batching struct {
	*handling
	got  chan []*mqtt.Message
	next chan error
}

func beginBatches(t *testing.T, sub *mqtt.Subscription, o mqtt.BatchOptions) *batching {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	b := beginBatchesIn(ctx, t, sub, o)
	b.end = cancel
	return b
}

func beginBatchesIn(ctx context.Context, t *testing.T, sub *mqtt.Subscription, o mqtt.BatchOptions) *batching {
	t.Helper()
	b := &batching{got: make(chan []*mqtt.Message), next: make(chan error)}
	b.handling = &handling{Begin(func() error {
		return sub.HandleBatches(ctx, o, func(_ context.Context, batch []*mqtt.Message) (err error) {
			select {
			case b.got <- batch:
			case <-t.Context().Done(): // the test is over
			}
			select {
			case err = <-b.next:
			case <-t.Context().Done():
			}
			return err
		})
	}), nil}
	return b
}

// want wants the next batch, and lets the function return err.
func (b *batching) want(t *testing.T, err error, payloads ...string) {
	t.Helper()
	b.wantOnly(t, payloads...)
	b.next <- err
}

func (b *batching) wantOnly(t *testing.T, payloads ...string) []*mqtt.Message {
	t.Helper()
	batch := <-b.got
	require.Equal(t, payloads, payloadsOf(batch))
	return batch
}

// wantNone wants no batch to be complete now.
func (b *batching) wantNone(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case batch := <-b.got:
		require.Fail(t, "a batch", "%v", payloadsOf(batch))
	default:
	}
}

func payloadsOf(batch []*mqtt.Message) (list []string) {
	for _, m := range batch {
		list = append(list, string(m.Payload))
	}
	return list
}

// batches is a Subscription to t with a HandleBatches.
func batches(t *testing.T, s mqtt.SubscribeOptions, o mqtt.BatchOptions) (*mqtttest.Server, *mqtt.Client, *mqtttest.Conn, *mqtt.Subscription, *batching) {
	t.Helper()
	srv := mqtttest.NewServer(t, wire.V5)
	cfg := Quiet(srv)
	cfg.ReceiveMaximum = 8
	client, conn := Open(t, srv, cfg)
	sub := SubscribeWith(t, client, conn, s)
	return srv, client, conn, sub, beginBatches(t, sub, o)
}

// one returns messages at QoS 1, whose identifiers and payloads are first to last.
func one(first, last int) (list []wire.Packet) {
	for i := first; i <= last; i++ {
		list = append(list, Pub(uint16(i), 1, fmt.Sprint(i)))
	}
	return list
}

func pubacks(first, last int) (list []wire.Packet) {
	for i := first; i <= last; i++ {
		list = append(list, Puback(uint16(i)))
	}
	return list
}

func TestBatchIsCompleteWithItsLastMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, conn, _, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 3, Wait: time.Hour})
		conn.Send(one(1, 2)...)
		b.wantNone(t)
		conn.Send(one(3, 7)...)
		b.wantOnly(t, "1", "2", "3")
		conn.WantIdle()
		b.next <- nil
		conn.Want(pubacks(1, 3)...)
		b.want(t, nil, "4", "5", "6")
		conn.Want(pubacks(4, 6)...)
		b.wantNone(t)
		require.False(t, b.Over())
	})
}

func TestBatchWaitsFromItsFirstMessageOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, conn, _, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 9, Wait: time.Minute})
		time.Sleep(time.Hour)
		conn.Send(one(1, 1)...)
		time.Sleep(40 * time.Second)
		conn.Send(one(2, 2)...)
		b.wantNone(t)
		time.Sleep(20*time.Second - 1)
		b.wantNone(t)
		time.Sleep(time.Nanosecond)
		b.want(t, nil, "1", "2")
		conn.Want(pubacks(1, 2)...)
		time.Sleep(time.Hour)
		conn.Send(one(3, 3)...)
		time.Sleep(time.Minute)
		b.want(t, nil, "3")
	})
}

// slowContext is a context whose Err takes a time, once.
type slowContext struct {
	context.Context
	takes chan time.Duration
}

func (c slowContext) Err() error {
	select {
	case d := <-c.takes:
		time.Sleep(d)
	default:
	}
	return c.Context.Err()
}

// A batch may have been woken for a message when its time is over. Others that wait get it
// then.
func TestBatchThatEndsInTimeLeavesWhatItDidNotTakeToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := SubscribeWith(t, client, conn, on("t"))
		ctx := slowContext{t.Context(), make(chan time.Duration, 1)}
		o := mqtt.BatchOptions{Messages: 3, Wait: time.Minute}
		first := beginBatchesIn(ctx, t, sub, o)
		conn.Send(one(1, 1)...)
		first.wantNone(t)
		second := beginBatches(t, sub, o)
		second.wantNone(t)
		ctx.takes <- time.Hour
		conn.Send(one(2, 2)...)
		first.wantOnly(t, "1")
		time.Sleep(time.Hour)
		select {
		case batch := <-second.got:
			require.Equal(t, []string{"2"}, payloadsOf(batch))
		default:
			require.Fail(t, "nobody was woken for the message")
		}
		second.next <- nil
		first.next <- nil
		conn.Want(pubacks(1, 2)...)
	})
}

// Messages that come all the time do not make a batch longer.
func TestBatchEndsInTimeAlthoughMoreComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, conn, _, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 1 << 20, Wait: time.Second})
		done := Begin(func() error {
			for i := range 30 {
				conn.Send(Pub(0, 0, fmt.Sprint(i)))
				time.Sleep(100*time.Millisecond + 1)
			}
			return nil
		})
		for range 2 {
			batch := <-b.got
			require.Len(t, batch, 10)
			b.next <- nil
		}
		require.NoError(t, done.Wait())
	})
}

func TestWithoutWaitABatchHasWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, conn, _, b := batches(t, on("t"), mqtt.BatchOptions{})
		conn.Send(one(1, 1)...)
		b.wantOnly(t, "1")
		conn.Send(one(2, 4)...)
		synctest.Wait()
		b.next <- nil
		b.want(t, nil, "2", "3", "4")
		conn.Want(pubacks(1, 4)...)
		b.wantNone(t)
	})
}

func TestBatchIsCompleteWithItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("x", 1000)
		_, _, conn, _, b := batches(t, on("t"), mqtt.BatchOptions{Bytes: 2500, Wait: time.Hour})
		for i := range 4 {
			conn.Send(Pub(uint16(i+1), 1, text))
		}
		b.want(t, nil, text, text, text)
		conn.Want(pubacks(1, 3)...)
		b.wantNone(t)
	})
}

func TestBatchBeyondTheReceiveMaximumIsCompleteAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, _, conn, _, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 100, Wait: time.Hour}) // 8 are possible
		for i := range 5 {
			conn.Send(one(i*8+1, i*8+7)...)
			b.wantNone(t)
			conn.Send(Pub(0, 0, "lossy"), Pub(uint16(i*8+8), 1, fmt.Sprint(i*8+8)))
			require.Len(t, <-b.got, 9)
			b.next <- nil
			conn.Want(pubacks(i*8+1, i*8+8)...)
		}
		require.Less(t, time.Since(began), time.Minute)
	})
}

// Another consumer has handled its messages, but their acknowledgements have to wait for
// those of the batch.
func TestBatchThatHoldsUpOthersIsCompleteAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, client, conn, _, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 100, Wait: time.Hour})
		other := Subscribe(t, client, conn, "o", 1)
		conn.Send(one(1, 1)...)
		b.wantNone(t)
		for i := 2; i <= 7; i++ {
			conn.Send(To("o", Pub(uint16(i), 1, "o")))
		}
		WantMessages(t, other, "o", "o", "o", "o", "o", "o")
		conn.Send(one(8, 8)...)
		b.want(t, nil, "1", "8")
		conn.Want(pubacks(1, 8)...)
		require.Less(t, time.Since(began), time.Minute)
	})
}

// Likewise, and it gets nothing more itself.
func TestBatchIsCompleteWhenOthersHaveTheLastMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, client, conn, sub, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 100, Wait: time.Hour})
		second := beginBatches(t, sub, mqtt.BatchOptions{Messages: 100, Wait: time.Hour})
		other := Subscribe(t, client, conn, "o", 1)
		conn.Send(one(1, 2)...)
		b.wantNone(t)
		second.wantNone(t)
		for i := 3; i <= 8; i++ {
			conn.Send(To("o", Pub(uint16(i), 1, "o")))
		}
		WantMessages(t, other, "o", "o", "o", "o", "o", "o")
		got := 0
		for got < 2 {
			select {
			case batch := <-b.got:
				got += len(batch)
				b.next <- nil
			case batch := <-second.got:
				got += len(batch)
				second.next <- nil
			}
		}
		conn.Want(pubacks(1, 8)...)
		require.Less(t, time.Since(began), time.Minute)
	})
}

func TestBatchOfAllQoS(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, Quiet(srv))
		b := beginBatches(t, Subscribe(t, client, conn, "t", 2), mqtt.BatchOptions{Messages: 4, Wait: time.Hour})
		conn.Send(Pub(1, 1, "1"), Pub(2, 2, "2"), Pub(0, 0, "3"), Pub(3, 1, "4"))
		b.want(t, nil, "1", "2", "3", "4")
		conn.Want(Puback(1), Pubrec(2), Puback(3))
	})
}

func TestEndOfTheContextInTheMiddleOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, conn, sub, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 4, Wait: time.Hour})
		conn.Send(Pub(0, 0, "lossy"))
		conn.Send(one(1, 2)...)
		b.wantNone(t)
		b.end(errHandler)
		require.ErrorIs(t, b.Wait(), errHandler)
		conn.Send(one(3, 3)...)
		WantMessages(t, sub, "lossy", "1", "2", "3")
		conn.Want(pubacks(1, 3)...)
	})
}

func TestFailedBatchGoesToTheNextConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, conn, sub, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 4, Wait: time.Hour})
		conn.Send(one(1, 5)...)
		batch := b.wantOnly(t, "1", "2", "3", "4")
		require.NoError(t, batch[1].Ack())
		require.NoError(t, batch[2].Refuse(mqtt.NotAuthorized, "not three"))
		batch[0].Payload = []byte("as f left it")
		b.next <- errHandler
		err := b.Wait()
		require.ErrorIs(t, err, errHandler)
		require.EqualError(t, err, `mqtt: handle "t": handler failed`)
		conn.WantIdle()
		WantMessages(t, sub, "as f left it", "4", "5")
		conn.Want(Puback(1), Puback(2), &wire.Puback{PacketID: 3, ReasonCode: wire.NotAuthorized, ReasonString: "not three"}, Puback(4), Puback(5))
	})
}

func TestPanicGivesTheBatchBack(t *testing.T) {
	for name, leave := range map[string]func(){"panic": func() { panic(errHandler) }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				sub := Subscribe(t, client, conn, "t", 1)
				conn.Send(one(1, 3)...)
				synctest.Wait()
				var over sync.WaitGroup
				over.Go(func() {
					defer func() { _ = recover() }()
					_ = sub.HandleBatches(t.Context(), mqtt.BatchOptions{Messages: 2}, func(_ context.Context, batch []*mqtt.Message) error {
						batch[0].Ack()
						leave()
						return nil
					})
				})
				over.Wait()
				conn.Want(Puback(1))
				WantMessages(t, sub, "2", "3")
				conn.Want(pubacks(2, 3)...)
			})
		})
	}
}

func TestRefusedBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, _, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 2, Wait: time.Hour})
		conn.Send(one(1, 4)...)
		b.want(t, mqtt.QuotaExceeded, "1", "2")
		conn.Want(&wire.Puback{PacketID: 1, ReasonCode: wire.QuotaExceeded}, &wire.Puback{PacketID: 2, ReasonCode: wire.QuotaExceeded})
		batch := b.wantOnly(t, "3", "4")
		require.NoError(t, batch[1].Ack())
		b.next <- fmt.Errorf("all: %w", &mqtt.Refusal{ReasonCode: mqtt.NotAuthorized, ReasonString: "why"})
		conn.Want(&wire.Puback{PacketID: 3, ReasonCode: wire.NotAuthorized, ReasonString: "why"}, Puback(4))
		require.Equal(t, uint64(3), client.Stats().Rejected)
		require.False(t, b.Over())
	})
}

func TestManualAckOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := on("t")
		o.ManualAck = true
		_, _, conn, _, b := batches(t, o, mqtt.BatchOptions{Messages: 2, Wait: time.Hour})
		conn.Send(one(1, 4)...)
		first := b.wantOnly(t, "1", "2")
		b.next <- nil
		second := b.wantOnly(t, "3", "4")
		b.next <- nil
		conn.WantIdle()
		for _, m := range append(second, first...) {
			require.NoError(t, m.Ack())
		}
		conn.Want(pubacks(1, 4)...)
	})
}

func TestDrainAndDisconnectCompleteTheLastBatch(t *testing.T) {
	for name, end := range map[string]struct {
		begin func(context.Context, *mqtt.Client, *mqtt.Subscription) error
		ends  error
	}{
		"Drain":      {func(ctx context.Context, _ *mqtt.Client, s *mqtt.Subscription) error { return s.Drain(ctx) }, mqtt.ErrUnsubscribed},
		"Disconnect": {func(ctx context.Context, c *mqtt.Client, _ *mqtt.Subscription) error { return c.Disconnect(ctx) }, mqtt.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, client, conn, sub, first := batches(t, on("t"), mqtt.BatchOptions{Messages: 6, Wait: time.Hour})
				began := time.Now()
				second := beginBatches(t, sub, mqtt.BatchOptions{Messages: 6, Wait: time.Hour})
				third := beginBatches(t, sub, mqtt.BatchOptions{Messages: 6, Wait: time.Hour})
				conn.Send(one(1, 5)...)
				first.wantNone(t)
				ending := Begin(func() error { return end.begin(t.Context(), client, sub) })
				if name == "Drain" {
					WantUnsubscribe(t, conn, "t")
				}
				var got []string
				for len(got) < 5 {
					select {
					case batch := <-first.got:
						got = append(got, payloadsOf(batch)...)
						first.next <- nil
					case batch := <-second.got:
						got = append(got, payloadsOf(batch)...)
						second.next <- nil
					case batch := <-third.got:
						got = append(got, payloadsOf(batch)...)
						third.next <- nil
					}
				}
				require.ElementsMatch(t, []string{"1", "2", "3", "4", "5"}, got)
				conn.Want(pubacks(1, 5)...)
				if name == "Disconnect" {
					conn.WantDisconnect(wire.NormalDisconnection)
				}
				require.NoError(t, ending.Wait())
				for _, b := range []*batching{first, second, third} {
					require.ErrorIs(t, b.Wait(), end.ends)
				}
				require.Less(t, time.Since(began), time.Minute)
			})
		})
	}
}

func TestUnsubscribeAndCloseInTheMiddleOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, conn, sub, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 5, Wait: time.Hour})
		conn.Send(one(1, 2)...)
		b.wantNone(t)
		end := Begin(func() error { return sub.Unsubscribe(t.Context()) })
		require.ErrorIs(t, b.Wait(), mqtt.ErrUnsubscribed)
		wantInAnyOrder(t, conn, Puback(1), Puback(2), &wire.Unsubscribe{PacketID: 2, Filters: []string{"t"}})
		conn.Send(&wire.Unsuback{PacketID: 2, ReasonCodes: []wire.ReasonCode{0}})
		require.NoError(t, end.Wait())
	})
	synctest.Test(t, func(t *testing.T) {
		_, client, conn, _, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 5, Wait: time.Hour})
		conn.Send(one(1, 2)...)
		b.wantNone(t)
		end := Begin(client.Close)
		conn.WantDisconnect(wire.NormalDisconnection) // the server keeps them
		require.NoError(t, end.Wait())
		require.ErrorIs(t, b.Wait(), mqtt.ErrClosed)
	})
}

func TestDisconnectFromTheFunctionOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		conn.Send(one(1, 3)...)
		synctest.Wait()
		calls := 0
		h := Begin(func() error {
			return sub.HandleBatches(t.Context(), mqtt.BatchOptions{Messages: 2}, func(ctx context.Context, batch []*mqtt.Message) error {
				calls++
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				return left(client.Disconnect(ctx), 3)
			})
		})
		conn.WantDisconnect(wire.NormalDisconnection)
		require.ErrorIs(t, h.Wait(), mqtt.ErrClosed)
		require.Equal(t, 1, calls)
	})
}

func TestReconnectInTheMiddleOfABatch(t *testing.T) {
	for _, resumed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			srv, _, conn, _, b := batches(t, on("t"), mqtt.BatchOptions{Messages: 4, Wait: time.Hour})
			conn.Send(one(1, 2)...)
			b.wantNone(t)
			conn.Close()
			if resumed {
				conn = srv.Connected(Resumed())
				Renewed(t, conn)
				conn.Send(Dup(1, 1, "1"), Dup(2, 1, "2"))
				conn.Send(one(3, 4)...)
				b.want(t, nil, "1", "2", "3", "4")
				conn.Want(pubacks(1, 4)...)
				return
			}
			conn = srv.Connected(&wire.Connack{})
			Grant(conn)
			conn.Send(one(1, 2)...) // again, as new ones
			b.want(t, nil, "1", "2", "1", "2")
			conn.Want(pubacks(1, 2)...)
		})
	}
}

func TestBatchOfLentMessagesIsTheFunctionsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := on("t")
		o.Lend = true
		_, _, conn, _, b := batches(t, o, mqtt.BatchOptions{Messages: 3, Wait: time.Hour})
		var all []*mqtt.Message
		for i := range 20 {
			conn.Send(Pub(1, 1, fmt.Sprint(i, "a")), Pub(2, 1, fmt.Sprint(i, "b")), Pub(3, 1, fmt.Sprint(i, "c")))
			all = append(all, <-b.got...)
			b.next <- nil
			conn.Want(pubacks(1, 3)...)
		}
		for i, m := range all {
			require.Equal(t, fmt.Sprint(i/3, string("abc"[i%3])), string(m.Payload))
		}
	})
}

func TestBatchesBesideOtherConsumersLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		var mu sync.Mutex
		seen := make(map[string]int)
		note := func(batch ...*mqtt.Message) error {
			mu.Lock()
			defer mu.Unlock()
			for _, payload := range payloadsOf(batch) {
				seen[payload]++
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all []*Call
		for i := range 3 {
			all = append(all, Begin(func() error {
				return sub.HandleBatches(ctx, mqtt.BatchOptions{Messages: 3 + i, Wait: time.Second}, func(_ context.Context, batch []*mqtt.Message) error {
					return note(batch...)
				})
			}))
		}
		all = append(all, Begin(func() error {
			return sub.Handle(ctx, func(_ context.Context, m *mqtt.Message) error { return note(m) })
		}))
		const n = 1000
		for i := range n {
			conn.Send(Pub(uint16(i+1), 1, fmt.Sprint(i)))
			if i%10 == 9 {
				time.Sleep(time.Second)
				conn.Skip()
			}
		}
		time.Sleep(time.Minute)
		require.Len(t, seen, n)
		for payload, times := range seen {
			require.Equal(t, 1, times, payload)
		}
		cancel()
		for _, c := range all {
			require.ErrorIs(t, c.Wait(), context.Canceled)
		}
	})
}

func TestBatchIsTriedAgainWithoutWhatIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := trying(mqtt.FailurePolicy{Attempts: 3, Backoff: hourly})
		_, client, conn, _, b := batches(t, o, mqtt.BatchOptions{Messages: 5, Wait: time.Hour})
		conn.Send(one(1, 2)...)
		conn.Send(Pub(0, 0, "lossy"))
		conn.Send(one(3, 4)...)
		first := b.wantOnly(t, "1", "2", "lossy", "3", "4")
		require.NoError(t, first[1].Ack())
		require.NoError(t, first[4].Refuse(mqtt.NotAuthorized, ""))
		first[0].Payload = nil
		first[0], first[3] = nil, nil // the slice is the function's
		b.next <- errHandler
		second := b.wantOnly(t, "1", "lossy", "3")
		require.NoError(t, second[0].Ack())
		b.next <- errHandler
		b.want(t, nil, "lossy", "3")
		conn.Want(pubacks(1, 3)...)
		conn.Want(&wire.Puback{PacketID: 4, ReasonCode: wire.NotAuthorized})
		require.Equal(t, uint64(2), client.Stats().Retried)
		require.False(t, b.Over())
	})
}

func TestBatchOfWhichAllIsSettledHasNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, conn, _, b := batches(t, trying(mqtt.FailurePolicy{}), mqtt.BatchOptions{Messages: 2, Wait: time.Hour})
		conn.Send(one(1, 4)...)
		for _, m := range b.wantOnly(t, "1", "2") {
			require.NoError(t, m.Ack())
		}
		b.next <- errHandler
		b.want(t, nil, "3", "4")
		conn.Want(pubacks(1, 4)...)
	})
}

func TestOnlyMessagesThatFailAloneBecomeDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := trying(mqtt.FailurePolicy{Attempts: 2, DeadLetter: "dead"})
		_, client, conn, _, b := batches(t, o, mqtt.BatchOptions{Messages: 4, Wait: time.Hour})
		p := Pub(2, 1, "2")
		conn.Send(Pub(1, 1, "1"), p, Pub(0, 0, "3"), Pub(4, 1, "4"))
		failure := fmt.Errorf("%w for 2", errHandler)
		b.want(t, errHandler, "1", "2", "3", "4")
		b.want(t, errHandler, "1", "2", "3", "4")
		b.want(t, nil, "1")
		conn.Want(Puback(1))
		b.want(t, failure, "2")
		conn.Send(wantLetter(t, conn, letter(p, "dead", 3)))
		b.want(t, nil, "3")
		b.want(t, mqtt.NotAuthorized, "4")
		conn.Want(Puback(2), &wire.Puback{PacketID: 4, ReasonCode: wire.NotAuthorized})
		require.Equal(t, uint64(1), client.Stats().DeadLettered)
		b.wantNone(t)
		// A batch of one has failed alone.
		conn.Send(one(5, 5)...)
		time.Sleep(time.Hour)
		b.want(t, errHandler, "5")
		b.want(t, fmt.Errorf("%w for 5", errHandler), "5")
		conn.Send(wantLetter(t, conn, letter(Pub(5, 1, "5"), "dead", 2)))
		conn.Want(Puback(5))
	})
}

func TestBatchThatFailsForGoodEndsHandleBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, conn, sub, b := batches(t, trying(mqtt.FailurePolicy{Attempts: 2}), mqtt.BatchOptions{Messages: 2, Wait: time.Hour})
		conn.Send(one(1, 3)...)
		b.want(t, errHandler, "1", "2")
		b.want(t, errHandler, "1", "2")
		require.ErrorIs(t, b.Wait(), errHandler)
		WantMessages(t, sub, "1", "2", "3")
		conn.Want(pubacks(1, 3)...)
	})
}

// What the function settles itself is settled, whatever it returns.
func TestMessageThatIsSettledAloneBecomesNoDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := trying(mqtt.FailurePolicy{DeadLetter: "dead"})
		_, client, conn, _, b := batches(t, o, mqtt.BatchOptions{Messages: 2, Wait: time.Hour})
		conn.Send(one(1, 2)...)
		b.want(t, errHandler, "1", "2")
		require.NoError(t, b.wantOnly(t, "1")[0].Refuse(mqtt.NotAuthorized, ""))
		b.next <- errHandler
		conn.Want(&wire.Puback{PacketID: 1, ReasonCode: wire.NotAuthorized})
		conn.WantIdle()
		require.NoError(t, b.wantOnly(t, "2")[0].Ack())
		b.next <- errHandler
		conn.Want(Puback(2))
		conn.WantIdle()
		require.Zero(t, client.Stats().DeadLettered)
		require.False(t, b.Over())
	})
}

// What is done while the messages are tried alone does not come back.
func TestEndWhileMessagesOfABatchAreTriedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := trying(mqtt.FailurePolicy{Refuse: mqtt.QuotaExceeded})
		_, _, conn, sub, b := batches(t, o, mqtt.BatchOptions{Messages: 4, Wait: time.Hour})
		conn.Send(Pub(0, 0, "1"), Pub(2, 1, "2"), Pub(3, 1, "3"), Pub(4, 1, "4"))
		b.want(t, errHandler, "1", "2", "3", "4")
		b.want(t, nil, "1")
		b.want(t, errors.New("no"), "2")
		b.wantOnly(t, "3")
		b.end(errHandler)
		b.next <- errors.New("no")
		require.ErrorIs(t, b.Wait(), errHandler)
		WantMessages(t, sub, "3", "4")
		conn.Want(&wire.Puback{PacketID: 2, ReasonCode: wire.QuotaExceeded, ReasonString: "no"}, Puback(3), Puback(4))
	})
}

func TestBatchOptionsThatCannotWorkAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		sub := Subscribe(t, client, conn, "t", 1)
		f := func(context.Context, []*mqtt.Message) error { return nil }
		for _, o := range []mqtt.BatchOptions{{Messages: -1}, {Bytes: -1}, {Wait: -1}} {
			err := sub.HandleBatches(t.Context(), o, f)
			require.ErrorIs(t, err, mqtt.ErrInvalid)
			require.True(t, mqtt.NotSent(err))
		}
		require.ErrorIs(t, sub.HandleBatches(t.Context(), mqtt.BatchOptions{}, nil), mqtt.ErrInvalid)
	})
}
