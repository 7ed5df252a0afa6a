package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkPublishAppend(b *testing.B) {
	for _, size := range []int{16, 256, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := &Publish{Topic: "sensors/7/temperature", Payload: make([]byte, size), QoS: AtLeastOnce, PacketID: 7}
			buffer := make([]byte, 0, 8192)
			b.SetBytes(int64(p.Size(V5)))
			for b.Loop() {
				buffer, _ = p.Append(buffer[:0], V5)
			}
		})
	}
}

func BenchmarkPublishAppendProperties(b *testing.B) {
	p := &Publish{Topic: "sensors/7/temperature", Payload: make([]byte, 256), Properties: &PublishProperties{
		MessageExpiryInterval: new(uint32(60)), ResponseTopic: "r/7", CorrelationData: []byte("12345678"),
	}}
	buffer := make([]byte, 0, 8192)
	for b.Loop() {
		buffer, _ = p.Append(buffer[:0], V5)
	}
}

func BenchmarkPublishDecode(b *testing.B) {
	for _, size := range []int{16, 256, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			benchmarkDecode(b, &Publish{Topic: "sensors/7/temperature", Payload: make([]byte, size), QoS: AtLeastOnce, PacketID: 7})
		})
	}
	b.Run("subscription id", func(b *testing.B) {
		benchmarkDecode(b, &Publish{Topic: "sensors/7/temperature", Payload: make([]byte, 256), Properties: &PublishProperties{SubscriptionIDs: []uint32{7}}})
	})
	b.Run("user property", func(b *testing.B) {
		benchmarkDecode(b, &Publish{Topic: "sensors/7/temperature", Payload: make([]byte, 256), Properties: &PublishProperties{UserProperties: []UserProperty{{"key", "value"}}}})
	})
}

func benchmarkDecode(b *testing.B, sent *Publish) {
	h, body := publishBytes(b, sent, V5)
	d := Decoder{Version: V5}
	var p Publish
	b.SetBytes(int64(h.Size))
	b.ReportAllocs()
	for b.Loop() {
		if d.Publish(&p, h, body) != nil {
			b.Fatal("refused")
		}
		d.Recycle()
	}
}

func BenchmarkPublishDecodeManyTopics(b *testing.B) {
	for _, topics := range []int{100, 1000} {
		b.Run(fmt.Sprint(topics), func(b *testing.B) {
			headers, bodies := make([]Header, topics), make([][]byte, topics)
			for i := range topics {
				headers[i], bodies[i] = publishBytes(b, &Publish{Topic: fmt.Sprintf("sensors/%d/temperature", i), Payload: make([]byte, 256)}, V5)
			}
			d := Decoder{Version: V5}
			var p Publish
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 1) % topics {
				if d.Publish(&p, headers[i], bodies[i]) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkPubackAppend(b *testing.B) {
	p := &Puback{PacketID: 7}
	buffer := make([]byte, 0, 64)
	for b.Loop() {
		buffer, _ = p.Append(buffer[:0], V5)
	}
}

func BenchmarkPubackDecode(b *testing.B) {
	d := Decoder{Version: V5}
	var p Puback
	body := []byte{0, 7}
	for b.Loop() {
		if d.Puback(&p, Header{}, body) != nil {
			b.Fatal("refused")
		}
	}
}

// BenchmarkReader takes packets out of a stream and decodes them; the figures are per packet.
func BenchmarkReader(b *testing.B) {
	for _, size := range []int{16, 256, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			packet, err := (&Publish{Topic: "sensors/7/temperature", Payload: make([]byte, size)}).Append(nil, V5)
			require.NoError(b, err)
			source := &endless{b: bytes.Repeat(packet, 1<<20/len(packet))}
			r := NewReader(source, V5, 0)
			d := Decoder{Version: V5}
			var p Publish
			b.SetBytes(int64(len(packet)))
			for b.Loop() {
				h, body, ok, err := r.Next()
				if !ok && err == nil {
					err = r.Fill()
					h, body, _, _ = r.Next()
				}
				if err != nil || d.Publish(&p, h, body) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

// endless repeats its bytes.
type endless struct {
	b  []byte
	at int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.b[e.at:])
	e.at = (e.at + n) % len(e.b)
	return n, nil
}
