package mqtttest

import (
	"fmt"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Direction is the way that a packet goes.
type Direction uint8

// The directions as the client sees them. Both means either.
const (
	Both Direction = iota
	Up             // from the client to the broker
	Down           // from the broker to the client
)

// String returns "up", "down" or "both".
func (d Direction) String() string {
	switch d {
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return "both"
}

// Packet is a packet on its way, as a function of [Broker.Control] gets it. If the
// function calls none of its methods, the packet is passed on byte for byte. The
// methods may be combined. They must not be called after the function has returned.
type Packet struct {
	// Packet is the decoded packet. It must not be changed: pass a changed copy to
	// Replace.
	Packet    wire.Packet
	Direction Direction
	ClientID  string // empty until it is known
	Conn      int    // number of the connection in the order of their opening, from 1
	Version   wire.Version

	link    *link
	raw     []byte
	verdict verdict
}

// verdict is what the functions have decided about a packet.
type verdict struct {
	dropped  bool
	copies   int // beyond the first
	replaced bool
	instead  []output
	answers  []output
	delay    time.Duration
	hold     *hold
	cutAt    int // bytes passed on before the cut
	cut      bool
	notes    []string
}

// output is bytes that the test made, and the packet that they encode, if any.
type output struct {
	packet wire.Packet
	raw    []byte
	last   bool // the connection ends behind it
}

// Drop discards the packet. The other side never sees it.
func (p *Packet) Drop() {
	p.verdict.dropped = true
	p.note("dropped")
}

// Repeat passes the packet on once more.
func (p *Packet) Repeat() {
	p.verdict.copies++
	p.note("repeated")
}

// Replace passes other packets on in place of this one.
func (p *Packet) Replace(packets ...wire.Packet) {
	p.verdict.instead = append(p.verdict.instead, p.encode(packets)...)
	p.verdict.replaced = true
	p.note("replaced")
}

// ReplaceBytes passes other bytes on in place of the packet.
func (p *Packet) ReplaceBytes(b []byte) {
	p.verdict.instead = append(p.verdict.instead, output{raw: b})
	p.verdict.replaced = true
	p.note("replaced")
}

// Answer sends packets back to the sender of this one. This packet is still passed on
// unless it is dropped as well.
func (p *Packet) Answer(packets ...wire.Packet) {
	p.verdict.answers = append(p.verdict.answers, p.encode(packets)...)
	p.note("answered")
}

// AnswerBytes is Answer with any bytes.
func (p *Packet) AnswerBytes(b []byte) {
	p.verdict.answers = append(p.verdict.answers, output{raw: b})
	p.note("answered")
}

// Delay passes the packet on after d. Packets behind it wait, too.
func (p *Packet) Delay(d time.Duration) {
	p.verdict.delay += d
	p.note("delayed by " + d.String())
}

// Cut ends the connection behind the packet, or before it if it is dropped.
func (p *Packet) Cut() { p.CutAt(len(p.raw)) }

// CutAt passes on n bytes of the packet and then ends the connection; a negative
// n means half of the packet.
func (p *Packet) CutAt(n int) {
	if n < 0 {
		n = len(p.raw) / 2
	}
	p.verdict.cut, p.verdict.cutAt = true, min(n, len(p.raw))
	p.note(fmt.Sprintf("cut after %d bytes of it", p.verdict.cutAt))
}

func (p *Packet) note(s string) { p.verdict.notes = append(p.verdict.notes, s) }

func (p *Packet) encode(packets []wire.Packet) []output {
	var out []output
	for _, q := range packets {
		raw, err := q.Append(nil, p.Version)
		if err != nil {
			p.link.b.t.Errorf("mqtttest: the test cannot send: %v", err)
			continue
		}
		out = append(out, output{packet: q, raw: raw})
	}
	return out
}
