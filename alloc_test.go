//go:build !race

// The race detector allocates on its own.

package mqtt_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/internal/pipe"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// acker is a server that allocates nothing once it is warm: it accepts all
// connections, acknowledges QoS 1, grants every subscription, and tells acked of
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

// There is a Delivery for each message that PublishAsync has accepted. One byte more takes
// another 16.
func TestDeliveryFitsItsSizeClass(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(mqtt.Delivery{}), uintptr(176))
}

func TestPublishAtMostOnceAllocatesNothing(t *testing.T) {
	client, _, _ := ackedClient(t)
	payload := make([]byte, 64)
	n := allocations(t, 20_000, func() {
		require.NoError(t, client.Publish(t.Context(), "sensors/7/temp", payload, mqtt.AtMostOnce))
	})
	require.Less(t, n, 0.1)
}

// What a program makes for one call stays on its stack.
func TestMessagesToPublishAreNotAllocated(t *testing.T) {
	client, _, _ := ackedClient(t)
	payload := make([]byte, 64)
	n := allocations(t, 20_000, func() {
		m := mqtt.Message{Topic: "sensors/7/temp", Payload: payload}
		require.NoError(t, client.PublishMessage(t.Context(), &m))
	})
	require.Less(t, n, 0.1)
	n = allocations(t, 5_000, func() {
		m := mqtt.Message{Topic: "sensors/7/temp", Payload: payload, QoS: mqtt.AtLeastOnce}
		_, err := client.PublishAsync(t.Context(), &m)
		require.NoError(t, err)
	})
	require.Less(t, n, 1.2, "the Delivery")
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
			Open(t, srv, Quiet(srv))
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
			Open(t, srv, Quiet(srv))
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

func withProperties(n, size int) *wire.Publish {
	text := strings.Repeat("x", size/2)
	p := &wire.Publish{Topic: "t", Properties: &wire.PublishProperties{}}
	for range n {
		p.Properties.UserProperties = append(p.Properties.UserProperties, mqtt.UserProperty{Name: text, Value: text})
	}
	return p
}

// emptyProperties is a PUBLISH at QoS 1 with so many user properties that say nothing.
func emptyProperties(n int) []byte {
	varint := func(n int) (b []byte) {
		for ; n >= 0x80; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		return append(b, byte(n))
	}
	block := bytes.Repeat([]byte{0x26, 0, 0, 0, 0}, n)
	body := append([]byte{0, 1, 't', 0, 77}, append(varint(len(block)), block...)...)
	return append(append([]byte{0x32}, varint(len(body))...), body...)
}

// taker is a client that has one Subscription, and its server.
type taker struct {
	*testing.T
	client *mqtt.Client
	sub    *mqtt.Subscription
	server net.Conn
	acked  chan struct{}
}

func newTaker(t *testing.T, o mqtt.SubscribeOptions) *taker {
	client, server, acked := ackedClient(t)
	o.Filters = Filters("t")
	sub, err := client.SubscribeWith(t.Context(), o)
	require.NoError(t, err)
	return &taker{t, client, sub, server(), acked}
}

// bring sends packets and waits until the client has handled them.
func (x *taker) bring(packets ...[]byte) {
	x.Helper()
	for _, b := range packets {
		_, err := x.server.Write(b)
		require.NoError(x, err)
	}
	// An unclaimed message is acknowledged when all before it is handed over.
	_, err := x.server.Write(Encoded(x.T, &wire.Publish{Topic: "end", QoS: 1, PacketID: 99}))
	require.NoError(x, err)
	<-x.acked
}

// taken returns how many bytes f allocates, and how many stay.
func taken(f func()) (all, stay int) {
	read := func() (m runtime.MemStats) {
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m
	}
	before := read()
	f()
	after := read()
	return int(after.TotalAlloc - before.TotalAlloc), int(after.HeapAlloc) - int(before.HeapAlloc)
}

func TestMemoryForAMessageIsASmallMultipleOfIt(t *testing.T) {
	const size = 16 << 20
	for name, test := range map[string]struct {
		packet *wire.Publish
		times  float64
	}{
		"payload":          {&wire.Publish{Topic: "t", Payload: make([]byte, size)}, 2.2},
		"large properties": {withProperties(200, 64<<10), 4},
		"many properties":  {withProperties(50_000, 100), 4},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTaker(t, mqtt.SubscribeOptions{BufferBytes: 1 << 30})
			b := Encoded(t, test.packet)
			all, stay := taken(func() { x.bring(b) })
			t.Logf("%d bytes cost %d: %.2f times as many allocated, %.2f kept", len(b), test.packet.Cost(), float64(all)/float64(len(b)), float64(stay)/float64(len(b)))
			require.LessOrEqual(t, float64(all), test.times*float64(len(b)))
			require.LessOrEqual(t, stay, test.packet.Cost()+test.packet.Cost()/8)
			m, err := x.sub.Next(t.Context())
			require.NoError(t, err)
			require.Len(t, m.Payload, len(test.packet.Payload))
			runtime.KeepAlive(b)
		})
	}
}

func TestAMessageOfTooManyPropertiesIsRefusedAndCostsItsBytesOnce(t *testing.T) {
	x := newTaker(t, mqtt.SubscribeOptions{})
	b := emptyProperties(2_000_000)
	all, stay := taken(func() {
		x.bring(b)
		<-x.acked // of the refused one
	})
	require.LessOrEqual(t, all, 25*len(b)/10)
	require.Less(t, stay, 256<<10)
	stats := x.client.Stats()
	require.Equal(t, []uint64{1, 1, 2}, []uint64{stats.Connections, stats.Refused, stats.Received})
	runtime.KeepAlive(b)
}

func TestWhatWaitsForAStuckConsumerStaysWithinItsBytes(t *testing.T) {
	const limit = 1 << 20
	for name, p := range map[string]*wire.Publish{
		"payloads":         {Topic: "t", Payload: make([]byte, 20_000)},
		"properties":       withProperties(1000, 0),
		"large properties": withProperties(10, 10_000),
		"correlation data": {Topic: "t", Properties: &wire.PublishProperties{CorrelationData: make([]byte, 60_000)}},
		"content types":    {Topic: "t", Properties: &wire.PublishProperties{ContentType: strings.Repeat("x", 60_000)}},
		"response topics":  {Topic: "t", Properties: &wire.PublishProperties{ResponseTopic: strings.Repeat("x", 60_000)}},
		"identifiers":      {Topic: "t", Properties: &wire.PublishProperties{SubscriptionIDs: make([]uint32, 10_000)}},
	} {
		t.Run(name, func(t *testing.T) {
			if q := p.Properties; q != nil {
				for i := range q.SubscriptionIDs {
					q.SubscriptionIDs[i] = 1
				}
			}
			x := newTaker(t, mqtt.SubscribeOptions{BufferBytes: limit})
			b := bytes.Repeat(Encoded(t, p), 200)
			_, stay := taken(func() { x.bring(b) })
			t.Logf("%d bytes of %d", stay, limit)
			require.LessOrEqual(t, stay, 2*limit)
			require.GreaterOrEqual(t, 200-int(x.sub.Dropped()), limit/p.Cost(), "no more is dropped than needed")
			require.NotZero(t, x.sub.Dropped())
			runtime.KeepAlive(b)
		})
	}
}

func TestTopicsOfMessagesThatWaitAreCounted(t *testing.T) {
	const limit = 1 << 20
	client, server, acked := ackedClient(t)
	sub, err := client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: Filters("#"), BufferBytes: limit})
	require.NoError(t, err)
	var b []byte
	for i := range 100 {
		b = append(b, Encoded(t, &wire.Publish{Topic: fmt.Sprintf("%0*d", 60_000, i)})...)
	}
	b = append(b, Encoded(t, &wire.Publish{Topic: "end", QoS: 1, PacketID: 99})...)
	x := &taker{t, client, sub, server(), acked}
	_, stay := taken(func() {
		_, err := x.server.Write(b)
		require.NoError(t, err)
		for client.Stats().Received < 101 {
			runtime.Gosched()
		}
	})
	require.LessOrEqual(t, stay, 2*limit)
	require.EqualValues(t, 100-limit/60_000, sub.Dropped())
	runtime.KeepAlive(b)
}

func TestAnIdleClientKeepsNothingOfALargeMessage(t *testing.T) {
	x := newTaker(t, mqtt.SubscribeOptions{Overflow: mqtt.DropNewest})
	b := Encoded(t, withProperties(60_000, 200))
	_, stay := taken(func() {
		x.bring(b)
		_, err := x.sub.Next(t.Context())
		require.NoError(t, err)
	})
	require.Less(t, stay, 256<<10)
	runtime.KeepAlive(b)
}

// firehose is a connection to a server that sends the same messages over and over
// as fast as they are read, and takes everything it gets for acknowledgements.
type firehose struct {
	net.Conn // nil: what is not overwritten is not called
	answers  chan []byte
	block    []byte // of whole packets
	offset   int
	flowing  bool
	once     sync.Once
	closed   chan struct{}
}

func newFirehose(b testing.TB, p *wire.Publish) *firehose {
	f := &firehose{answers: make(chan []byte, 4), closed: make(chan struct{})}
	for len(f.block) < 60<<10 {
		var err error
		f.block, err = p.Append(f.block, wire.V5)
		require.NoError(b, err)
	}
	return f
}

func (f *firehose) Read(p []byte) (int, error) {
	if !f.flowing {
		select {
		case answer := <-f.answers:
			f.flowing = answer[0]>>4 == byte(wire.TypeSuback)
			return copy(p, answer), nil
		case <-f.closed:
			return 0, io.EOF
		}
	}
	select {
	case <-f.closed:
		return 0, io.EOF
	default:
	}
	n := copy(p, f.block[f.offset:])
	f.offset = (f.offset + n) % len(f.block)
	return n, nil
}

func (f *firehose) Write(p []byte) (int, error) {
	var answer wire.Packet
	switch wire.PacketType(p[0] >> 4) {
	case wire.TypeConnect:
		answer = &wire.Connack{}
	case wire.TypeSubscribe:
		answer = &wire.Suback{PacketID: uint16(p[2])<<8 | uint16(p[3]), ReasonCodes: []wire.ReasonCode{0}}
		if p[1] > 0x7f {
			panic("a long SUBSCRIBE")
		}
	default:
		return len(p), nil
	}
	b, err := answer.Append(nil, wire.V5)
	f.answers <- b
	return len(p), err
}

func (f *firehose) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

func (f *firehose) SetDeadline(time.Time) error { return nil }

func (f *firehose) SetWriteDeadline(time.Time) error { return nil }

func benchmarkReceive(b *testing.B, payload int, consume func(*mqtt.Subscription, func(*mqtt.Message) bool)) {
	f := newFirehose(b, &wire.Publish{Topic: "bench/topic", Payload: make([]byte, payload),
		Properties: &wire.PublishProperties{SubscriptionIDs: []uint32{1}}})
	client, err := mqtt.Connect(b.Context(), "mqtt://firehose", mqtt.Config{
		Dial: func(context.Context, string, string) (net.Conn, error) { return f, nil },
	})
	require.NoError(b, err)
	defer client.Close()
	sub, err := client.SubscribeWith(b.Context(), mqtt.SubscribeOptions{
		Filters: []mqtt.Filter{{Filter: "bench/#"}}, Overflow: mqtt.Block,
	})
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	consume(sub, func(*mqtt.Message) bool {
		n++
		return n < b.N
	})
	b.StopTimer()
}

func BenchmarkReceiveAll256(b *testing.B) {
	benchmarkReceive(b, 256, func(sub *mqtt.Subscription, more func(*mqtt.Message) bool) {
		for m := range sub.All(b.Context()) {
			if !more(m) {
				return
			}
		}
	})
}

func BenchmarkReceiveNext256(b *testing.B) {
	benchmarkReceive(b, 256, func(sub *mqtt.Subscription, more func(*mqtt.Message) bool) {
		for {
			m, err := sub.Next(b.Context())
			if err != nil || !more(m) {
				return
			}
		}
	})
}

func BenchmarkReceiveMessages256(b *testing.B) {
	benchmarkReceive(b, 256, func(sub *mqtt.Subscription, more func(*mqtt.Message) bool) {
		for m := range sub.Messages() {
			if !more(m) {
				return
			}
		}
	})
}

func BenchmarkReceiveStream256(b *testing.B) {
	benchmarkReceive(b, 256, func(sub *mqtt.Subscription, more func(*mqtt.Message) bool) {
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		for m := range sub.Stream(ctx) {
			if !more(m) {
				return
			}
		}
	})
}

func BenchmarkReceiveHandle256(b *testing.B) {
	for name, lend := range map[string]bool{"owned": false, "lent": true} {
		b.Run(name, func(b *testing.B) {
			f := newFirehose(b, &wire.Publish{Topic: "bench/topic", Payload: make([]byte, 256),
				Properties: &wire.PublishProperties{SubscriptionIDs: []uint32{1}}})
			client, err := mqtt.Connect(b.Context(), "mqtt://firehose", mqtt.Config{
				Dial: func(context.Context, string, string) (net.Conn, error) { return f, nil },
			})
			require.NoError(b, err)
			defer client.Close()
			ctx, cancel := context.WithCancel(b.Context())
			n := 0
			b.ReportAllocs()
			b.ResetTimer()
			err = client.Handle(ctx, mqtt.SubscribeOptions{
				Filters: []mqtt.Filter{{Filter: "bench/#"}}, Overflow: mqtt.Block, Lend: lend,
			}, func(context.Context, *mqtt.Message) error {
				if n++; n == b.N {
					cancel()
				}
				return nil
			})
			b.StopTimer()
			require.ErrorIs(b, err, context.Canceled)
		})
	}
}

// BenchmarkPublish writes to a connection that takes everything at once.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{16, 256, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := newFirehose(b, &wire.Publish{Topic: "unused"})
			client, err := mqtt.Connect(b.Context(), "mqtt://firehose", mqtt.Config{
				Dial: func(context.Context, string, string) (net.Conn, error) { return f, nil },
			})
			require.NoError(b, err)
			defer client.Close()
			payload := make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				if client.Publish(b.Context(), "sensors/7/temperature", payload, mqtt.AtMostOnce) != nil {
					b.Fatal("not published")
				}
			}
		})
	}
}

func TestMuxAllocatesOneContextAtMost(t *testing.T) {
	calls := 0
	mux := muxOf(t, 100, &calls)
	m, ctx := &mqtt.Message{Topic: "devices/7/kind50"}, t.Context()
	require.Equal(t, 1.0, testing.AllocsPerRun(100, func() { mux.Handle(ctx, m) }))
	require.Positive(t, calls)
	mux, err := mqtt.NewMux(mqtt.MuxHandler{Pattern: "devices/+/up", Handle: nothing}, mqtt.MuxHandler{Pattern: "b", Handle: nothing})
	require.NoError(t, err)
	m.Topic = "devices/7/up"
	require.Zero(t, testing.AllocsPerRun(100, func() { mux.Handle(ctx, m) }))
}
