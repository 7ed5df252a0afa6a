package clienttest

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
	. "github.com/seed65a45251/mqtt/internal/conversation"
	"github.com/seed65a45251/mqtt/mqtttest"
	"github.com/seed65a45251/mqtt/wire"
)

// slowReader is a server that reads few bytes a second, has as many messages open as it
// allowed, and sends messages itself all the while.
type slowReader struct {
	t      *testing.T
	conn   *mqtttest.Conn
	most   int  // messages that may be open
	silent bool // it sends no messages

	read     int             // bytes
	next     uint64          // the message of the queue that has to come
	open     []*wire.Publish // not answered
	received bool            // PUBREC went for the first of them
	sent     map[uint16]int  // its own messages without PUBACK: what it had read when it sent them
	acked    int
	slowest  int // the most bytes that went before a PUBACK
	pings    int
	filters  map[string]int // what it had read when it got the SUBSCRIBE
	streamID uint16
}

const slowRate = 64 << 10 // bytes a second

// step reads a packet, in the time that it takes. It returns false when none comes.
func (s *slowReader) step() bool {
	p, ok := mqtttest.TakeWithin[wire.Packet](s.conn, 2*time.Second)
	if !ok {
		return false
	}
	size := p.Size(wire.V5)
	s.read += size
	time.Sleep(time.Duration(size) * time.Second / slowRate)
	switch p := p.(type) {
	case *wire.Publish:
		s.publish(p)
	case *wire.Pubrel:
		require.Equal(s.t, s.open[0].PacketID, p.PacketID)
		s.open, s.received = s.open[1:], false
		s.conn.Send(Pubcomp(p.PacketID))
	case *wire.Puback:
		s.slowest = max(s.slowest, s.read-s.sent[p.PacketID])
		delete(s.sent, p.PacketID)
		s.acked++
	case *wire.Subscribe:
		for _, f := range p.Filters {
			s.filters[f.Filter] = s.read
		}
		s.conn.Send(Suback(p))
	case *wire.Pingreq:
		s.pings++
		s.conn.Send(&wire.Pingresp{})
	default:
		s.t.Fatalf("unexpected %v", p)
	}
	return true
}

// publish takes a message of the queue. It answers only when it could get no other.
func (s *slowReader) publish(p *wire.Publish) {
	require.Equal(s.t, s.next, binary.BigEndian.Uint64(p.Payload), "the order")
	s.next++
	if p.QoS > 0 {
		s.open = append(s.open, p)
		require.LessOrEqual(s.t, len(s.open), s.most)
	}
	if len(s.open) == s.most {
		s.answer()
	}
	if s.next%10 == 0 && !s.silent {
		s.streamID = s.streamID%100 + 1
		if _, open := s.sent[s.streamID]; !open {
			s.sent[s.streamID] = s.read
			s.conn.Send(To("stream", Pub(s.streamID, 1, "x")))
		}
	}
}

// answer answers the message that is open longest. A second PUBREC would get a second PUBREL.
func (s *slowReader) answer() {
	if s.received {
		return
	}
	p := s.open[0]
	if p.QoS == 2 {
		s.received = true
		s.conn.Send(Pubrec(p.PacketID)) // it stays open until PUBCOMP
		return
	}
	s.open = s.open[1:]
	s.conn.Send(Puback(p.PacketID))
}

// A long queue goes out within the quota and in order, and what else there is to send gets
// its turn: it waits for no more than the buffers of the connection.
func TestDrainingALongQueueStarvesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		qos    func(i uint64) mqtt.QoS
		silent bool // the server sends nothing on its own
	}{
		"every QoS":             {qos: func(i uint64) mqtt.QoS { return mqtt.QoS(i % 3) }},
		"QoS 0":                 {qos: func(uint64) mqtt.QoS { return 0 }},
		"QoS 0, a quiet server": {qos: func(uint64) mqtt.QoS { return 0 }, silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { drain(t, test.qos, test.silent) })
		})
	}
}

func drain(t *testing.T, qos func(i uint64) mqtt.QoS, silent bool) {
	const messages = 3000
	srv := mqtttest.NewServerWith(t, mqtttest.ServerConfig{Version: wire.V5, Buffer: 4 << 10, Patience: time.Hour})
	cfg := Quiet(srv)
	cfg.KeepAlive = 15 * time.Second
	client, conn := Open(t, srv, cfg)
	stream := Subscribe(t, client, conn, "stream", 1).Messages()
	conn.Close()
	srv.Refuse()
	synctest.Wait()
	var queued []*mqtt.Delivery
	for i := range uint64(messages) {
		payload := binary.BigEndian.AppendUint64(nil, i)
		queued = append(queued, PublishAsync(t, client, string(append(payload, make([]byte, 1000)...)), qos(i)))
	}
	received := 0
	go func() {
		for range stream {
			received++
		}
	}()

	srv.Listen()
	conn = srv.Connected(&wire.Connack{SessionPresent: true, ReceiveMaximum: 8})
	s := &slowReader{t: t, conn: conn, most: 8, silent: silent, sent: map[uint16]int{}, filters: map[string]int{}}
	for s.read < 1<<20 {
		require.True(t, s.step())
	}
	began := s.read
	late := BeginSubscribe(t.Context(), client, mqtt.Filter{Filter: "late"})
	for s.step() || len(s.open) > 0 {
		if s.next == messages && len(s.open) > 0 {
			s.answer()
		}
	}
	require.EqualValues(t, messages, s.next)
	for _, d := range queued {
		_, err := d.Wait(t.Context())
		require.NoError(t, err)
	}
	require.NoError(t, late.Wait())
	require.Equal(t, mqtt.Connected, client.State())

	// 256 KiB may be in the buffer, and as much on its way to the network.
	const most = 600 << 10
	require.Contains(t, s.filters, "late")
	require.Less(t, s.filters["late"]-began, most)
	require.Empty(t, s.sent)
	require.Less(t, s.slowest, most)
	synctest.Wait()
	require.Equal(t, s.acked, received)
	if silent {
		require.Greater(t, s.pings, 1)
	} else {
		require.Greater(t, s.acked, messages/20)
	}
	t.Logf("slowest PUBACK after %d bytes, SUBSCRIBE after %d, %d pings", s.slowest, s.filters["late"]-began, s.pings)
}
