package mqtt_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/wire"
)

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

func (f *firehose) SetDeadline(time.Time) error      { return nil }
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
