package session

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt/wire"
)

// script plays the server and the application against one Client. Every step
// checks the engine's invariants; nothing takes real time.
type script struct {
	t   *testing.T
	c   *Client
	v   wire.Version
	now time.Time
	out []byte // taken from the engine, not yet asked for
}

func newScript(t *testing.T, v wire.Version, settings ClientSettings) *script {
	t.Helper()
	return &script{t: t, c: NewClient(settings), v: v, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// keeping returns a CONNECT whose session outlives the connection.
func keeping(v wire.Version) *wire.Connect {
	p := &wire.Connect{ClientID: "c1"}
	if v == wire.V5 {
		p.SessionExpiryInterval = 3600
	}
	return p
}

// connectedScript returns a script whose first connection, with a session that
// outlives it, is up.
func connectedScript(t *testing.T, v wire.Version) *script {
	t.Helper()
	s := newScript(t, v, ClientSettings{})
	s.up(keeping(v), &wire.Connack{})
	return s
}

// dial begins a connection and expects p on the wire.
func (s *script) dial(p *wire.Connect) {
	s.t.Helper()
	s.out = nil
	require.NoError(s.t, s.c.Connect(s.v, p, s.now))
	s.want(p)
	s.wantIdle()
}

// up brings a connection up.
func (s *script) up(p *wire.Connect, ack *wire.Connack) {
	s.t.Helper()
	s.dial(p)
	s.send(ack)
	s.confirm()
	require.True(s.t, s.c.Connected())
}

// confirm accepts what came with CONNACK, where there was an authentication.
func (s *script) confirm() {
	s.t.Helper()
	if step, ok := s.c.AuthStep(); ok {
		require.True(s.t, step.Final)
		require.NoError(s.t, s.c.Authenticate(nil, s.now))
		s.check()
	}
}

// resume loses the connection and brings up another on which the server still
// has the session.
func (s *script) resume() {
	s.t.Helper()
	s.lose()
	s.up(keeping(s.v), &wire.Connack{SessionPresent: true})
}

// renew loses the connection and brings up another on which the server has
// forgotten the session.
func (s *script) renew() {
	s.t.Helper()
	s.lose()
	s.up(keeping(s.v), &wire.Connack{})
}

// lose breaks the connection by a fault of the network.
func (s *script) lose() {
	s.t.Helper()
	s.c.Lost(false)
	s.out = nil
	s.check()
}

// send is the server sending packets that the engine must accept.
func (s *script) send(packets ...wire.Packet) {
	s.t.Helper()
	require.NoError(s.t, s.receive(s.encode(packets...)))
}

// sendBad is the server sending a packet that the engine must refuse with a
// *wire.Error of this reason. A 5.0 server that already sent CONNACK is told.
func (s *script) sendBad(reason wire.ReasonCode, packets ...wire.Packet) {
	s.t.Helper()
	s.bad(reason, s.encode(packets...))
}

// sendBadBytes is sendBad for what no encoder makes.
func (s *script) sendBadBytes(reason wire.ReasonCode, text string) {
	s.t.Helper()
	s.bad(reason, unhex(s.t, text))
}

func (s *script) bad(reason wire.ReasonCode, b []byte) {
	s.t.Helper()
	wasUp := s.c.Connected()
	s.skip()
	err := s.receive(b)
	var fault *wire.Error
	require.ErrorAs(s.t, err, &fault)
	require.Equal(s.t, reason, fault.Reason, "%v", err)
	require.False(s.t, s.c.Connected())
	if wasUp && s.v == wire.V5 {
		s.want(&wire.Disconnect{ReasonCode: reason})
	}
	s.wantIdle()
}

// refuse is the server sending a packet that ends the connection with its own
// words. It is not answered.
func (s *script) refuse(p wire.Packet) *ServerError {
	s.t.Helper()
	s.skip()
	err := s.receive(s.encode(p))
	var said *ServerError
	require.ErrorAs(s.t, err, &said)
	require.False(s.t, s.c.Connected())
	s.wantIdle()
	return said
}

func (s *script) encode(packets ...wire.Packet) []byte {
	s.t.Helper()
	var b []byte
	for _, p := range packets {
		var err error
		b, err = p.Append(b, s.v)
		require.NoError(s.t, err)
	}
	return b
}

// receive hands b to the engine packet by packet, as a reader would.
func (s *script) receive(b []byte) error {
	s.t.Helper()
	err := feed(s.c, s.v, b, s.now)
	s.check()
	return err
}

func feed(c *Client, v wire.Version, b []byte, now time.Time) error {
	for len(b) > 0 {
		h, n, err := wire.ParseHeader(b, v)
		if err != nil {
			c.Fail(err)
			return err
		}
		if n == 0 || len(b) < h.Size {
			return nil // cut off; a reader would wait
		}
		if err := c.Handle(h, b[n:h.Size:h.Size], now); err != nil {
			return err
		}
		b = b[h.Size:]
	}
	return nil
}

// take empties the engine's buffer the way a writer does.
func (s *script) take() {
	s.t.Helper()
	for s.c.Pending() > 0 {
		s.out = append(s.out, s.c.Take(nil, s.now)...)
		s.c.Wrote(s.now)
	}
	s.check()
}

// want expects these packets next on the wire.
func (s *script) want(packets ...wire.Packet) {
	s.t.Helper()
	s.take()
	want := s.encode(packets...)
	n := min(len(want), len(s.out))
	require.Equal(s.t, lines(s.v, want), lines(s.v, s.out[:n]), "rest: %q", lines(s.v, s.out[n:]))
	s.out = s.out[n:]
}

// wantBytes expects exactly these bytes next on the wire.
func (s *script) wantBytes(text string) {
	s.t.Helper()
	s.take()
	want := unhex(s.t, text)
	require.GreaterOrEqual(s.t, len(s.out), len(want))
	require.Equal(s.t, hex.EncodeToString(want), hex.EncodeToString(s.out[:len(want)]))
	s.out = s.out[len(want):]
}

// wantIdle expects nothing more on the wire.
func (s *script) wantIdle() {
	s.t.Helper()
	s.take()
	require.Empty(s.t, lines(s.v, s.out))
}

// skip throws away what was sent.
func (s *script) skip() {
	s.t.Helper()
	s.take()
	s.out = nil
}

// wantMessages expects the application to get these payloads, in this order,
// and returns their tokens.
func (s *script) wantMessages(payloads ...string) []Token {
	s.t.Helper()
	got, tokens := []string{}, []Token(nil)
	for _, m := range s.c.Received() {
		got = append(got, string(m.Publish.Payload))
		tokens = append(tokens, m.Token)
	}
	s.c.Recycle()
	require.Equal(s.t, append([]string{}, payloads...), got)
	return tokens
}

func (s *script) ack(tokens ...Token) {
	s.t.Helper()
	for _, t := range tokens {
		require.NoError(s.t, s.c.Receiver.Ack(t, wire.Success))
		s.check()
	}
}

// publish submits a message whose payload is text.
func (s *script) publish(text string, qos wire.QoS) *Outgoing {
	s.t.Helper()
	o := &Outgoing{Publish: wire.Publish{Topic: "t", Payload: []byte(text), QoS: qos}, Owner: text}
	s.submit(o)
	return o
}

func (s *script) submit(o *Outgoing) {
	s.t.Helper()
	s.c.Sender.Submit(o, s.now)
	s.check()
}

// wantCompleted expects these messages, and no others, to be completed, in
// this order.
func (s *script) wantCompleted(want ...*Outgoing) {
	s.t.Helper()
	got := s.c.Sender.Completed(nil)
	require.Len(s.t, got, len(want))
	for i, o := range want {
		require.Same(s.t, o, got[i])
	}
}

func (s *script) request(r *Request) *Request {
	s.t.Helper()
	require.NoError(s.t, s.c.Request(r))
	s.check()
	return r
}

func (s *script) wantAnswered(want ...*Request) {
	s.t.Helper()
	got := s.c.Answered(nil)
	require.Len(s.t, got, len(want))
	for i, r := range want {
		require.Same(s.t, r, got[i])
	}
}

// advance lets time pass up to now+d, calling Tick at every deadline.
func (s *script) advance(d time.Duration) error {
	s.t.Helper()
	end := s.now.Add(d)
	for {
		due := s.c.Deadline()
		if due.IsZero() || due.After(end) {
			s.now = end
			return nil
		}
		s.now = due
		if err := s.c.Tick(s.now); err != nil {
			return err
		}
	}
}

func (s *script) check() {
	s.t.Helper()
	require.NoError(s.t, invariants(s.c))
}

// pub is a PUBLISH with topic t.
func pub(id uint16, qos wire.QoS, payload string) *wire.Publish {
	return &wire.Publish{Topic: "t", Payload: []byte(payload), PacketID: id, QoS: qos}
}

// dup is pub with DUP set.
func dup(id uint16, qos wire.QoS, payload string) *wire.Publish {
	p := pub(id, qos, payload)
	p.Duplicate = true
	return p
}

func puback(id uint16) *wire.Puback   { return &wire.Puback{PacketID: id} }
func pubrec(id uint16) *wire.Pubrec   { return &wire.Pubrec{PacketID: id} }
func pubrel(id uint16) *wire.Pubrel   { return &wire.Pubrel{PacketID: id} }
func pubcomp(id uint16) *wire.Pubcomp { return &wire.Pubcomp{PacketID: id} }

func subscribe(filters ...string) *Request {
	p := new(wire.Subscribe)
	for _, f := range filters {
		p.Filters = append(p.Filters, wire.SubscribeFilter{Filter: f, QoS: wire.ExactlyOnce})
	}
	return &Request{Subscribe: p}
}

func unsubscribe(filters ...string) *Request {
	return &Request{Unsubscribe: &wire.Unsubscribe{Filters: filters}}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

// lines shows a byte stream packet by packet.
func lines(v wire.Version, b []byte) []string {
	list := []string{}
	for len(b) > 0 {
		h, n, err := wire.ParseHeader(b, v)
		if err != nil || n == 0 || h.Size > len(b) {
			return append(list, "rest "+hex.EncodeToString(b))
		}
		d := wire.Decoder{Version: v, From: wire.FromClient}
		text := h.Type.String()
		if p, err := d.Decode(h, b[n:h.Size]); err == nil {
			text = describe(p)
		}
		list = append(list, text+" "+hex.EncodeToString(b[:min(h.Size, 40)]))
		b = b[h.Size:]
	}
	return list
}

func describe(p wire.Packet) string {
	switch p := p.(type) {
	case *wire.Publish:
		text := fmt.Sprintf("PUBLISH %d q%d %.20q", p.PacketID, p.QoS, p.Payload)
		if p.Duplicate {
			text += " dup"
		}
		return text
	case *wire.Puback:
		return fmt.Sprintf("PUBACK %d %#x", p.PacketID, byte(p.ReasonCode))
	case *wire.Pubrec:
		return fmt.Sprintf("PUBREC %d %#x", p.PacketID, byte(p.ReasonCode))
	case *wire.Pubrel:
		return fmt.Sprintf("PUBREL %d %#x", p.PacketID, byte(p.ReasonCode))
	case *wire.Pubcomp:
		return fmt.Sprintf("PUBCOMP %d %#x", p.PacketID, byte(p.ReasonCode))
	case *wire.Subscribe:
		return fmt.Sprintf("SUBSCRIBE %d", p.PacketID)
	case *wire.Unsubscribe:
		return fmt.Sprintf("UNSUBSCRIBE %d", p.PacketID)
	case *wire.Suback:
		return fmt.Sprintf("SUBACK %d", p.PacketID)
	case *wire.Unsuback:
		return fmt.Sprintf("UNSUBACK %d", p.PacketID)
	case *wire.Connack:
		return fmt.Sprintf("CONNACK present=%t", p.SessionPresent)
	case *wire.Disconnect:
		return fmt.Sprintf("DISCONNECT %#x", byte(p.ReasonCode))
	}
	return p.Type().String()
}

// whereabouts returns what the i-th session of a model is known by: a server of its own, or
// a further client identifier at the first server.
func whereabouts(rng *rand.Rand, i int) (server, client string) {
	if i > 0 && rng.IntN(3) == 0 {
		return "server0", fmt.Sprint("c", i+1)
	}
	return fmt.Sprint("server", i), "c1"
}
