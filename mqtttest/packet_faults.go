package mqtttest

import (
	"slices"
	"sync/atomic"

	"github.com/seed65a45251/mqtt/wire"
)

// Swallow discards packets, for example acknowledgements.
func (b *Broker) Swallow(m Match) {
	b.controls.add(m, true, (*Packet).Drop)
}

// Duplicate passes packets on twice.
func (b *Broker) Duplicate(m Match) {
	b.controls.add(m, true, (*Packet).Repeat)
}

// CutAt passes on n bytes of the packet that matches and then ends the connection. 0
// ends it before the packet, -1 in the middle of it, and a number beyond its size
// right behind it.
func (b *Broker) CutAt(m Match, n int) {
	b.controls.add(m, true, func(p *Packet) { p.CutAt(n) })
}

// AnswerWith answers packets with bytes in place of the other side, which does not
// see the packets.
func (b *Broker) AnswerWith(m Match, answer []byte) {
	answer = slices.Clone(answer)
	b.controls.add(m, true, func(p *Packet) {
		p.Drop()
		p.AnswerBytes(answer)
	})
}

// hold is shared by packets that are held back together.
type hold struct{ released atomic.Bool }

// Hold holds packets back until release is called. Packets behind them overtake them.
// Packets that are held back when their connection ends are lost. Hold can break the
// order that the specification demands; [Broker.Reorder] does not.
func (b *Broker) Hold(m Match) (release func()) {
	h := new(hold)
	stop := b.controls.add(m, true, func(p *Packet) {
		p.verdict.hold = h
		p.note("held back")
	})
	return func() {
		stop()
		h.released.Store(true)
		for _, l := range b.matching(nil) {
			l.up.release(h)
			l.down.release(h)
		}
	}
}

// RefuseConnect answers the next n CONNECTs of these clients, or of all, with a
// reason code, without the broker. If the version has no code for the reason, the
// connection just ends. A negative n means all CONNECTs until [Broker.Heal].
func (b *Broker) RefuseConnect(n int, code wire.ReasonCode, clientIDs ...string) {
	if n == 0 {
		return
	}
	m := Match{Type: wire.TypeConnect, Direction: Up, Times: n}
	if len(clientIDs) > 0 {
		m.If = func(p wire.Packet) bool { return slices.Contains(clientIDs, p.(*wire.Connect).ClientID) }
	}
	b.controls.add(m, true, func(p *Packet) {
		p.Drop()
		ack := &wire.Connack{ReasonCode: code}
		if raw, err := ack.Append(nil, p.Version); err == nil {
			p.verdict.answers = append(p.verdict.answers, output{packet: ack, raw: raw, last: true})
			return
		}
		p.Cut()
	})
}
