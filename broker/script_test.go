package broker

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// run calls f with a broker in a bubble of fake time. When the bubble ends,
// nothing of the broker may be left.
func run(t *testing.T, cfg Config, f func(t *testing.T, b *Broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := New(cfg)
		f(t, b)
		require.NoError(t, b.Close())
	})
}

// advance lets fake time pass, and everything happen that is due.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// script is a client that does what a test tells it.
type script struct {
	t       *testing.T
	net     net.Conn
	reader  *wire.Reader
	decoder wire.Decoder
	version wire.Version
}

// patience is far beyond what the broker takes for an answer, in fake time.
const patience = 5 * time.Millisecond

func dial(t *testing.T, b *Broker, v wire.Version) *script {
	t.Helper()
	nc, err := b.Dial(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return &script{t: t, net: nc, version: v, reader: wire.NewReader(nc, v, 0), decoder: wire.Decoder{Version: v}}
}

// join connects with p and takes the CONNACK, which has to be a success.
func join(t *testing.T, b *Broker, v wire.Version, p *wire.Connect) (*script, *wire.Connack) {
	t.Helper()
	s := dial(t, b, v)
	s.send(p)
	ack := receive[*wire.Connack](s)
	require.Equal(t, wire.Success, ack.ReasonCode)
	return s, ack
}

// clean connects a 5.0 client without session.
func clean(t *testing.T, b *Broker, id string) *script {
	t.Helper()
	s, _ := join(t, b, wire.V5, &wire.Connect{ClientID: id, CleanStart: true})
	return s
}

// durableConnect returns a CONNECT for a session that outlives the connection by a
// minute, or by much more before 5.0.
func durableConnect(v wire.Version, id string) *wire.Connect {
	p := &wire.Connect{ClientID: id}
	if v == wire.V5 {
		p.SessionExpiryInterval = 60
	}
	return p
}

func (s *script) send(packets ...wire.Packet) {
	s.t.Helper()
	var b []byte
	for _, p := range packets {
		var err error
		b, err = p.Append(b, s.version)
		require.NoError(s.t, err)
	}
	s.write(b)
}

func (s *script) write(b []byte) {
	s.t.Helper()
	_, err := s.net.Write(b)
	require.NoError(s.t, err)
}

// next returns the next packet, or an error when none comes.
func (s *script) next() (wire.Packet, error) {
	if err := s.net.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	h, body, err := s.reader.ReadPacket()
	if err != nil {
		return nil, err
	}
	return s.decoder.Decode(h, append([]byte(nil), body...))
}

// want takes the next packets, which have to be these.
func (s *script) want(packets ...wire.Packet) {
	s.t.Helper()
	for _, want := range packets {
		got, err := s.next()
		require.NoError(s.t, err, "waiting for %v", want.Type())
		require.Equal(s.t, want, got)
	}
}

// receive takes the next packet, which has to be of type P.
func receive[P wire.Packet](s *script) P {
	s.t.Helper()
	got, err := s.next()
	require.NoError(s.t, err)
	require.IsType(s.t, *new(P), got)
	return got.(P)
}

// idle fails when a packet comes.
func (s *script) idle() {
	s.t.Helper()
	p, err := s.next()
	require.ErrorIs(s.t, err, os.ErrDeadlineExceeded, "got %+v", p)
}

// closed takes the end of the connection.
func (s *script) closed() {
	s.t.Helper()
	p, err := s.next()
	require.True(s.t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), "got %+v, %v", p, err)
	s.net.Close()
}

// ended takes a DISCONNECT with this reason, if the version has it, and the end.
func (s *script) ended(reason wire.ReasonCode) {
	s.t.Helper()
	if s.version == wire.V5 {
		require.Equal(s.t, reason, receive[*wire.Disconnect](s).ReasonCode)
	}
	s.closed()
}

// cut ends the connection as a broken network would.
func (s *script) cut() {
	s.net.Close()
	synctest.Wait()
}

// subscribe takes the SUBACK, too.
func (s *script) subscribe(filters ...wire.SubscribeFilter) {
	s.t.Helper()
	s.send(&wire.Subscribe{PacketID: 1000, Filters: filters})
	ack := receive[*wire.Suback](s)
	require.Equal(s.t, uint16(1000), ack.PacketID)
	for i, code := range ack.ReasonCodes {
		require.Equal(s.t, wire.ReasonCode(filters[i].QoS), code)
	}
}

func filter(f string, qos wire.QoS) wire.SubscribeFilter {
	return wire.SubscribeFilter{Filter: f, QoS: qos}
}

func message0(topic, payload string) *wire.Publish {
	return &wire.Publish{Topic: topic, Payload: []byte(payload)}
}
