package mqtttest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Conn is the server's side of one connection of a [Server].
type Conn struct {
	t        testing.TB
	server   *Server
	number   int
	clientID string
	net      net.Conn
	version  wire.Version
	reader   *wire.Reader
	decoder  wire.Decoder
}

func newConn(s *Server, nc net.Conn, number int) *Conn {
	s.t.Cleanup(func() { nc.Close() })
	return &Conn{
		t:       s.t,
		server:  s,
		number:  number,
		net:     nc,
		version: s.Version,
		reader:  wire.NewReader(nc, s.Version, 0),
		decoder: wire.Decoder{Version: s.Version, From: wire.FromClient},
	}
}

// note records a packet or a text.
func (c *Conn) note(d Direction, p wire.Packet, text string) {
	r := &c.server.recorder
	e := &Event{Conn: c.number, ClientID: c.clientID, Version: c.version, Direction: d, Packet: p, Note: text}
	if p != nil {
		e.Size = p.Size(c.version)
	}
	r.add(e)
	r.passed(e)
}

// Send sends packets.
func (c *Conn) Send(packets ...wire.Packet) {
	c.t.Helper()
	var b []byte
	for _, p := range packets {
		var err error
		if b, err = p.Append(b, c.version); err != nil {
			c.t.Fatalf("the script cannot send: %v", err)
		}
		c.note(Down, p, "")
	}
	c.write(b)
}

// Offer sends packets. It does not fail if the client has gone.
func (c *Conn) Offer(packets ...wire.Packet) {
	for _, p := range packets {
		if b, err := p.Append(nil, c.version); err == nil {
			c.note(Down, p, "offered")
			_, _ = c.net.Write(b)
		}
	}
}

// SendRaw sends the bytes of a hexadecimal text, with spaces anywhere.
func (c *Conn) SendRaw(text string) {
	c.t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		c.t.Fatalf("the script cannot send: %v", err)
	}
	c.Write(b)
}

// Write sends bytes.
func (c *Conn) Write(b []byte) {
	c.t.Helper()
	c.note(Down, nil, fmt.Sprintf("%d bytes: %.60x", len(b), b))
	c.write(b)
}

func (c *Conn) write(b []byte) {
	c.t.Helper()
	if _, err := c.net.Write(b); err != nil {
		c.t.Fatalf("the script cannot send: %v", err)
	}
}

// Want waits for these packets, byte for byte, in this order.
func (c *Conn) Want(packets ...wire.Packet) {
	c.t.Helper()
	for _, want := range packets {
		wanted, err := want.Append(nil, c.version)
		if err != nil {
			c.t.Fatalf("the script cannot want: %v", err)
		}
		raw, got, err := c.next(c.server.cfg.Patience)
		switch {
		case err != nil:
			c.t.Fatalf("want %v, got %v", show(want), err)
		case !bytes.Equal(wanted, raw):
			c.t.Fatalf("want %v (%.40x)\n got %v (%.40x)", show(want), wanted, show(got), raw)
		}
	}
}

// WantConnect waits for CONNECT.
func (c *Conn) WantConnect() *wire.Connect {
	c.t.Helper()
	return Take[*wire.Connect](c)
}

// WantDisconnect waits for DISCONNECT with this reason, and for the end of the
// connection. Versions before 5.0 have no reason, so it is not compared.
func (c *Conn) WantDisconnect(reason wire.ReasonCode) {
	c.t.Helper()
	if p := Take[*wire.Disconnect](c); p.ReasonCode != reason {
		c.t.Fatalf("want DISCONNECT with %v, got %v", reason, show(p))
	}
	c.WantClosed()
}

// WantClosed waits for the end of the connection without another packet, and
// closes it on this side, too.
func (c *Conn) WantClosed() {
	c.t.Helper()
	_, p, err := c.next(c.server.cfg.Patience)
	if err == nil {
		c.t.Fatalf("want the end of the connection, got %v", show(p))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("the connection did not end within %v", c.server.cfg.Patience)
	}
	c.Close()
}

// WantIdle fails if a packet comes before everything in the bubble waits. Outside a
// bubble it only waits a moment, which proves little.
func (c *Conn) WantIdle() {
	c.t.Helper()
	c.WantIdleFor(c.server.moment)
}

// WantIdleFor fails if a packet comes, or the connection ends, within d.
func (c *Conn) WantIdleFor(d time.Duration) {
	c.t.Helper()
	_, p, err := c.next(d)
	switch {
	case err == nil:
		c.t.Fatalf("want nothing, got %v", show(p))
	case !errors.Is(err, os.ErrDeadlineExceeded):
		c.t.Fatalf("want nothing, got %v", err)
	}
}

// Skip reads and drops all packets that come before everything in the bubble waits,
// or outside a bubble within a moment.
func (c *Conn) Skip() {
	for {
		if _, _, err := c.next(c.server.moment); err != nil {
			return
		}
	}
}

// Read waits for bytes. It is for tests that look at less than a packet.
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.net.SetReadDeadline(time.Now().Add(c.server.cfg.Patience)); err != nil {
		return 0, err
	}
	return c.net.Read(b)
}

// Close closes the connection without a DISCONNECT. The client can still read bytes
// that were sent before.
func (c *Conn) Close() { c.net.Close() }

// Take waits for the next packet, which has to be of type P.
func Take[P wire.Packet](c *Conn) P {
	c.t.Helper()
	var want P
	_, p, err := c.next(c.server.cfg.Patience)
	if err != nil {
		c.t.Fatalf("want %T, got %v", want, err)
	}
	got, ok := p.(P)
	if !ok {
		c.t.Fatalf("want %T, got %v", want, show(p))
	}
	return got
}

// TakeWithin is Take for a packet that may not come. It waits no longer than d.
func TakeWithin[P wire.Packet](c *Conn, d time.Duration) (got P, ok bool) {
	c.t.Helper()
	_, p, err := c.next(d)
	if err != nil {
		return got, false
	}
	if got, ok = p.(P); !ok {
		c.t.Fatalf("want %T, got %v", got, show(p))
	}
	return got, true
}

// next returns the next packet, as bytes and decoded, within d.
func (c *Conn) next(d time.Duration) (raw []byte, p wire.Packet, err error) {
	c.t.Helper()
	if err := c.net.SetReadDeadline(time.Now().Add(d)); err != nil {
		return nil, nil, err
	}
	h, body, err := c.reader.ReadPacket()
	if err == io.ErrUnexpectedEOF {
		c.t.Fatalf("the client closed the connection within a packet")
	}
	if err != nil {
		return nil, nil, err
	}
	body = bytes.Clone(body)
	if p, err = c.decoder.Decode(h, body); err != nil {
		c.t.Fatalf("the client sent what is no packet: %v", err)
	}
	// A packet that was decoded without a fault has only one encoding.
	if raw, err = p.Append(nil, c.version); err != nil {
		c.t.Fatalf("the client sent what cannot be sent: %v", err)
	}
	if hello, ok := p.(*wire.Connect); ok {
		c.clientID = hello.ClientID
	}
	c.note(Up, p, "")
	return raw, p, nil
}
