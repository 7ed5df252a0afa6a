package session

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

func benchClient(b *testing.B, inflight int) (*Client, time.Time) {
	b.Helper()
	now := time.Unix(1, 0)
	c := NewClient(ClientSettings{Inflight: inflight})
	if err := c.Connect(wire.V5, keeping(wire.V5), now); err != nil {
		b.Fatal(err)
	}
	benchHandle(b, c, &wire.Connack{}, now)
	return c, now
}

func benchHandle(b *testing.B, c *Client, p wire.Packet, now time.Time) {
	b.Helper()
	body, err := p.Append(nil, wire.V5)
	if err != nil {
		b.Fatal(err)
	}
	if err := feed(c, wire.V5, body, now); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPublishAtLeastOnce is one Submit and one PUBACK, with 256 messages
// always open. The message itself comes from the caller and is reused.
func BenchmarkPublishAtLeastOnce(b *testing.B) {
	const window = 256
	c, now := benchClient(b, window)
	payload := make([]byte, 64)
	ring := make([]*Outgoing, window)
	submit := func(i int) {
		o := ring[i%window]
		*o = Outgoing{Publish: wire.Publish{Topic: "sensors/7/temp", Payload: payload, QoS: 1}}
		c.Sender.Submit(o, now)
	}
	for i := range ring {
		ring[i] = new(Outgoing)
		submit(i)
	}
	var done []*Outgoing
	var spare []byte
	h := wire.Header{Type: wire.TypePuback, Length: 2, Size: 4}
	body := make([]byte, 2)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		id := ring[i%window].Publish.PacketID
		body[0], body[1] = byte(id>>8), byte(id)
		if err := c.Handle(h, body, now); err != nil {
			b.Fatal(err)
		}
		if done = c.Sender.Completed(done[:0]); len(done) != 1 {
			b.Fatal("not completed")
		}
		submit(i)
		if i++; i%64 == 0 {
			spare = c.Take(spare, now)
		}
	}
}

func BenchmarkSendAtMostOnce(b *testing.B) {
	c, now := benchClient(b, 0)
	p := &wire.Publish{Topic: "sensors/7/temp", Payload: make([]byte, 64)}
	var spare []byte
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if sent, err := c.Sender.SendAtMostOnce(p); !sent || err != nil {
			b.Fatal(sent, err)
		}
		if i++; i%64 == 0 {
			spare = c.Take(spare, now)
		}
	}
}

func BenchmarkHandlePublish(b *testing.B) {
	for qos := wire.AtMostOnce; qos <= wire.AtLeastOnce; qos++ {
		b.Run(fmt.Sprintf("qos%d", qos), func(b *testing.B) {
			c, now := benchClient(b, 0)
			p := &wire.Publish{Topic: "sensors/7/temp", Payload: make([]byte, 64), QoS: qos}
			if qos > 0 {
				p.PacketID = 7
			}
			packet, err := p.Append(nil, wire.V5)
			if err != nil {
				b.Fatal(err)
			}
			h, n, err := wire.ParseHeader(packet, wire.V5)
			if err != nil {
				b.Fatal(err)
			}
			var spare []byte
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Handle(h, packet[n:], now); err != nil {
					b.Fatal(err)
				}
				for _, m := range c.Received() {
					if err := c.Receiver.Ack(m.Token, wire.Success); err != nil {
						b.Fatal(err)
					}
				}
				c.Recycle()
				if i++; i%64 == 0 {
					spare = c.Take(spare, now)
				}
			}
		})
	}
}

// BenchmarkResume is a reconnect with 1000 open messages.
func BenchmarkResume(b *testing.B) {
	c, now := benchClient(b, 0)
	for range 1000 {
		c.Sender.Submit(&Outgoing{Publish: wire.Publish{Topic: "sensors/7/temp", Payload: make([]byte, 64), QoS: 1}}, now)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Lost(false)
		if err := c.Connect(wire.V5, keeping(wire.V5), now); err != nil {
			b.Fatal(err)
		}
		benchHandle(b, c, &wire.Connack{SessionPresent: true}, now)
	}
}

// BenchmarkTopicAliases is BenchmarkSendAtMostOnce with 64 topics, which all
// have an alias, and with topics that come once.
func BenchmarkTopicAliases(b *testing.B) {
	for _, test := range []struct {
		name    string
		aliases uint16
		topics  int
	}{{"off", 0, 64}, {"one", 64, 1}, {"hits", 64, 64}, {"scan", 64, 100_000}} {
		b.Run(test.name, func(b *testing.B) {
			now := time.Unix(1, 0)
			c := NewClient(ClientSettings{TopicAliases: test.aliases})
			if err := c.Connect(wire.V5, keeping(wire.V5), now); err != nil {
				b.Fatal(err)
			}
			benchHandle(b, c, &wire.Connack{TopicAliasMaximum: 1000}, now)
			topics := make([]string, test.topics)
			for i := range topics {
				topics[i] = fmt.Sprintf("plant/7/line/3/sensors/%d/temperature", i)
			}
			p := &wire.Publish{Payload: make([]byte, 64)}
			var spare []byte
			i, bytes := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				p.Topic = topics[i%len(topics)]
				if sent, err := c.Sender.SendAtMostOnce(p); !sent || err != nil {
					b.Fatal(sent, err)
				}
				if i++; i%64 == 0 {
					spare = c.Take(spare, now)
					bytes += len(spare)
				}
			}
			b.ReportMetric(float64(bytes)/float64(b.N), "bytes/op")
		})
	}
}

// BenchmarkHandleRead is what one message of a read of 200 costs, taken as it comes or
// decoded ahead.
func BenchmarkHandleRead(b *testing.B) {
	const messages = 200
	for _, ahead := range []bool{false, true} {
		b.Run(map[bool]string{false: "as it comes", true: "ahead"}[ahead], func(b *testing.B) {
			c, now := benchClient(b, 0)
			packet, err := (&wire.Publish{Topic: "sensors/7/temp", Payload: make([]byte, 256),
				Properties: &wire.PublishProperties{SubscriptionIDs: []uint32{7}}}).Append(nil, wire.V5)
			if err != nil {
				b.Fatal(err)
			}
			source := bytes.NewReader(nil)
			r, d := wire.NewReader(source, wire.V5, 0), c.Decoder()
			all := bytes.Repeat(packet, messages)
			var batch Batch
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%messages > 0 {
					continue
				}
				source.Reset(all)
				for err = r.Fill(); err == nil; err = r.Fill() {
					if ahead {
						batch.Decode(&d, r)
						c.HandleBatch(&batch, now)
						batch.Recycle()
						d.Recycle()
					} else {
						c.HandleBuffered(r, now)
						c.Recycle()
					}
				}
			}
		})
	}
}

// BenchmarkAcknowledgeRuns is what one message costs, from Submit to its end, where 128
// are answered by each read and several thousand wait for quota.
func BenchmarkAcknowledgeRuns(b *testing.B) {
	const run, window, waiting = 128, 256, 4096
	for qos := wire.AtLeastOnce; qos <= wire.ExactlyOnce; qos++ {
		b.Run(fmt.Sprintf("qos%d", qos), func(b *testing.B) {
			c, now := benchClient(b, window)
			payload := make([]byte, 64)
			ring := make([]*Outgoing, window+waiting)
			for i := range ring {
				ring[i] = new(Outgoing)
			}
			submit := func(i int) {
				o := ring[i%len(ring)]
				*o = Outgoing{Publish: wire.Publish{Topic: "sensors/7/temp", Payload: payload, QoS: qos}, Owner: o}
				c.Sender.Submit(o, now)
			}
			for i := range ring {
				submit(i)
			}
			source := bytes.NewReader(nil)
			r, d := wire.NewReader(source, wire.V5, 0), c.Decoder()
			var batch Batch
			var answers, spare []byte
			read := func() {
				source.Reset(answers)
				for err := r.Fill(); err == nil; err = r.Fill() {
					batch.Decode(&d, r)
					if err := c.HandleBatch(&batch, now); err != nil {
						b.Fatal(err)
					}
					batch.Recycle()
				}
			}
			answer := func(t wire.PacketType, from int) {
				answers = answers[:0]
				for i := from; i < from+run; i++ {
					id := ring[i%len(ring)].Publish.PacketID
					answers = append(answers, byte(t)<<4, 2, byte(id>>8), byte(id))
				}
				read()
			}
			var done []*Outgoing
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if n%run > 0 {
					continue
				}
				if qos == wire.AtLeastOnce {
					answer(wire.TypePuback, n)
				} else {
					answer(wire.TypePubrec, n)
					answer(wire.TypePubcomp, n)
				}
				if done = c.Sender.Completed(done[:0]); len(done) != run {
					b.Fatal(len(done), "completed")
				}
				spare = c.Take(spare, now)
				for i := range run {
					submit(n + i)
				}
			}
		})
	}
}
