//go:build !race

// The race detector allocates on its own.

package mqtt_test

import (
	"context"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// acker is a server that allocates nothing once it is warm: it accepts whoever
// connects, acknowledges QoS 1, grants every subscription, and tells acked of
// each acknowledgement.
func acker(t *testing.T, acked chan struct{}) (dial func(context.Context, string, string) (net.Conn, error), server func() net.Conn) {
	var conns []net.Conn
	var mu sync.Mutex
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	dial = func(context.Context, string, string) (net.Conn, error) {
		a, b := pipe.New(0)
		mu.Lock()
		conns = append(conns, b)
		mu.Unlock()
		running.Go(func() { acknowledge(b, acked) })
		return a, nil
	}
	return dial, func() net.Conn {
		mu.Lock()
		defer mu.Unlock()
		return conns[len(conns)-1]
	}
}

func acknowledge(nc net.Conn, acked chan struct{}) {
	defer nc.Close()
	r := wire.NewReader(nc, wire.V5, 0)
	d := wire.Decoder{Version: wire.V5, From: wire.FromClient}
	var out []byte
	var publish wire.Publish
	for {
		h, body, err := r.ReadPacket()
		if err != nil {
			return
		}
		out = out[:0]
		switch h.Type {
		case wire.TypeConnect:
			out = append(out, 0x20, 3, 0, 0, 0)
		case wire.TypePublish:
			if d.Publish(&publish, h, body) != nil {
				return
			}
			if publish.QoS > 0 {
				out = append(out, 0x40, 2, byte(publish.PacketID>>8), byte(publish.PacketID))
			}
		case wire.TypePuback:
			acked <- struct{}{}
		case wire.TypeSubscribe:
			out = append(out, 0x90, 4, body[0], body[1], 0, 1)
		}
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

// allocations returns the allocations of the whole process per run of f.
func allocations(t *testing.T, runs int, f func()) float64 {
	t.Helper()
	for range runs / 10 {
		f() // until pools and buffers are there
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	n := float64(after.Mallocs-before.Mallocs) / float64(runs)
	t.Logf("%.3f allocations, %.0f bytes", n, float64(after.TotalAlloc-before.TotalAlloc)/float64(runs))
	return n
}

func ackedClient(t *testing.T) (client *mqtt.Client, server func() net.Conn, acked chan struct{}) {
	t.Helper()
	acked = make(chan struct{}, 1024)
	dial, server := acker(t, acked)
	client, err := mqtt.Connect(t.Context(), "mqtt://server", mqtt.Config{Version: mqtt.V5, Dial: dial})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client, server, acked
}

func TestPublishAtMostOnceAllocatesNothing(t *testing.T) {
	client, _, _ := ackedClient(t)
	payload := make([]byte, 64)
	n := allocations(t, 20_000, func() {
		require.NoError(t, client.Publish(t.Context(), "sensors/7/temp", payload, mqtt.AtMostOnce))
	})
	require.Less(t, n, 0.1)
}

func TestPublishAtLeastOnceHardlyAllocates(t *testing.T) {
	client, _, _ := ackedClient(t)
	payload := make([]byte, 64)
	n := allocations(t, 5_000, func() {
		require.NoError(t, client.Publish(t.Context(), "sensors/7/temp", payload, mqtt.AtLeastOnce))
	})
	require.Less(t, n, 2.1)
}

// inBursts returns the allocations per message that arrives at QoS 1 with 64
// bytes, many at once, while consumer waits until so many were received.
func inBursts(t *testing.T, server net.Conn, acked chan struct{}, consume func(n int)) float64 {
	t.Helper()
	var burst []byte
	var err error
	const size = 64
	for id := range uint16(size) {
		p := wire.Publish{Topic: "sensors/7/temp", Payload: make([]byte, 64), QoS: 1, PacketID: id + 1,
			Properties: &wire.PublishProperties{SubscriptionIDs: []uint32{1}}}
		burst, err = p.Append(burst, wire.V5)
		require.NoError(t, err)
	}
	n := allocations(t, 1_000, func() {
		_, err := server.Write(burst)
		require.NoError(t, err)
		consume(size)
		for range size {
			<-acked // its identifier is free again
		}
	})
	return n / size
}

func TestReceivedMessageIsOneAllocation(t *testing.T) {
	client, server, acked := ackedClient(t)
	sub, err := client.Subscribe(t.Context(), "sensors/+/temp", mqtt.AtLeastOnce)
	require.NoError(t, err)
	messages := sub.Messages()
	n := inBursts(t, server(), acked, func(n int) {
		for range n {
			<-messages
		}
	})
	require.Less(t, n, 1.1)
}

// awaitHandler sends messages until one finds the handler there.
func awaitHandler(t *testing.T, client *mqtt.Client, server net.Conn, handled <-chan struct{}) {
	t.Helper()
	probe, err := (&wire.Publish{Topic: "sensors/7/temp"}).Append(nil, wire.V5)
	require.NoError(t, err)
	for sent := uint64(1); ; sent++ {
		_, err := server.Write(probe)
		require.NoError(t, err)
		for client.Stats().Unclaimed < sent {
			select {
			case <-handled:
				return
			default:
				runtime.Gosched()
			}
		}
	}
}

func TestLentMessageAllocatesNothing(t *testing.T) {
	for _, concurrency := range []int{0, 4} {
		client, server, acked := ackedClient(t)
		handled := make(chan struct{}, 1024)
		var running sync.WaitGroup
		running.Go(func() {
			client.Handle(t.Context(), mqtt.SubscribeOptions{
				Filters:     []mqtt.Filter{{Filter: "sensors/+/temp", QoS: mqtt.AtLeastOnce}},
				Lend:        true,
				Concurrency: concurrency,
			}, func(context.Context, *mqtt.Message) error {
				handled <- struct{}{}
				return nil
			})
		})
		awaitHandler(t, client, server(), handled)
		n := inBursts(t, server(), acked, func(n int) {
			for range n {
				<-handled
			}
		})
		require.NoError(t, client.Close())
		running.Wait()
		require.Less(t, n, 0.1, "concurrency %d", concurrency)
	}
}

func TestIdleConnectionCostsFewGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		before := runtime.NumGoroutine()
		const n = 10
		for range n {
			open(t, srv, quiet(srv))
		}
		synctest.Wait()
		require.LessOrEqual(t, runtime.NumGoroutine()-before, 5*n+2)
	})
}

func TestIdleClientFootprint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := mqtttest.NewServer(t, wire.V5)
		const n = 200
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			open(t, srv, quiet(srv))
		}
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		heap := int(after.HeapAlloc-before.HeapAlloc) / n
		stack := int(after.StackInuse-before.StackInuse) / n
		t.Logf("heap %d, stack %d bytes per idle client, its scripted server's side included", heap, stack)
		require.Less(t, heap+stack, 32<<10)
	})
}
