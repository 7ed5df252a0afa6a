package clienttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// A stuck consumer at a server that forgets the session whenever the line breaks.
func TestStuckConsumerIsBoundedOverLostSessions(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		cfg := Quiet(srv)
		cfg.ReceiveMaximum = 3
		client, conn := Open(t, srv, cfg)
		sub := Subscribe(t, client, conn, "t", 1)
		for range 30 {
			conn.Send(Pub(1, 1, "1"), Pub(2, 1, "2"))
			synctest.Wait()
			conn.Close()
			conn = srv.Connected(&wire.Connack{})
			Grant(conn)
		}
		require.Equal(t, 3, sub.Held().Messages)
		require.Equal(t, 3, client.Stats().Held.Messages)
		WantMessages(t, sub, "1", "2", "1")
	})
}

// bulky takes a quarter of bigBuffer, with its topic.
func bulky(id uint16, text string) *wire.Publish {
	return Pub(id, 1, text+strings.Repeat(" ", 250-len("t")-len(text)))
}

func wantBig(t *testing.T, sub *mqtt.Subscription, texts ...string) {
	t.Helper()
	for _, text := range texts {
		require.Equal(t, text, strings.TrimSpace(string(Next(t, sub).Payload)))
	}
}

const bigBuffer = 1000

func TestBytesAtQoS1AreBoundedAndFetchedLater(t *testing.T) {
	for _, v := range []wire.Version{wire.V311, wire.V5} {
		t.Run(v.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, v)
				client, conn := Open(t, srv, staying(srv))
				events := client.Watch(t.Context())
				sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
				for i := range uint16(8) {
					conn.Send(bulky(i+1, fmt.Sprint(i)))
				}
				time.Sleep(2 * time.Second)
				require.Equal(t, mqtt.Held{Messages: 4, Bytes: bigBuffer, Age: 2 * time.Second}, sub.Held())
				require.True(t, Seen(events, func(e mqtt.Event) bool {
					return e.Subscription == sub && errors.Is(e.Err, mqtt.ErrQueueFull)
				}))
				// The connection is alive all the same.
				p := Publish(t, client, "x", 1)
				out := mqtttest.Take[*wire.Publish](conn)
				conn.Send(Puback(out.PacketID))
				require.NoError(t, p.Wait())

				wantBig(t, sub, "0", "1")
				conn.Want(Puback(1), Puback(2))
				conn.WantDisconnect(wire.NormalDisconnection)
				conn = srv.Accept()
				connect := conn.WantConnect()
				if v == wire.V5 {
					// Three quarters of the five to eight that were too many.
					require.GreaterOrEqual(t, connect.ReceiveMaximum, uint16(3))
					require.LessOrEqual(t, connect.ReceiveMaximum, uint16(6))
				}
				conn.Send(Resumed())
				if v == wire.V5 {
					Grant(conn)
				}
				// As many at a time as the smallest receive maximum allows.
				for _, ids := range [][]uint16{{3, 4, 5}, {6}} {
					for _, id := range ids {
						p := bulky(id, fmt.Sprint(id-1))
						p.Duplicate = true
						conn.Send(p)
					}
					for _, id := range ids {
						wantBig(t, sub, fmt.Sprint(id-1))
						conn.Want(Puback(id))
					}
				}
				require.Zero(t, sub.Held().Messages)
				require.Zero(t, sub.Dropped())
			})
		})
	}
}

func TestConsumerThatIsOnlySlowCausesNoReconnect(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, staying(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
		go func() {
			for i := range uint16(20) {
				conn.Offer(bulky(i+1, fmt.Sprint(i)))
			}
		}()
		for i := range 20 {
			time.Sleep(900 * time.Millisecond)
			wantBig(t, sub, fmt.Sprint(i))
		}
		for i := range uint16(20) {
			conn.Want(Puback(i + 1))
		}
		require.Equal(t, uint64(1), client.Stats().Connections)
	})
}

func TestWhatIsLeftOnASessionThatEndsWithTheConnectionIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		cfg := Quiet(srv)
		cfg.KeepAlive = 2 * time.Second // shorter than the wait for room, in which nothing is read
		client, conn := Open(t, srv, cfg)
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
		go func() {
			for {
				if _, err := conn.Read(make([]byte, 1)); err != nil {
					return
				}
			}
		}()
		for i := range uint16(6) {
			conn.Send(bulky(i+1, fmt.Sprint(i)))
		}
		time.Sleep(9 * time.Second)
		require.Zero(t, sub.Dropped(), "it still waits")
		require.Equal(t, uint64(1), client.Stats().Connections, "and keep-alive knows that")
		time.Sleep(2 * time.Second)
		require.Equal(t, uint64(2), sub.Dropped())
		wantBig(t, sub, "0", "1", "2", "3")
		conn.Send(bulky(7, "6"))
		wantBig(t, sub, "6")
		synctest.Wait()
		require.Zero(t, client.Stats().Unfinished, "all is acknowledged")
		require.NoError(t, client.Close())
	})
}

func TestUnsubscribeGivesUpWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, staying(srv))
		full := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
		other := Subscribe(t, client, conn, "o", 1)
		for i := range uint16(6) {
			conn.Send(bulky(i+1, fmt.Sprint(i)))
		}
		conn.Send(To("o", Pub(7, 1, "other")))
		time.Sleep(2 * time.Second)
		WantMessages(t, other, "other")
		end := Begin(func() error { return full.Unsubscribe(t.Context()) })
		for id := range uint16(7) {
			conn.Want(Puback(id + 1))
		}
		require.Zero(t, client.Stats().Unfinished)
		WantUnsubscribe(t, conn, "t")
		require.NoError(t, end.Wait())
	})
}

// Drain does not wait for what had no room. It is counted when it comes again.
func TestDrainCountsWhatIsLeft(t *testing.T) {
	Each(t, func(t *testing.T, v wire.Version) {
		srv := mqtttest.NewServer(t, v)
		client, conn := Open(t, srv, staying(srv))
		full := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
		for i := range uint16(6) {
			conn.Send(bulky(i+1, fmt.Sprint(i)))
		}
		time.Sleep(2 * time.Second)
		end := Begin(func() error { return full.Drain(t.Context()) })
		WantUnsubscribe(t, conn, "t")
		synctest.Wait()
		wantBig(t, full, "0", "1", "2", "3")
		require.NoError(t, end.Wait())
		conn.Skip()
		conn = srv.Connected(Resumed())
		for id := uint16(5); id <= 6; id++ {
			m := bulky(id, "left")
			m.Duplicate = true
			conn.Send(m)
			conn.Want(Puback(id))
		}
		require.EqualValues(t, 2, client.Stats().Unclaimed)
	})
}

// Of a shared filter, what had no room waits for the next that wants it.
func TestDrainPassesOnWhatIsLeftOfASharedFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, staying(srv))
		const filter = "$share/g/t"
		full := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters(filter), BufferBytes: bigBuffer})
		for i := range uint16(5) {
			conn.Send(bulky(i+1, fmt.Sprint(i)))
		}
		time.Sleep(2 * time.Second)
		end := Begin(func() error { return full.Drain(t.Context()) })
		WantUnsubscribe(t, conn, filter)
		synctest.Wait()
		wantBig(t, full, "0", "1", "2", "3")
		require.NoError(t, end.Wait())
		conn.Skip()
		conn = srv.Connected(Resumed())
		left := bulky(5, "left")
		left.Duplicate = true
		conn.Send(left)
		synctest.Wait()
		require.Zero(t, client.Stats().Unclaimed)
		wantBig(t, Subscribe(t, client, conn, filter, 1), "left")
		conn.Want(Puback(5))
	})
}

// A message for two Subscriptions of which one has no room goes to neither: it is
// acknowledged for both, and QoS 2 must not come twice to one.
func TestMessageForSeveralIsLeftForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, staying(srv))
		full := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
		all := Subscribe(t, client, conn, "#", 2)
		for i := range uint16(4) {
			p := bulky(i+1, fmt.Sprint(i))
			p.QoS = 2
			conn.Send(p)
		}
		left := bulky(5, "left")
		left.QoS = 2
		conn.Send(left)
		time.Sleep(2 * time.Second)
		wantBig(t, all, "0", "1", "2", "3")
		require.Zero(t, all.Held().Messages)
		wantBig(t, full, "0", "1")
		conn.Want(Pubrec(1), Pubrec(2))
		conn.WantDisconnect(wire.NormalDisconnection)
		conn = srv.Connected(Resumed())
		left.Duplicate = true
		conn.Send(left)
		wantBig(t, full, "2", "3", "left")
		wantBig(t, all, "left")
	})
}

// The one that had no room ends: the message is still for the other.
func TestUnsubscribeDoesNotGiveUpWhatIsLeftForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, staying(srv))
		full := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
		all := Subscribe(t, client, conn, "#", 2)
		for i := range uint16(4) {
			conn.Send(bulky(i+1, fmt.Sprint(i)))
		}
		conn.Send(bulky(5, "left"))
		time.Sleep(2 * time.Second)
		wantBig(t, all, "0", "1", "2", "3")
		Begin(func() error { return full.Unsubscribe(t.Context()) })
		conn.Want(Puback(1), Puback(2), Puback(3), Puback(4))
		synctest.Wait()
		conn.Skip()
		conn = srv.Connected(Resumed())
		left := bulky(5, "left")
		left.Duplicate = true
		conn.Send(left)
		wantBig(t, all, "left")
	})
}

func TestRetainedMessagesBeforeTheSubackHaveMoreRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, staying(srv))
		b := beginSubscribeWith(t, client, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
		p := mqtttest.Take[*wire.Subscribe](conn)
		for i := range uint16(20) {
			conn.Send(bulky(i+1, fmt.Sprint(i)))
		}
		conn.Send(Suback(p))
		start := time.Now()
		require.NoError(t, b.call.Wait())
		require.Zero(t, time.Since(start))
		require.Equal(t, 20, b.sub.Held().Messages)
	})
}

// beginSubscribeWith begins a SubscribeWith that the server has not answered.
func beginSubscribeWith(t *testing.T, c *mqtt.Client, o mqtt.SubscribeOptions) *beginning {
	b := new(beginning)
	b.call = Begin(func() (err error) {
		b.sub, err = c.SubscribeWith(t.Context(), o)
		return err
	})
	return b
}

type beginning struct {
	sub  *mqtt.Subscription
	call *Call
}

// A Subscription that ends before it has begun has nobody who could make room for what was
// too much: that must not hold up the acknowledgements behind it.
func TestWhatIsTooMuchForASubscriptionThatNeverBeginsHoldsNothingUp(t *testing.T) {
	fail := errors.New("enough")
	ends := map[string]func(cancel context.CancelCauseFunc, conn *mqtttest.Conn, p *wire.Subscribe){
		"context": func(cancel context.CancelCauseFunc, _ *mqtttest.Conn, _ *wire.Subscribe) { cancel(fail) },
		"refused": func(_ context.CancelCauseFunc, conn *mqtttest.Conn, p *wire.Subscribe) {
			conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.NotAuthorized}})
		},
	}
	for name, end := range ends {
		for _, qos := range []wire.QoS{1, 2} {
			t.Run(fmt.Sprintf("%s, QoS %d", name, qos), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					client, conn := Open(t, srv, staying(srv))
					other := Subscribe(t, client, conn, "o", 2)
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					call := Begin(func() error {
						_, err := client.SubscribeWith(ctx, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
						return err
					})
					p := mqtttest.Take[*wire.Subscribe](conn)
					const sent = 16*4 + 3 // three more than fit
					for i := range uint16(sent) {
						m := bulky(i+1, fmt.Sprint(i))
						m.QoS = qos
						conn.Send(m)
					}
					conn.Send(To("o", Pub(sent+1, qos, "other")))
					time.Sleep(2 * time.Second)
					WantMessages(t, other, "other")
					end(cancel, conn, p)
					require.Error(t, call.Wait())
					for id := range uint16(sent + 1) {
						if qos == 1 {
							conn.Want(Puback(id + 1))
						} else {
							conn.Want(Pubrec(id + 1))
						}
					}
					synctest.Wait()
					require.EqualValues(t, 1, client.Stats().Connections)
				})
			})
		}
	}
}

// The messages of a handler are for the next one, those that were too much as well.
func TestWhatIsTooMuchForAHandlerThatNeverBeginsComesAgain(t *testing.T) {
	t.Run("context", func(t *testing.T) {
		neverHandle(t, true, func(cancel func(), _ *mqtttest.Conn, _ *wire.Subscribe) { cancel() })
	})
	t.Run("refused", func(t *testing.T) {
		neverHandle(t, false, func(_ func(), conn *mqtttest.Conn, p *wire.Subscribe) {
			conn.Send(&wire.Suback{PacketID: p.PacketID, ReasonCodes: []wire.ReasonCode{wire.NotAuthorized}})
		})
	})
}

// neverHandle ends a Handle before it begins. waits says that what comes again waits for who
// wants it: the server has the filter.
func neverHandle(t *testing.T, waits bool, end func(cancel func(), conn *mqtttest.Conn, p *wire.Subscribe)) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, staying(srv))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		call := Begin(func() error {
			return client.Handle(ctx, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer},
				func(context.Context, *mqtt.Message) error { return nil })
		})
		p := mqtttest.Take[*wire.Subscribe](conn)
		const fit = 16 * 4
		for i := range uint16(fit + 1) {
			conn.Send(bulky(i+1, fmt.Sprint(i)))
		}
		time.Sleep(2 * time.Second)
		end(cancel, conn, p)
		require.Error(t, call.Wait())
		conn.Skip()
		conn = srv.Connected(Resumed())
		left := bulky(fit+1, "left")
		left.Duplicate = true
		if waits {
			conn.Send(left)
			conn.WantIdle()
		}
		b := beginSubscribeWith(t, client, mqtt.SubscribeOptions{Filters: Filters("t")})
		p = mqtttest.Take[*wire.Subscribe](conn)
		if !waits {
			conn.Send(left)
		}
		conn.Send(Suback(p))
		require.NoError(t, b.call.Wait())
		for i := range fit {
			wantBig(t, b.sub, fmt.Sprint(i))
		}
		wantBig(t, b.sub, "left")
	})
}

func TestUnclaimedBytesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 64 << 20})
		client, conn := OpenWith(t, srv, staying(srv), Resumed())
		for i := range uint16(20) {
			p := Pub(i+1, 1, strings.Repeat("x", 1<<20-len("t")))
			conn.Send(p)
		}
		synctest.Wait()
		require.Equal(t, 16, client.Stats().HeldUnclaimed.Messages)
		require.Zero(t, client.Stats().Unclaimed)
		b := beginSubscribeWith(t, client, mqtt.SubscribeOptions{Filters: Filters("t")})
		conn.WantDisconnect(wire.NormalDisconnection)
		conn = srv.Connected(Resumed())
		Grant(conn)
		require.NoError(t, b.call.Wait())
		for i := uint16(16); i < 20; i++ {
			p := Pub(i+1, 1, "left")
			p.Duplicate = true
			conn.Send(p)
		}
		for range 16 {
			require.Len(t, Next(t, b.sub).Payload, 1<<20-len("t"))
		}
		WantMessages(t, b.sub, "left", "left", "left", "left")
	})
}

// Where the session ends with the connection, a message that is too large for what is left
// of the space is lost, and those behind it are not.
func TestLargeMessageThatIsLostHoldsUpNoSmallerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		cfg := Quiet(srv)
		cfg.Version = mqtt.V311
		client, conn := Open(t, srv, cfg)
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: 1000})
		conn.Send(Pub(1, 1, "first"), Pub(2, 1, strings.Repeat("x", 5000)), Pub(3, 1, "second"), Pub(4, 1, "third"))
		time.Sleep(time.Minute)
		for _, want := range []string{"first", "second", "third"} {
			require.Equal(t, want, string(Next(t, sub).Payload))
		}
		require.EqualValues(t, 1, sub.Dropped())
	})
}

// What had no room is given up with the filter: it would hold up the acknowledgements of
// all that comes later.
func TestUnsubscribeGivesUpWhatHadNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 64 << 20})
		client, conn := OpenWith(t, srv, staying(srv), Resumed())
		other := Subscribe(t, client, conn, "o", 1)
		for i := range uint16(18) {
			conn.Send(Pub(i+1, 1, strings.Repeat("x", 1<<20-len("t"))))
		}
		synctest.Wait()
		require.Equal(t, 16, client.Stats().HeldUnclaimed.Messages)
		end := Begin(func() error { return client.Unsubscribe(t.Context(), "t") })
		for i := range uint16(16) {
			conn.Want(Puback(i + 1))
		}
		conn.Skip()
		conn = srv.Connected(Resumed())
		Grant(conn)
		WantUnsubscribe(t, conn, "t")
		require.NoError(t, end.Wait())
		conn.Send(Dup(17, 1, "x"), Dup(18, 1, "x"), To("o", Pub(30, 1, "other")))
		WantMessages(t, other, "other")
		conn.Want(Puback(17), Puback(18), Puback(30))
		conn.WantIdle()
	})
}
