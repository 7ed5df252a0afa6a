package clienttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
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

// keeper is a server with one session. It sends its messages as often as it takes, as many
// at a time as the client wants, and answers all requests.
type keeper struct {
	t      *testing.T
	srv    *mqtttest.Server
	random *rand.Rand
	open   []*kept
	cuts   int  // how often it cuts the connection, at some packet
	drops  bool // it drops some messages while there is no connection
	loses  bool // it loses its session then
	gone   []string
	ending bool // the connection that ends is the last
}

// kept is a message of a session.
type kept struct {
	*wire.Publish
	sent     bool // on this connection
	received bool // PUBREC has come
}

// run serves connections, the first of which has sent CONNECT.
func (k *keeper) run(conn *mqtttest.Conn, window int) {
	for !k.serve(conn, window) {
		conn = k.srv.Accept()
		hello := conn.WantConnect()
		if window = int(hello.ReceiveMaximum); window == 0 {
			window = 65535
		}
		if k.drops {
			k.open = slices.DeleteFunc(k.open, func(m *kept) bool {
				drop := m.Duplicate && !m.received && k.random.IntN(4) == 0
				if drop {
					k.gone = append(k.gone, textOf(m.Payload))
				}
				return drop
			})
		}
		if k.loses {
			for _, m := range k.open {
				k.gone = append(k.gone, textOf(m.Payload))
			}
			k.open = nil
			conn.Send(&wire.Connack{})
			continue
		}
		conn.Send(Resumed())
	}
}

// serve serves one connection. It returns true if that is the last.
func (k *keeper) serve(conn *mqtttest.Conn, window int) (last bool) {
	for _, m := range k.open {
		m.sent = false
	}
	for {
		under := 0
		for _, m := range k.open {
			if under++; under > window {
				break
			}
			if m.sent {
				continue
			}
			m.sent = true
			if m.received {
				conn.Offer(Pubrel(m.PacketID))
				continue
			}
			conn.Offer(m.Publish)
			again := *m.Publish
			again.Duplicate = true
			m.Publish = &again
		}
		p, ok := mqtttest.TakeWithin[wire.Packet](conn, time.Hour)
		if !ok {
			return k.ending
		}
		if k.cuts > 0 && k.random.IntN(20) == 0 {
			k.cuts--
			conn.Close()
			return k.ending
		}
		k.answer(conn, p)
	}
}

func (k *keeper) answer(conn *mqtttest.Conn, p wire.Packet) {
	switch p := p.(type) {
	case *wire.Puback:
		k.finish(p.PacketID)
	case *wire.Pubrec:
		for _, m := range k.open {
			if m.PacketID == p.PacketID {
				m.received = true
			}
		}
		conn.Offer(Pubrel(p.PacketID))
	case *wire.Pubcomp:
		k.finish(p.PacketID)
	case *wire.Subscribe:
		conn.Offer(Suback(p))
	case *wire.Unsubscribe:
		conn.Offer(&wire.Unsuback{PacketID: p.PacketID, ReasonCodes: make([]wire.ReasonCode, len(p.Filters))})
	case *wire.Pingreq:
		conn.Offer(&wire.Pingresp{})
	case *wire.Disconnect: // the end of the connection follows
	default:
		k.t.Errorf("nobody expects %v", p)
	}
}

func (k *keeper) finish(id uint16) {
	k.open = slices.DeleteFunc(k.open, func(m *kept) bool { return m.PacketID == id })
}

func textOf(payload []byte) string { return strings.TrimSpace(string(payload)) }

// Drain loses nothing of what the server has sent, however slow the consumer and however
// small the buffer. What had to stay with the server comes again.
func TestDrainTakesWhatHadToStayWithTheServer(t *testing.T) {
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) { drainSlowly(t, seed) })
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

func drainSlowly(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	v := []wire.Version{wire.V311, wire.V5}[random.IntN(2)]
	qos := wire.QoS(1 + random.IntN(2))
	srv := mqtttest.NewServer(t, v)
	k := &keeper{t: t, srv: srv, random: rand.New(rand.NewPCG(seed, 1)), cuts: random.IntN(2) * random.IntN(3), drops: random.IntN(4) == 0, loses: random.IntN(10) == 0}
	var sent []string
	for i := range uint16(1 + random.IntN(20)) {
		m := bulky(i+1, fmt.Sprint(i))
		m.QoS = qos
		sent = append(sent, fmt.Sprint(i))
		k.open = append(k.open, &kept{Publish: m})
	}
	cuts := k.cuts
	client, conn := Open(t, srv, staying(srv))
	sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
	served := make(chan struct{})
	go func() {
		defer close(served)
		k.run(conn, 65535)
	}()

	pause := time.Duration(random.IntN(3)) * 700 * time.Millisecond
	var got []string
	consumed := make(chan struct{})
	go func() {
		defer close(consumed)
		time.Sleep(3 * pause)
		for {
			m, err := sub.Next(context.Background())
			if err != nil {
				return
			}
			got = append(got, textOf(m.Payload))
			time.Sleep(pause)
		}
	}()
	time.Sleep(time.Duration(random.IntN(8)) * 500 * time.Millisecond)
	ctx, cancel := t.Context(), context.CancelFunc(func() {})
	if impatient := random.IntN(4) == 0; impatient {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(4+random.IntN(3))*time.Second) // UNSUBACK has come by then
	}
	err := sub.Drain(ctx)
	if ctx.Err() == nil && cuts == 0 {
		require.NoError(t, err)
	}
	cancel()
	<-consumed
	require.NoError(t, sub.Err())
	require.Zero(t, sub.Dropped())

	synctest.Wait()
	k.cuts = 0
	require.NoError(t, client.WaitConnected(t.Context()))
	k.ending = true
	if err := client.Disconnect(t.Context()); len(k.gone) == 0 { // what was dropped cannot be acknowledged
		require.NoError(t, err)
	}
	<-served
	if qos == wire.AtLeastOnce && cuts > 0 { // an acknowledgement may have been lost
		slices.SortStableFunc(got, func(a, b string) int { return slices.Index(sent, a) - slices.Index(sent, b) })
		got = slices.Compact(got)
	}
	require.Equal(t, k.without(sent, got), got)
}

// leave sends six messages to a Subscription whose buffer takes four, and waits until two are
// left.
func leave(conn *mqtttest.Conn) {
	for i := range uint16(6) {
		conn.Send(bulky(i+1, fmt.Sprint(i)))
	}
	time.Sleep(2 * time.Second)
}

// A Drain that waits for what is left holds up no other end.
func TestDrainThatWaitsForWhatIsLeftCanBeEnded(t *testing.T) {
	ends := map[string]struct {
		end  func(t *testing.T, c *mqtt.Client, s *mqtt.Subscription) error
		want error
	}{
		"Close":       {func(_ *testing.T, c *mqtt.Client, _ *mqtt.Subscription) error { return c.Close() }, mqtt.ErrClosed},
		"Disconnect":  {func(t *testing.T, c *mqtt.Client, _ *mqtt.Subscription) error { return c.Disconnect(t.Context()) }, mqtt.ErrClosed},
		"Unsubscribe": {func(t *testing.T, _ *mqtt.Client, s *mqtt.Subscription) error { return s.Unsubscribe(t.Context()) }, nil},
	}
	for name, test := range ends {
		for _, reconnecting := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reconnecting %v", name, reconnecting), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := mqtttest.NewServer(t, wire.V5)
					client, conn := Open(t, srv, staying(srv))
					sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
					leave(conn)
					drain := Begin(func() error { return sub.Drain(t.Context()) })
					WantUnsubscribe(t, conn, "t")
					synctest.Wait()
					if reconnecting {
						wantBig(t, sub, "0", "1", "2", "3")
						conn.Skip()
						srv.Refuse()
					}
					synctest.Wait()
					end := Begin(func() error { return test.end(t, client, sub) })
					if !reconnecting {
						conn.Skip()
					}
					_ = end.Wait() // that messages were left
					if err := drain.Wait(); test.want != nil {
						require.ErrorIs(t, err, test.want)
					} else {
						require.NoError(t, err)
					}
					require.NoError(t, client.Close())
				})
			})
		}
	}
}

// Where another Subscription wants the same messages, they go on coming. Drain waits for those
// that were left, and not for the end of the others.
func TestDrainEndsThoughMessagesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V311)
		client, conn := Open(t, srv, staying(srv))
		sub := SubscribeWith(t, client, conn, mqtt.SubscribeOptions{Filters: Filters("t"), BufferBytes: bigBuffer})
		others := Subscribe(t, client, conn, "#", 1).Messages()
		go func() {
			for range others {
			}
		}()
		leave(conn)
		drain := Begin(func() error { return sub.Drain(t.Context()) })
		WantUnsubscribe(t, conn, "t")
		synctest.Wait()
		wantBig(t, sub, "0", "1", "2", "3")
		conn.Skip()
		conn = srv.Connected(Resumed())
		for id := uint16(5); id < 20; id++ {
			m := bulky(id, fmt.Sprint(id-1))
			m.Duplicate = id < 7
			conn.Send(m)
			if id < 8 {
				wantBig(t, sub, fmt.Sprint(id-1))
			}
			synctest.Wait()
		}
		require.NoError(t, drain.Wait())
		require.Zero(t, sub.Dropped())
	})
}

// without returns all but those that the server has dropped and the client does not have.
func (k *keeper) without(all, have []string) []string {
	return slices.DeleteFunc(all, func(text string) bool {
		return slices.Contains(k.gone, text) && !slices.Contains(have, text)
	})
}
