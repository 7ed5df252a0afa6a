package conformance

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// peer is the suite's end of one connection of a client.
type peer struct {
	s       *script
	conn    net.Conn
	connect *wire.Connect // nil until CONNECT has come
	first   []byte        // the bytes of CONNECT
	frames  *mailbox[frame]
	mute    atomic.Bool // PINGREQ is passed on and gets no answer
	grants  bool        // SUBSCRIBE is granted and not passed on
	up      bool        // CONNACK was sent
	marks   uint16      // packet identifiers of probes that were used
	nothing string      // of nextOr, while it waits
}

// frame is one packet of the client.
type frame struct {
	raw    []byte
	packet wire.Packet // nil: err
	err    error       // the packet is wrong, or the connection has ended
	ended  bool
	at     time.Time
}

func (f frame) String() string {
	switch {
	case f.packet != nil:
		return fmt.Sprintf("%v (%.40x)", f.packet.Type(), f.raw)
	case f.ended:
		return f.err.Error()
	}
	return fmt.Sprintf("a packet that is wrong (%v; %.40x)", f.err, f.raw)
}

func newPeer(s *script, conn net.Conn) *peer {
	p := &peer{s: s, conn: conn, frames: newMailbox[frame]()}
	go p.read()
	return p
}

// read takes packets until the connection ends.
func (p *peer) read() {
	decoder := wire.Decoder{From: wire.FromClient}
	r := bufio.NewReader(p.conn)
	for {
		raw, err := readPacket(r)
		f := frame{raw: raw, at: time.Now()}
		if err != nil {
			f.err, f.ended = errGone, true
			if len(raw) > 0 {
				f.err = fmt.Errorf("the end of the connection within a packet (%.40x)", raw)
			}
			_ = p.conn.Close() // a client may wait for the server's end
			p.frames.put(f)
			return
		}
		h, n, err := wire.ParseHeader(raw, p.s.version)
		if err == nil {
			f.packet, err = decoder.Decode(h, raw[n:])
		}
		f.err = err
		if f.packet != nil && f.packet.Type() == wire.TypePingreq && !p.mute.Load() {
			_, _ = p.conn.Write([]byte{0xD0, 0})
			continue
		}
		p.frames.put(f)
	}
}

// readPacket returns the bytes of one packet, and those that came before an error.
func readPacket(r *bufio.Reader) (raw []byte, err error) {
	b, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	raw = append(raw, b)
	length := 0
	for shift := 0; ; shift += 7 {
		if b, err = r.ReadByte(); err != nil {
			return raw, err
		}
		raw = append(raw, b)
		if length |= int(b&0x7F) << shift; b < 0x80 {
			break
		}
		if shift == 21 {
			return raw, errors.New("a length of more than four bytes")
		}
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(length)))
	if raw = append(raw, body...); err == nil && len(body) < length {
		err = io.ErrUnexpectedEOF
	}
	return raw, err
}

func (p *peer) close() {
	_ = p.conn.Close()
	p.frames.close()
}

// reset ends the connection as a network does that breaks.
func (p *peer) reset() {
	if tcp, ok := p.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = p.conn.Close()
}

// send sends packets that the suite can encode.
func (p *peer) send(packets ...wire.Packet) {
	var b []byte
	for _, packet := range packets {
		var err error
		if b, err = packet.Append(b, p.s.version); err != nil {
			p.s.end(NotObserved, "the check cannot send: %v", err)
		}
		p.up = p.up || packet.Type() == wire.TypeConnack
	}
	p.write(b)
}

// raw sends the bytes of a hexadecimal text, with spaces anywhere.
func (p *peer) raw(text string) { p.write(unhex(text)) }

// unhex returns the bytes of a hexadecimal text of this package.
func unhex(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err) // a test goes through all texts
	}
	return b
}

// write sends bytes. A client that has gone is seen by what the check expects next.
func (p *peer) write(b []byte) {
	_ = p.conn.SetWriteDeadline(time.Now().Add(p.s.patience))
	_, _ = p.conn.Write(b)
}

// next waits for the next packet or the end of the connection. A packet that is wrong
// ends the check.
func (p *peer) next() frame {
	f, ok := p.within(p.s.patience)
	if !ok {
		p.s.fails("nothing comes within %v", p.s.patience)
	}
	return f
}

// within is next with a bound of its own.
func (p *peer) within(d time.Duration) (f frame, ok bool) {
	if time.Now().After(p.s.deadline) {
		p.s.fails("the check comes to no end")
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	failed := ""
	for {
		select {
		case f := <-p.frames.out:
			if !f.ended && f.packet == nil {
				p.s.fails("the client sends %v", f)
			}
			if packet, is := f.packet.(*wire.Subscribe); is && p.grants {
				p.send(granted(packet))
				continue
			}
			return f, true
		case text := <-p.s.cannot:
			p.s.end(Cannot, "%s", text)
		case failed = <-p.s.failed:
			timer.Reset(min(d, failGrace)) // nothing more comes for it
		case <-timer.C:
			if failed != "" && p.nothing != "" {
				p.s.endsNothing(p.nothing + "; " + failed)
			}
			if failed != "" {
				p.s.fails("nothing comes; %s", failed)
			}
			return frame{}, false
		}
	}
}

// failGrace is how long a packet may still come after an operation has failed.
const failGrace = 2 * time.Second

// want waits for a packet of type P, which has to be the next.
func want[P wire.Packet](p *peer) P {
	packet, _ := wantRaw[P](p)
	return packet
}

// wantRaw is want with the bytes of the packet.
func wantRaw[P wire.Packet](p *peer) (P, []byte) {
	f := p.next()
	packet, ok := f.packet.(P)
	if !ok {
		p.s.fails("want %v, got %v", reflect.New(reflect.TypeFor[P]().Elem()).Interface().(wire.Packet).Type(), f)
	}
	return packet, f.raw
}

// wantBytes waits for these bytes as the next packet.
func (p *peer) wantBytes(text string) {
	if f := p.next(); !bytes.Equal(f.raw, unhex(text)) {
		p.s.fails("want %s, got %v", text, f)
	}
}

// mark sends a message at QoS 1 whose PUBACK shows that the client has taken all
// that was sent before.
func (p *peer) mark() uint16 {
	p.marks++
	id := 60000 + p.marks
	p.send(&wire.Publish{Topic: p.s.topic("mark"), QoS: wire.AtLeastOnce, PacketID: id})
	return id
}

// idle reports what the client sends before it answers a mark: nothing else should
// come.
func (p *peer) until(id uint16) (before []frame) {
	for {
		f := p.next()
		if f.ended {
			return append(before, f)
		}
		if ack, ok := f.packet.(*wire.Puback); ok && ack.PacketID == id {
			return before
		}
		before = append(before, f)
	}
}

// alive ends the check if the client sends anything but the answer to a mark.
func (p *peer) alive() {
	if before := p.until(p.mark()); len(before) > 0 {
		p.s.fails("want nothing, got %v", before[0])
	}
}

// grace is how long a client that goes on after a fault may take to notice it.
const grace = time.Second / 2

// bye waits for the client to end the connection, on 5.0 after DISCONNECT with one of
// the codes. Before 5.0 it has to end it without DISCONNECT.
func (p *peer) bye(codes ...wire.ReasonCode) {
	p.byeOf(p.mark(), codes)
}

// byeOf is bye after a mark.
func (p *peer) byeOf(id uint16, codes []wire.ReasonCode) {
	var said *wire.Disconnect
	for {
		f := p.nextOr("neither ends the connection nor answers")
		switch packet := f.packet.(type) {
		case nil:
			p.left(said, codes)
			return
		case *wire.Disconnect:
			said = packet
		case *wire.Puback:
			if packet.PacketID == id && !p.endsSoon(&said) {
				p.goesOn()
			}
			if packet.PacketID == id {
				p.left(said, codes)
				return
			}
		}
	}
}

// endsSoon waits a moment for the end of the connection.
func (p *peer) endsSoon(said **wire.Disconnect) bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for {
		select {
		case f := <-p.frames.out:
			if f.ended {
				return true
			}
			if d, ok := f.packet.(*wire.Disconnect); ok {
				*said = d
			}
		case <-timer.C:
			return *said != nil
		}
	}
}

// goesOn ends the check of a client that passes over a fault. The text of 5.0 only
// advises clients to end the connection.
func (p *peer) goesOn() {
	p.s.endsNothing("goes on")
}

// nextOr is next for a client that should end the connection and may do nothing instead.
func (p *peer) nextOr(nothing string) frame {
	p.nothing = nothing
	defer func() { p.nothing = "" }()
	f, ok := p.within(p.s.patience)
	if !ok {
		p.s.endsNothing(nothing)
	}
	return f
}

// left judges how the client has ended the connection.
func (p *peer) left(said *wire.Disconnect, codes []wire.ReasonCode) {
	switch {
	case said == nil && p.s.v5() && p.up && len(codes) > 0:
		p.s.remark("closes without DISCONNECT")
	case said != nil && !p.s.v5():
		p.s.fails("sends DISCONNECT, which withdraws the will")
	case said == nil || len(codes) == 0:
	case said.ReasonCode == wire.Success:
		p.s.fails("sends DISCONNECT with 0x00, which withdraws the will")
	default:
		if slices.Contains(codes, said.ReasonCode) {
			return
		}
		p.s.remark("DISCONNECT has 0x%02X, not 0x%02X", byte(said.ReasonCode), byte(codes[0]))
	}
}

// refused has the client do something that it has to refuse: nothing may reach the
// wire. A client that ends the connection has refused, too.
func (p *peer) refused(op Operation) Answer {
	c := p.s.begin(op)
	select {
	case f := <-p.frames.out:
		if sub, ok := f.packet.(*wire.Subscribe); ok && op.Filters[0].QoS > 2 {
			p.s.remark("asks for QoS %d", sub.Filters[0].QoS)
			p.send(granted(sub))
			return c.wait()
		}
		if !f.ended {
			p.s.fails("the client sends %v", f)
		}
		a := c.wait()
		p.s.remark("ends the connection")
		return a
	case a := <-c.answer:
		if a = c.take(a); a.OK {
			p.s.remark("reports no error")
		}
		if before := p.until(p.mark()); len(before) > 0 && !before[0].ended {
			p.s.fails("the client sends %v", before[0])
		}
		return a
	case <-time.After(p.s.patience):
		p.s.fails("no answer to %s within %v", op.Op, p.s.patience)
		panic("unreachable")
	}
}

// refusedAlso is refused for a client that may have ended the connection.
func (p *peer) refusedAlso(op Operation) {
	if slices.Contains(p.s.remarks, "ends the connection") {
		p.s.again()
		p = p.s.open()
	}
	p.refused(op)
}

// goneAdvised is gone for a client that is only advised to end the connection.
func (p *peer) goneAdvised() {
	if f := p.nextOr("leaves the connection open"); !f.ended {
		p.s.fails("want the end of the connection, got %v", f)
	}
}

// gone waits for the end of the connection, with nothing before it.
func (p *peer) gone() {
	if f := p.next(); !f.ended {
		p.s.fails("want the end of the connection, got %v", f)
	}
}
