//go:build !race

// The race detector allocates on its own.

package mqtt_test

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

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
	o.Filters = filters("t")
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
	_, err := x.server.Write(encoded(x.T, &wire.Publish{Topic: "end", QoS: 1, PacketID: 99}))
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
			b := encoded(t, test.packet)
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
			b := bytes.Repeat(encoded(t, p), 200)
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
	sub, err := client.SubscribeWith(t.Context(), mqtt.SubscribeOptions{Filters: filters("#"), BufferBytes: limit})
	require.NoError(t, err)
	var b []byte
	for i := range 100 {
		b = append(b, encoded(t, &wire.Publish{Topic: fmt.Sprintf("%0*d", 60_000, i)})...)
	}
	b = append(b, encoded(t, &wire.Publish{Topic: "end", QoS: 1, PacketID: 99})...)
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
	b := encoded(t, withProperties(60_000, 200))
	_, stay := taken(func() {
		x.bring(b)
		_, err := x.sub.Next(t.Context())
		require.NoError(t, err)
	})
	require.Less(t, stay, 256<<10)
	runtime.KeepAlive(b)
}
