package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// serverScript plays the client and the application against one Server. Every
// step checks the engine's invariants; nothing takes real time.
type serverScript struct {
	t   *testing.T
	s   *Server
	v   wire.Version
	now time.Time
	out []byte // taken from the engine, not yet asked for
}

func newServerScript(t *testing.T, v wire.Version, settings ServerSettings) *serverScript {
	t.Helper()
	return &serverScript{t: t, s: NewServer(settings), v: v, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// served returns a script whose first connection, with a session that outlives
// it, is up.
func served(t *testing.T, v wire.Version) *serverScript {
	t.Helper()
	s := newServerScript(t, v, ServerSettings{})
	s.up(keeping(v), &wire.Connack{})
	return s
}

// dial opens a connection on which p comes.
func (s *serverScript) dial(p *wire.Connect) {
	s.t.Helper()
	s.out = nil
	s.s.Open(s.now)
	s.send(p)
	wantEvent[*wire.Connect](s)
	s.wantIdle()
}

// up brings a connection up and expects the CONNACK.
func (s *serverScript) up(p *wire.Connect, ack *wire.Connack) {
	s.t.Helper()
	s.dial(p)
	require.NoError(s.t, s.s.Accept(ack, s.now))
	s.check()
	require.True(s.t, s.s.Connected())
	s.want(ack)
}

// again loses the connection and brings up another of the same client.
func (s *serverScript) again(p *wire.Connect) {
	s.t.Helper()
	s.lose()
	s.up(p, &wire.Connack{})
}

func (s *serverScript) lose() *wire.Will {
	s.t.Helper()
	will := s.s.Lost()
	s.out = nil
	s.check()
	return will
}

// send is the client sending packets that the engine must accept.
func (s *serverScript) send(packets ...wire.Packet) {
	s.t.Helper()
	require.NoError(s.t, s.receive(s.encode(packets...)))
}

// sendBad is the client sending a packet that ends the connection with a
// *wire.Error of this reason, which a 5.0 client is told.
func (s *serverScript) sendBad(reason wire.ReasonCode, packets ...wire.Packet) {
	s.t.Helper()
	s.skip()
	wasUp := s.s.Connected()
	err := s.receive(s.encode(packets...))
	var fault *wire.Error
	require.ErrorAs(s.t, err, &fault)
	require.Equal(s.t, reason, fault.Reason, "%v", err)
	require.False(s.t, s.s.Connected())
	if wasUp && s.v == wire.V5 {
		s.want(&wire.Disconnect{ReasonCode: reason})
	}
	s.wantIdle()
}

func (s *serverScript) encode(packets ...wire.Packet) []byte {
	s.t.Helper()
	var b []byte
	for _, p := range packets {
		var err error
		b, err = p.Append(b, s.v)
		require.NoError(s.t, err)
	}
	return b
}

func (s *serverScript) receive(b []byte) error {
	s.t.Helper()
	err := feedServer(s.s, b, s.now)
	s.check()
	return err
}

// feedServer hands b to the engine packet by packet, as a reader would.
func feedServer(s *Server, b []byte, now time.Time) error {
	for len(b) > 0 {
		h, n, err := wire.ParseHeader(b, s.Version())
		if err != nil {
			s.Fail(err)
			return err
		}
		if n == 0 || len(b) < h.Size {
			return nil // cut off; a reader would wait
		}
		if err := s.Handle(h, b[n:h.Size:h.Size], now); err != nil {
			return err
		}
		b = b[h.Size:]
	}
	return nil
}

func (s *serverScript) take() {
	s.t.Helper()
	for s.s.Pending() > 0 {
		s.out = append(s.out, s.s.Take(nil, s.now)...)
	}
	s.check()
}

// want expects these packets next on the wire.
func (s *serverScript) want(packets ...wire.Packet) {
	s.t.Helper()
	s.take()
	want := s.encode(packets...)
	n := min(len(want), len(s.out))
	require.Equal(s.t, lines(s.v, want), lines(s.v, s.out[:n]), "rest: %q", lines(s.v, s.out[n:]))
	s.out = s.out[n:]
}

func (s *serverScript) wantIdle() {
	s.t.Helper()
	s.take()
	require.Empty(s.t, lines(s.v, s.out))
}

func (s *serverScript) skip() {
	s.t.Helper()
	s.take()
	s.out = nil
}

// wantEvent expects one event with a packet of this type.
func wantEvent[P wire.Packet](s *serverScript) P {
	s.t.Helper()
	events := s.s.Events()
	require.Len(s.t, events, 1)
	require.IsType(s.t, *new(P), events[0].Packet)
	p := events[0].Packet.(P)
	s.s.Recycle()
	return p
}

// wantMessages expects the application to get these payloads, in this order,
// and returns their tokens.
func (s *serverScript) wantMessages(payloads ...string) []Token {
	s.t.Helper()
	got, tokens := []string{}, []Token(nil)
	for _, e := range s.s.Events() {
		require.IsType(s.t, (*wire.Publish)(nil), e.Packet)
		got = append(got, string(e.Packet.(*wire.Publish).Payload))
		tokens = append(tokens, e.Token)
	}
	s.s.Recycle()
	require.Equal(s.t, append([]string{}, payloads...), got)
	return tokens
}

func (s *serverScript) ack(tokens ...Token) {
	s.t.Helper()
	for _, t := range tokens {
		require.NoError(s.t, s.s.Receiver.Ack(t, wire.Success))
		s.check()
	}
}

// publish has a message for the client.
func (s *serverScript) publish(text string, qos wire.QoS) *Outgoing {
	s.t.Helper()
	o := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: []byte(text), QoS: qos}}
	s.s.Publish(o, s.now)
	s.check()
	return o
}

func (s *serverScript) wantCompleted(want ...*Outgoing) {
	s.t.Helper()
	got := s.s.Sender.Completed(nil)
	require.Len(s.t, got, len(want))
	for i, o := range want {
		require.Same(s.t, o, got[i])
	}
}

func (s *serverScript) check() {
	s.t.Helper()
	require.NoError(s.t, serverInvariants(s.s))
}

func serverInvariants(s *Server) error {
	if err := senderInvariants(s.Sender); err != nil {
		return err
	}
	return receiverInvariants(s.Receiver)
}

func subscribing(id uint16, filters ...string) *wire.Subscribe {
	p := subscribe(filters...).Subscribe
	p.PacketID = id
	return p
}

func unsubscribing(id uint16, filters ...string) *wire.Unsubscribe {
	return &wire.Unsubscribe{PacketID: id, Filters: filters}
}
