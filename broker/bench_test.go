package broker

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// BenchmarkFanOut sends messages of 64 bytes from one publisher to many
// subscribers over connections in memory. Each operation is a batch of messages
// published and delivered to all.
func BenchmarkFanOut(b *testing.B) {
	for _, qos := range []wire.QoS{wire.AtMostOnce, wire.AtLeastOnce} {
		for _, subscribers := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("QoS %d to %d", qos, subscribers), func(b *testing.B) { fanOut(b, Config{}, "a/b", qos, subscribers, nil) })
		}
	}
}

// batch is how many messages are on their way at a time, so that none is dropped.
const batch = 256

// BenchmarkRights shows what a message costs for whose delivery rules are looked at:
// without any, with rules that have not changed, and with a filter that is not allowed
// as a whole any more, so that each message is looked at.
func BenchmarkRights(b *testing.B) {
	path := filepath.Join(b.TempDir(), "acl")
	rules := func(text string) {
		require.NoError(b, os.WriteFile(path, []byte(text), 0o600))
	}
	rules("topic readwrite a/#")
	acl, err := LoadACL(path)
	require.NoError(b, err)
	for _, test := range []struct {
		name  string
		hooks []Authorizer
		rules string
	}{
		{"none", nil, ""},
		{"a function", []Authorizer{AuthorizerFunc(func(context.Context, *Access) Decision { return Allow() })}, ""},
		{"unchanged", []Authorizer{acl}, ""},
		{"looked at", []Authorizer{acl}, "topic readwrite a/b"},
	} {
		for _, qos := range []wire.QoS{wire.AtMostOnce, wire.AtLeastOnce} {
			b.Run(fmt.Sprintf("%s, QoS %d", test.name, qos), func(b *testing.B) {
				rules("topic readwrite a/#")
				require.NoError(b, acl.Reload())
				fanOut(b, Config{Authorizers: test.hooks}, "a/#", qos, 100, func() {
					if test.rules != "" {
						rules(test.rules)
						require.NoError(b, acl.Reload())
					}
				})
			})
		}
	}
}

// fanOut calls ready when all have subscribed to the filter.
func fanOut(b *testing.B, cfg Config, f string, qos wire.QoS, subscribers int, ready func()) {
	broker := New(cfg)
	defer broker.Close()
	var receivers sync.WaitGroup
	defer receivers.Wait()
	arrived := make(chan struct{}, subscribers)
	for i := range subscribers {
		nc := attach(b, broker, fmt.Sprint("sub", i))
		defer nc.Close()
		_, err := nc.Write(encode(b, &wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{filter(f, qos)}}))
		require.NoError(b, err)
		r := wire.NewReader(nc, wire.V311, 0)
		_, _, err = r.ReadPacket()
		require.NoError(b, err)
		receivers.Go(func() { count(nc, r, arrived) })
	}
	if ready != nil {
		ready()
	}
	pub := attach(b, broker, "pub")
	defer pub.Close()
	receivers.Go(func() { count(pub, wire.NewReader(pub, wire.V311, 0), nil) })
	p := &wire.Publish{Topic: "a/b", Payload: make([]byte, 64), QoS: qos}
	var full []byte
	for i := range batch {
		if qos > 0 {
			p.PacketID = uint16(1 + i)
		}
		full = append(full, encode(b, p)...)
	}
	b.SetBytes(64 * batch)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pub.Write(full); err != nil {
			b.Fatal(err)
		}
		for range subscribers {
			<-arrived
		}
	}
	deliveries := float64(b.N) * batch * float64(subscribers)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
	require.Zero(b, broker.Stats().Dropped)
}

// count acknowledges messages and reports each batch.
func count(nc net.Conn, r *wire.Reader, arrived chan<- struct{}) {
	d := wire.Decoder{Version: wire.V311}
	var p wire.Publish
	var acks []byte
	n := 0
	for r.Fill() == nil {
		acks = acks[:0]
		for {
			h, body, ok, err := r.Next()
			if err != nil || !ok {
				break
			}
			if h.Type != wire.TypePublish || d.Publish(&p, h, body) != nil {
				continue
			}
			if p.QoS > 0 {
				acks, _ = (&wire.Puback{PacketID: p.PacketID}).Append(acks, wire.V311)
			}
			if n++; n%batch == 0 {
				arrived <- struct{}{}
			}
		}
		if _, err := nc.Write(acks); err != nil {
			return
		}
	}
}

func attach(b *testing.B, broker *Broker, id string) net.Conn {
	b.Helper()
	nc, err := broker.Dial(b.Context())
	require.NoError(b, err)
	_, err = nc.Write(encode(b, &wire.Connect{ClientID: id, CleanStart: true}))
	require.NoError(b, err)
	_, _, err = wire.NewReader(nc, wire.V311, 0).ReadPacket()
	require.NoError(b, err)
	return nc
}

func encode(b *testing.B, p wire.Packet) []byte {
	b.Helper()
	text, err := p.Append(nil, wire.V311)
	require.NoError(b, err)
	return text
}
