package session

import "github.com/seed65a45251/mqtt/wire"

// inbox holds the events for the caller of a Server. It reuses the memory of earlier
// PUBLISHes.
type inbox struct {
	events    []Event
	publishes []*wire.Publish
	used      int // of publishes
}

func (b *inbox) add(p wire.Packet) { b.events = append(b.events, Event{Packet: p}) }

// publish returns memory for a PUBLISH, which keep then makes an event.
func (b *inbox) publish() *wire.Publish {
	if b.used == len(b.publishes) {
		b.publishes = append(b.publishes, new(wire.Publish))
	}
	return b.publishes[b.used]
}

func (b *inbox) keep(p *wire.Publish, t Token) {
	b.used++
	b.events = append(b.events, Event{Packet: p, Token: t})
}

func (b *inbox) recycle() {
	for _, p := range b.publishes[:b.used] {
		*p = wire.Publish{}
	}
	clear(b.events)
	b.events, b.used = b.events[:0], 0
}

func (b *inbox) trim() {
	if len(b.events) == 0 && (cap(b.events) > keptReceived || len(b.publishes) > keptReceived) {
		*b = inbox{}
	}
}
