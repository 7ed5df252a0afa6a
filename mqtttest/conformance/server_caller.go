package conformance

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

const (
	// nudge is how long a connection may stay open before the script asks, with a
	// PINGREQ, whether the server goes on.
	nudge = 500 * time.Millisecond
	// lull is how long a script listens for what must not come, after proof that the
	// server has done what was asked before.
	lull = 50 * time.Millisecond
	// farewell is how long a server that has answered a PINGREQ may still need to close.
	farewell = 2 * time.Second
)

// caller is one connection of a script to the server. It belongs to one goroutine.
type caller struct {
	t       *trial
	conn    net.Conn
	reader  *wire.Reader
	decoder wire.Decoder
	connack *wire.Connack
	inbox   []wire.Packet // arrived, and not taken yet
	nextID  uint16
	over    error  // why the connection ended
	awaits  string // the packet that the script waits for, if its type does not say enough
	largest int    // the client's Maximum Packet Size; 0: none
	bare    bool   // the client wants no problem information
	unknown bool   // the server cannot know the version, or passes on what others sent: packets are not judged
}

// dial makes a connection on which nothing is sent.
func (t *trial) dial() *caller {
	conn, err := t.s.Dial(t.ctx)
	if err != nil {
		t.fail("connecting: %v", err)
	}
	return t.adopt(conn)
}

func (t *trial) adopt(conn net.Conn) *caller {
	p := &caller{t: t, conn: conn, reader: wire.NewReader(conn, t.version, 0)}
	p.decoder = wire.Decoder{Version: t.version, From: wire.FromServer, Tolerate: func(e *wire.Error) { p.note(e) }}
	t.callers = append(t.callers, p)
	return p
}

// connect returns a CONNECT that every server should accept.
func (t *trial) connect(id string) *wire.Connect {
	c := &wire.Connect{ClientID: id, CleanStart: true, KeepAlive: 300}
	if t.s.Username != "" {
		c.Username, c.Password = &t.s.Username, []byte(t.s.Password)
	}
	return c
}

// open sends CONNECT and returns the answer. The caller is nil if the server refuses or closes; the
// CONNACK is nil if there is none.
func (t *trial) open(c *wire.Connect) (*caller, *wire.Connack) {
	if !c.CleanStart || c.SessionExpiryInterval > 0 {
		t.sessions[c.ClientID] = true
	}
	p := t.dial()
	p.largest = int(c.MaximumPacketSize)
	p.bare = c.RequestProblemInformation != nil && !*c.RequestProblemInformation
	p.send(c)
	answer, err := p.read(t.s.Patience)
	switch connack := answer.(type) {
	case *wire.Connack:
		if connack.ReasonCode.Failed() {
			return nil, connack
		}
		p.connack = connack
		return p, connack
	case nil:
		if isTimeout(err) {
			t.fail("no answer to CONNECT within %v", t.s.Patience)
		}
		return nil, nil
	default:
		t.fail("%v instead of CONNACK", answer.Type())
		return nil, nil
	}
}

// joinAs connects with an identifier that ends in suffix.
func (t *trial) joinAs(suffix string, edits ...func(*wire.Connect)) *caller {
	c := t.connect(t.id(suffix))
	for _, edit := range edits {
		edit(c)
	}
	p, connack := t.open(c)
	switch {
	case p != nil:
		return p
	case connack != nil:
		t.fail("CONNECT is refused with %v", connack.ReasonCode)
	default:
		t.fail("the connection is closed after CONNECT")
	}
	return nil
}

// keep asks for a session that outlives its connection; resume for the one that is there.
func keep(c *wire.Connect) { c.CleanStart, c.SessionExpiryInterval = false, 300 }

// fit clears what the version does not have, so that scripts serve all versions.
func (p *caller) fit(packet wire.Packet) {
	if p.t.version == wire.V5 {
		return
	}
	if c, ok := packet.(*wire.Connect); ok {
		c.SessionExpiryInterval = 0
	}
}

func (p *caller) send(packets ...wire.Packet) {
	var b []byte
	for _, packet := range packets {
		p.fit(packet)
		var err error
		if b, err = packet.Append(b, p.t.version); err != nil {
			p.t.fail("the script cannot encode its packet: %v", err)
		}
	}
	p.raw(b)
}

// raw writes bytes. An error shows as the end of the connection.
func (p *caller) raw(b []byte) {
	_ = p.conn.SetWriteDeadline(time.Now().Add(p.t.s.Patience))
	_, _ = p.conn.Write(b)
}

// read returns the next packet from the network. The error is the end of the connection, or a timeout.
func (p *caller) read(within time.Duration) (wire.Packet, error) {
	if p.over != nil {
		return nil, p.over
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(within))
	h, body, err := p.reader.ReadPacket()
	if err != nil {
		if isTimeout(err) {
			return nil, err
		}
		p.over = err
		if malformed, ok := errors.AsType[*wire.Error](err); ok {
			p.t.fail("sends bytes that are no packet: %v", malformed)
		}
		return nil, err
	}
	packet, err := p.decoder.Decode(h, bytes.Clone(body))
	if err != nil {
		p.note(err)
		switch {
		case h.Type == wire.TypeDisconnect && p.t.version != wire.V5:
			return &wire.Disconnect{}, nil // its meaning is clear
		case p.unknown:
			return p.read(within)
		}
		p.t.fail("sends a packet that is not well-formed: %v", err)
	}
	if p.largest > 0 && h.Size > p.largest {
		p.t.fail("sends a %v of %d bytes to a client with a Maximum Packet Size of %d", h.Type, h.Size, p.largest)
	}
	if p.bare && hasProblems(packet) {
		p.t.fail("sends a %v with problem information to a client that wants none", h.Type)
	}
	return packet, nil
}

// note remembers a fault in a packet of the server.
func (p *caller) note(err error) {
	if !p.unknown {
		p.t.s.note(p.t.version, err)
	}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// take returns the next packet of type T. Others that come before it stay in the inbox.
func take[T wire.Packet](p *caller) T {
	for i, packet := range p.inbox {
		if found, ok := packet.(T); ok {
			p.inbox = append(p.inbox[:i], p.inbox[i+1:]...)
			return found
		}
	}
	deadline := time.Now().Add(p.t.s.Patience)
	for {
		packet, err := p.read(time.Until(deadline))
		if found, ok := packet.(T); ok {
			return found
		}
		if err != nil {
			var missing T
			p.t.fail("%s does not come: %s", cmp.Or(p.awaits, missing.Type().String()), p.ending(err))
		}
		p.inbox = append(p.inbox, packet)
	}
}

// ending says how waiting for a packet ended.
func (p *caller) ending(err error) string {
	if isTimeout(err) {
		return fmt.Sprintf("nothing came within %v", p.t.s.Patience)
	}
	for _, packet := range p.inbox {
		switch packet := packet.(type) {
		case *wire.Disconnect:
			return fmt.Sprintf("the server sent DISCONNECT, %v", packet.ReasonCode)
		case *wire.Connack:
			if packet.ReasonCode.Failed() {
				return fmt.Sprintf("the server sent CONNACK, %v", packet.ReasonCode)
			}
		}
	}
	return "the server closed the connection"
}

// closed waits until the server ends the connection. It returns the reason that the server gave with
// DISCONNECT or CONNACK; told is false if it gave none. A CONNACK that accepts is a failure.
func (p *caller) closed(after string) (reason wire.ReasonCode, told bool) {
	within, asked := nudge, false
	for {
		packet, err := p.read(within)
		switch packet := packet.(type) {
		case *wire.Disconnect:
			reason, told = packet.ReasonCode, true
		case *wire.Connack:
			if !packet.ReasonCode.Failed() {
				p.t.fail("accepts the connection after %s", after)
			}
			reason, told = packet.ReasonCode, true
		case *wire.Pingresp:
			within = farewell // it has gone on
		case nil:
			switch {
			case !isTimeout(err):
				return reason, told
			case !asked:
				asked, within = true, p.t.s.Patience
				p.send(&wire.Pingreq{})
			case within == farewell:
				p.t.fail("goes on after %s: it answers a PINGREQ that follows", after)
			default:
				p.t.fail("does not close the connection within %v after %s", p.t.s.Patience, after)
			}
		default:
			p.inbox = append(p.inbox, packet)
		}
	}
}

// refused is closed, with a remark if the reason is none of the fitting ones, and a departure if there
// is none although 5.0 advises to give one.
func (p *caller) refused(after string, fitting ...wire.ReasonCode) {
	reason, told := p.closed(after)
	if p.t.version != wire.V5 || len(fitting) == 0 {
		return
	}
	switch {
	case !told && p.connack != nil: // on a connection that was accepted the text advises to say why
		p.t.depart("closes without DISCONNECT")
	case told && !slices.Contains(fitting, reason):
		p.t.remark("the reason is %v", reason)
	}
}

// settle gives the server its chance to do something about what was sent: until it closes the
// connection, or answers a PINGREQ, or a moment has passed.
func (p *caller) settle() {
	p.send(&wire.Pingreq{})
	for {
		packet, err := p.read(nudge)
		if err != nil || packet.Type() == wire.TypePingresp {
			return
		}
	}
}

// alive shows that the server goes on with this connection.
func (p *caller) alive() {
	p.send(&wire.Pingreq{})
	take[*wire.Pingresp](p)
}

// leave ends the connection with DISCONNECT and waits until the server has closed it, or the patience
// for that is over.
func (p *caller) leave() {
	p.send(&wire.Disconnect{})
	for {
		if _, err := p.read(nudge); err != nil {
			break
		}
	}
	p.conn.Close()
}

// drop ends the connection without DISCONNECT.
func (p *caller) drop() { p.conn.Close() }

// packetID returns an identifier that this connection has not used yet.
func (p *caller) packetID() uint16 {
	p.nextID++
	return p.nextID
}
