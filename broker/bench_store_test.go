package broker_test

import (
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/broker"
	"github.com/seed65a45251/mqtt/store"
	"github.com/seed65a45251/mqtt/store/bolt"
	"github.com/seed65a45251/mqtt/wire"
)

// BenchmarkPublish sends QoS 1 messages of 64 bytes from publishers that wait for
// each acknowledgement to one subscriber with a session: without a Store, with one
// in memory, and with a file. Each operation is one message.
func BenchmarkPublish(b *testing.B) {
	for _, kind := range []string{"none", "memory", "bolt"} {
		for _, publishers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", kind, publishers), func(b *testing.B) { publishAll(b, kind, publishers) })
		}
	}
}

func openStore(b *testing.B, kind string) store.Store {
	switch kind {
	case "memory":
		return store.Memory()
	case "bolt":
		s, err := bolt.Open(filepath.Join(b.TempDir(), "store"), bolt.Config{})
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, s.Close()) })
		return s
	}
	return nil
}

func publishAll(b *testing.B, kind string, publishers int) {
	server := broker.New(broker.Config{Store: openStore(b, kind)})
	defer server.Close()
	sub := greet(b, server, "sub", 3600)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer sub.Close()
	write(b, sub, &wire.Subscribe{PacketID: 1, Filters: []wire.SubscribeFilter{{Filter: "#", QoS: 1}}})
	subscribed := wire.NewReader(sub, wire.V5, 0)
	_, _, err := subscribed.ReadPacket()
	require.NoError(b, err)
	clients.Go(func() { acknowledge(sub, subscribed) })

	work := make(chan struct{})
	for i := range publishers {
		nc := greet(b, server, fmt.Sprint("pub", i), 0)
		clients.Go(func() {
			defer nc.Close()
			r := wire.NewReader(nc, wire.V5, 0)
			packet := encoded(&wire.Publish{Topic: "a/b", Payload: make([]byte, 64), QoS: 1, PacketID: 1})
			for range work {
				if _, err := nc.Write(packet); err != nil {
					return
				}
				if _, _, err := r.ReadPacket(); err != nil {
					return
				}
			}
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	if commits := server.Stats().Commits; commits > 0 {
		b.ReportMetric(float64(b.N)/float64(commits), "msg/commit")
	}
}

func greet(b *testing.B, server *broker.Broker, id string, expiry uint32) net.Conn {
	nc, err := server.Dial(b.Context())
	require.NoError(b, err)
	write(b, nc, &wire.Connect{ClientID: id, SessionExpiryInterval: expiry})
	_, _, err = wire.NewReader(nc, wire.V5, 0).ReadPacket()
	require.NoError(b, err)
	return nc
}

func encoded(p wire.Packet) []byte {
	packet, err := p.Append(nil, wire.V5)
	if err != nil {
		panic(err)
	}
	return packet
}

func write(b *testing.B, nc net.Conn, p wire.Packet) {
	_, err := nc.Write(encoded(p))
	require.NoError(b, err)
}

// acknowledge answers all messages of one read together.
func acknowledge(nc net.Conn, r *wire.Reader) {
	d := wire.Decoder{Version: wire.V5}
	var p wire.Publish
	for r.Fill() == nil {
		var acks []byte
		for {
			h, body, ok, err := r.Next()
			if err != nil || !ok {
				break
			}
			if h.Type == wire.TypePublish && d.Publish(&p, h, body) == nil {
				acks = append(acks, encoded(&wire.Puback{PacketID: p.PacketID})...)
			}
		}
		if _, err := nc.Write(acks); err != nil {
			return
		}
	}
}
