package mqtttest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// handle applies the controls to a frame from the source of a lane.
func (a *lane) handle(fr frame) {
	p, err := a.decode(fr)
	if p == nil {
		note := fmt.Sprintf("%d bytes that are no packet: % x", len(fr.raw), fr.raw[:min(len(fr.raw), shown)])
		if err != nil {
			note += ": " + err.Error()
		}
		a.put(&item{raw: fr.raw, event: a.record(nil, fr.raw, note)})
		return
	}
	if connect, ok := p.Packet.(*wire.Connect); ok {
		a.link.b.adopt(a.link, connect)
	}
	a.link.b.controls.apply(p)
	a.link.adapt(p)
	event := a.record(p.Packet, fr.raw, strings.Join(p.verdict.notes, ", "))
	if connect, ok := p.Packet.(*wire.Connect); ok && !p.verdict.dropped {
		a.link.b.forgetFor(a.link, connect)
	}
	a.carryOut(p, event)
}

// decode returns the packet of a frame. For a frame that is not a packet it returns
// nil, and the reason if that is known.
func (a *lane) decode(fr frame) (*Packet, error) {
	if fr.header.Type == 0 {
		return nil, nil
	}
	a.decoder.Version = a.link.spoken()
	q, err := a.decoder.Decode(fr.header, fr.body)
	if err != nil {
		return nil, err
	}
	a.link.learn(q)
	return &Packet{
		Packet: q, Direction: a.direction, ClientID: a.link.id(), Conn: a.link.number,
		Version: a.link.spoken(), link: a.link, raw: fr.raw,
	}, nil
}

// learn notes the client's identifier and version from a packet.
func (l *link) learn(p wire.Packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch p := p.(type) {
	case *wire.Connect:
		l.version, l.clientID = p.Version, p.ClientID
	case *wire.Connack:
		if p.AssignedClientID != "" {
			l.clientID = p.AssignedClientID
		}
	}
}

func (a *lane) record(p wire.Packet, raw []byte, note string) *Event {
	e := &Event{
		Conn: a.link.number, ClientID: a.link.id(), Version: a.link.spoken(),
		Direction: a.direction, Packet: p, Size: len(raw), Note: note,
	}
	a.link.b.recorder.add(e)
	return e
}

// carryOut does what was decided about a packet.
func (a *lane) carryOut(p *Packet, event *Event) {
	v := &p.verdict
	if v.dropped || v.replaced {
		a.link.b.recorder.lost(event, "")
	}
	items := a.outgoing(p, event)
	if v.cut {
		items = cutItems(items, v)
	}
	due := time.Now().Add(v.delay + a.link.b.latency(a.link, p))
	for _, it := range items {
		it.due, it.hold = due, v.hold
		a.put(it)
	}
	back := a.link.other(a)
	for _, out := range v.answers {
		back.put(&item{raw: out.raw, event: back.record(out.packet, out.raw, "sent by the test"), cut: out.last})
	}
}

// outgoing returns the items to pass on for p.
func (a *lane) outgoing(p *Packet, event *Event) []*item {
	v := &p.verdict
	var items []*item
	switch {
	case v.replaced:
		for _, out := range v.instead {
			e := a.record(out.packet, out.raw, "sent by the test")
			items = append(items, &item{raw: out.raw, event: e})
		}
	case !v.dropped:
		items = append(items, &item{raw: p.raw, event: event, order: a.link.b.orderOf(a.link, p)})
		for range v.copies {
			e := a.record(p.Packet, p.raw, "sent by the test")
			items = append(items, &item{raw: p.raw, event: e, order: items[0].order})
		}
	}
	return items
}

// cutItems cuts the items where the verdict says that the connection ends.
func cutItems(items []*item, v *verdict) []*item {
	if len(items) == 0 {
		return []*item{{cut: true}}
	}
	last := items[len(items)-1]
	last.cut = true
	if !v.replaced && v.cutAt < len(last.raw) {
		last.partial = true
		last.raw = slices.Clone(last.raw[:v.cutAt])
	}
	return items
}
