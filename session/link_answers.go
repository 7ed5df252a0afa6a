package session

import "github.com/seed65a45251/mqtt/wire"

// Acknowledgements do not wait for a suspect and are never suspected. On a line that
// breaks often, they are what the server has to get to make any progress.

// Without a reason string the four acknowledgements fit every sensible packet size
// limit. The concrete types keep them off the heap.

func (l *Link) puback(id uint16, code wire.ReasonCode, text string) {
	p := wire.Puback{PacketID: id, ReasonCode: code}
	end := l.tail()
	if text != "" && l.Version == wire.V5 {
		// [MQTT-3.4.2-2] only if it fits.
		if l.appendTo(end, &wire.Puback{PacketID: id, ReasonCode: code, ReasonString: text}) == nil {
			return
		}
	}
	*end, _ = p.Append(*end, l.Version)
	l.packets++
}

func (l *Link) pubrec(id uint16, code wire.ReasonCode, text string) {
	p := wire.Pubrec{PacketID: id, ReasonCode: code}
	end := l.tail()
	if text != "" && l.Version == wire.V5 {
		// [MQTT-3.5.2-2] only if it fits.
		if l.appendTo(end, &wire.Pubrec{PacketID: id, ReasonCode: code, ReasonString: text}) == nil {
			return
		}
	}
	*end, _ = p.Append(*end, l.Version)
	l.packets++
}

func (l *Link) pubrel(id uint16, code wire.ReasonCode) {
	p := wire.Pubrel{PacketID: id, ReasonCode: code}
	end := l.tail()
	*end, _ = p.Append(*end, l.Version)
	l.packets++
}

func (l *Link) pubcomp(id uint16, code wire.ReasonCode) {
	p := wire.Pubcomp{PacketID: id, ReasonCode: code}
	end := l.tail()
	*end, _ = p.Append(*end, l.Version)
	l.packets++
}

// unholdQoS0 lets QoS 0 messages go out again.
func (l *Link) unholdQoS0() { l.holdQoS0 = false }
