package session

import "github.com/seed65a45251/mqtt/wire"

// highWater is how many bytes may wait for the writer before new messages
// wait in the queue instead.
const highWater = 256 << 10

// Link is the sending side of one connection: the version spoken on it, the
// peer's limits, and the bytes that wait to be written. Sender and Receiver of
// a session share it.
type Link struct {
	Version wire.Version
	Limits  Limits
	open    bool
	buf     []byte
	ping    bool // buf has a PINGREQ
	pinged  bool // what was last taken has one
	stream  stream
	aliases topicAliases // of what we send
}

// Open says that the handshake is over: messages may be sent from now on. What
// already waits to be written stays.
func (l *Link) Open(v wire.Version, limits Limits) {
	l.Version, l.Limits, l.open = v, limits, true
}

// Shut stops the sending of messages; what waits can still be taken.
func (l *Link) Shut() { l.open = false }

// Close ends the connection and drops what was not written.
func (l *Link) Close() { *l = Link{} }

// Pending returns how many bytes wait to be written.
func (l *Link) Pending() int { return len(l.buf) + len(l.stream.rest) + len(l.stream.behind) }

// Take returns the bytes to write and goes on with spare as the next buffer.
// The caller owns the result until it gives it back as spare.
func (l *Link) Take(spare []byte) []byte {
	if len(l.buf) == 0 {
		l.refill() // takeBefore has left it out
	}
	b := l.swap(spare)
	l.refill()
	return b
}

// takeBefore is Take without any more of the payload of o.
func (l *Link) takeBefore(o *Outgoing, spare []byte) []byte {
	if o == nil || l.stream.owner != o {
		return l.Take(spare)
	}
	return l.swap(spare)
}

func (l *Link) swap(spare []byte) []byte {
	b := l.buf
	l.buf = spare[:0]
	l.pinged, l.ping = l.ping, false
	return b
}

// Append encodes p behind what is already waiting. It refuses what is larger
// than the peer's maximum packet size.
func (l *Link) Append(p wire.Packet) error {
	end := l.end()
	b, err := p.Append(*end, l.Version)
	if err != nil {
		return err
	}
	if err := l.Limits.checkSize(len(b) - len(*end)); err != nil {
		return err
	}
	*end = b
	return nil
}

// Trim gives back the buffer if it is empty and larger than keep bytes.
func (l *Link) Trim(keep int) {
	if len(l.buf) == 0 && cap(l.buf) > keep {
		l.buf = nil
	}
}

// full says that new messages have to wait.
func (l *Link) full() bool { return len(l.buf) >= highWater || l.stream.under() }

// appendPing appends a PINGREQ and notes where it is.
func (l *Link) appendPing() {
	if l.stream.under() {
		l.stream.ping = true
	} else {
		l.ping = true
	}
	l.must((*wire.Pingreq)(nil))
}

// must appends what has been checked.
func (l *Link) must(p wire.Packet) {
	end := l.end()
	*end, _ = p.Append(*end, l.Version)
}

// Without text the four acknowledgements fit every limit that a peer can usefully
// announce. The concrete types keep them off the heap.

func (l *Link) puback(id uint16, code wire.ReasonCode, text string) {
	p := wire.Puback{PacketID: id, ReasonCode: code}
	if text != "" && l.Version == wire.V5 {
		// [MQTT-3.4.2-2] only if it fits.
		if l.Append(&wire.Puback{PacketID: id, ReasonCode: code, ReasonString: text}) == nil {
			return
		}
	}
	end := l.end()
	*end, _ = p.Append(*end, l.Version)
}

func (l *Link) pubrec(id uint16, code wire.ReasonCode, text string) {
	p := wire.Pubrec{PacketID: id, ReasonCode: code}
	if text != "" && l.Version == wire.V5 {
		// [MQTT-3.5.2-2] only if it fits.
		if l.Append(&wire.Pubrec{PacketID: id, ReasonCode: code, ReasonString: text}) == nil {
			return
		}
	}
	end := l.end()
	*end, _ = p.Append(*end, l.Version)
}

func (l *Link) pubrel(id uint16, code wire.ReasonCode) {
	p := wire.Pubrel{PacketID: id, ReasonCode: code}
	end := l.end()
	*end, _ = p.Append(*end, l.Version)
}

func (l *Link) pubcomp(id uint16, code wire.ReasonCode) {
	p := wire.Pubcomp{PacketID: id, ReasonCode: code}
	end := l.end()
	*end, _ = p.Append(*end, l.Version)
}
