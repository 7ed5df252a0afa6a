package clienttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// concurrently is a Subscription of Handle to everything.
func concurrently(n int) mqtt.SubscribeOptions {
	return mqtt.SubscribeOptions{Filters: Filters("#"), Concurrency: n}
}

// gates let the handler of a message go on.
type gates struct {
	mu      sync.Mutex
	waiting map[string]chan error // by payload
}

func newGates() *gates { return &gates{waiting: make(map[string]chan error)} }

func (g *gates) handle(_ context.Context, m *mqtt.Message) error {
	gate := make(chan error)
	g.mu.Lock()
	g.waiting[string(m.Payload)] = gate
	g.mu.Unlock()
	return <-gate
}

// running returns how many handlers wait when everything else does.
func (g *gates) running() int {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// pass lets the handler of payload return err, and reports whether it was running.
func (g *gates) pass(payload string, err error) bool {
	synctest.Wait()
	g.mu.Lock()
	gate := g.waiting[payload]
	delete(g.waiting, payload)
	g.mu.Unlock()
	if gate == nil {
		return false
	}
	gate <- err
	return true
}

func TestConcurrencyBoundsTheCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		g := newGates()
		handle(t, client, conn, concurrently(3), g.handle)
		for i := range 5 {
			conn.Send(To(fmt.Sprint("t", i), Pub(uint16(i+1), 1, fmt.Sprint(i))))
		}
		require.Equal(t, 3, g.running())
		require.False(t, g.pass("3", nil))
		require.True(t, g.pass("1", nil))
		require.Equal(t, 3, g.running(), "3 has taken its place")
		conn.WantIdle() // acknowledgements keep the order of arrival
		for _, payload := range []string{"3", "0", "4", "2"} {
			require.True(t, g.pass(payload, nil), payload)
		}
		conn.Want(Puback(1), Puback(2), Puback(3), Puback(4), Puback(5))
	})
}

func TestMessagesWithOneKeyAreHandledInOrder(t *testing.T) {
	for name, orderBy := range map[string]func(*mqtt.Message) string{
		"topic":   nil,
		"payload": func(m *mqtt.Message) string { return string(m.Payload[:1]) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := mqtttest.NewServer(t, wire.V5)
				client, conn := Open(t, srv, Quiet(srv))
				g := newGates()
				o := concurrently(8)
				o.OrderBy = orderBy
				handle(t, client, conn, o, g.handle)
				send := func(id uint16, payload string) {
					topic := payload[:1]
					if orderBy != nil {
						topic = fmt.Sprint(id) // says nothing
					}
					conn.Send(To(topic, Pub(id, 2, payload)))
				}
				send(1, "a1")
				send(2, "a2")
				send(3, "b1")
				send(4, "a3")
				require.Equal(t, 2, g.running(), "a1 and b1")
				require.True(t, g.pass("b1", nil))
				require.False(t, g.pass("a2", nil))
				require.True(t, g.pass("a1", nil))
				require.False(t, g.pass("a3", nil))
				require.True(t, g.pass("a2", nil))
				require.True(t, g.pass("a3", nil))
				send(5, "a4") // its lane was gone
				require.True(t, g.pass("a4", nil))
				conn.Want(Pubrec(1), Pubrec(2), Pubrec(3), Pubrec(4), Pubrec(5))
			})
		})
	}
}

func TestBusyKeyDoesNotStopOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		g := newGates()
		handle(t, client, conn, concurrently(2), g.handle)
		for i := range 20 {
			conn.Send(To("busy", Pub(0, 0, fmt.Sprint("busy", i))))
		}
		for i := range 5 {
			conn.Send(To("other", Pub(0, 0, fmt.Sprint("other", i))))
		}
		require.Equal(t, 2, g.running())
		for i := range 5 {
			require.True(t, g.pass(fmt.Sprint("other", i), nil))
		}
		require.Equal(t, 1, g.running())
		for i := range 20 {
			require.True(t, g.pass(fmt.Sprint("busy", i), nil))
		}
	})
}

func TestLanesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		g := newGates()
		handle(t, client, conn, concurrently(2), g.handle)
		conn.Send(To("x", Pub(0, 0, "x")), To("y", Pub(0, 0, "y")))
		require.Equal(t, 2, g.running())
		conn.Send(To("a", Pub(0, 0, "a1")), To("a", Pub(0, 0, "a2")), To("b", Pub(0, 0, "b1")))
		require.True(t, g.pass("x", nil)) // y blocks the other worker for good
		require.True(t, g.pass("a1", nil))
		require.False(t, g.pass("a2", nil))
		require.True(t, g.pass("b1", nil), "b has waited longer than the rest of a")
		require.True(t, g.pass("a2", nil))
		require.True(t, g.pass("y", nil))
	})
}

func TestOneFailureEndsAllWorkersAndKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		g := newGates()
		cancelled := make(chan error, 1)
		h := handle(t, client, conn, concurrently(3), func(ctx context.Context, m *mqtt.Message) error {
			switch string(m.Payload) {
			case "told":
				<-ctx.Done()
				cancelled <- context.Cause(ctx)
				return ctx.Err()
			}
			return g.handle(ctx, m)
		})
		const n = 70 // more than are taken out of the queue
		conn.Send(To("told", Pub(1, 1, "told")), To("done", Pub(2, 1, "done")), To("fails", Pub(3, 1, "fails")))
		var rest []string
		for i := range uint16(n) {
			rest = append(rest, fmt.Sprint("rest", i))
			conn.Send(To(fmt.Sprint("x", i%7), Pub(i+4, 1, rest[i])))
		}
		require.Equal(t, 2, g.running())
		require.True(t, g.pass("fails", errHandler))
		require.False(t, h.Over(), "it waits for the last function")
		require.ErrorIs(t, <-cancelled, errHandler)
		require.True(t, g.pass("done", nil))
		require.ErrorIs(t, h.Wait(), errHandler)
		WantUnsubscribe(t, conn, "#")
		conn.WantIdle()
		// All that was not done comes again in its order; what was done does not.
		got := make(chan string, 2*n)
		handle(t, client, conn, on("#"), list(got))
		wantStrings(t, got, append([]string{"told", "fails"}, rest...)...)
		for i := range uint16(n + 3) {
			conn.Want(Puback(i + 1))
		}
	})
}

func TestConcurrentHandlersKeepTheOrderOfEachKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		client, conn := Open(t, srv, Quiet(srv))
		const n, keys = 5000, 37
		var mu sync.Mutex
		next := make(map[string]int)
		busy := make(map[string]bool)
		handled := 0
		o := concurrently(8)
		o.Lend = true
		h := handle(t, client, conn, o, func(_ context.Context, m *mqtt.Message) error {
			var number int
			if _, err := fmt.Sscan(string(m.Payload), &number); err != nil {
				return err
			}
			mu.Lock()
			if busy[m.Topic] || number != next[m.Topic] {
				mu.Unlock()
				return fmt.Errorf("%s: %d, busy %t, want %d", m.Topic, number, busy[m.Topic], next[m.Topic])
			}
			busy[m.Topic] = true
			mu.Unlock()
			for range rand.IntN(4) {
				runtime.Gosched()
			}
			mu.Lock()
			defer mu.Unlock()
			busy[m.Topic] = false
			next[m.Topic]++
			handled++
			return nil
		})
		sent := make(map[string]int)
		for i := 0; i < n; i += 100 {
			var burst []wire.Packet
			for j := range 100 {
				topic := fmt.Sprint("k", rand.IntN(keys))
				burst = append(burst, To(topic, Pub(uint16(j+1), 1, fmt.Sprintf("%d %0300d", sent[topic], 0))))
				sent[topic]++
			}
			conn.Send(burst...)
			for j := range 100 {
				conn.Want(Puback(uint16(j + 1)))
			}
		}
		require.False(t, h.Over())
		require.Equal(t, n, handled)
		require.Equal(t, sent, next)
	})
}
