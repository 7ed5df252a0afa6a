package session

import "github.com/seed65a45251/mqtt/wire"

// Link is the sending side of one connection: the version spoken on it, the
// peer's limits, and the bytes that wait to be written. Sender and Receiver of
// a session share it.
type Link struct {
	Version wire.Version
	Limits  Limits
	open    bool
	buf     []byte
	ping    bool // buf has a PINGREQ
	pinged  bool // the bytes of the last Take have one
	stream  stream
	aliases *topicAliases // of the messages that we send; nil: none are used
	packets uint64        // appended on all connections

	account      account
	room         room
	holdQoS0     bool // a suspect is under way or about to be: QoS 0 messages wait
	unanswerable bool // something that the peer will not answer was sent
}

// Open says that the handshake is over and messages may be sent from now on. Bytes
// that already wait to be written stay.
func (l *Link) Open(v wire.Version, limits Limits) {
	l.Version, l.Limits, l.open = v, limits, true
}

// Shut stops the sending of messages. Bytes that wait can still be taken.
func (l *Link) Shut() { l.open = false }

// Close ends the connection and drops the bytes that were not written.
func (l *Link) Close() { *l = Link{packets: l.packets} }

// Pending returns how many bytes wait to be written.
func (l *Link) Pending() int { return len(l.buf) + l.stream.waiting() }

// Take returns the bytes to write and continues with spare as the next buffer. The
// caller owns the result until it passes it back as spare.
func (l *Link) Take(spare []byte) []byte {
	if len(l.buf) == 0 {
		l.refill() // takeBefore has left it out
	}
	b := l.swap(spare)
	l.refill()
	return b
}

// takeBefore is Take without a further part of the payload of o.
func (l *Link) takeBefore(o *Outgoing, spare []byte) []byte {
	if o == nil || l.stream.owner != o {
		return l.Take(spare)
	}
	return l.swap(spare)
}

func (l *Link) swap(spare []byte) []byte {
	b := l.buf
	l.account.taken += uint64(len(b))
	l.buf = spare[:0]
	l.pinged, l.ping = l.ping, false
	return b
}

// Append encodes p behind the bytes that wait. It refuses a packet that is larger
// than the peer's maximum packet size.
func (l *Link) Append(p wire.Packet) error { return l.appendTo(l.tail(), p) }

func (l *Link) appendTo(end *[]byte, p wire.Packet) error {
	b, err := p.Append(*end, l.Version)
	if err != nil {
		return err
	}
	if err := l.Limits.checkSize(len(b) - len(*end)); err != nil {
		return err
	}
	*end = b
	l.packets++
	return nil
}

// Trim gives back the buffer if it is empty and larger than keep bytes.
func (l *Link) Trim(keep int) {
	if len(l.buf) == 0 && cap(l.buf) > keep {
		l.buf = nil
	}
}

// full reports whether new messages have to wait.
func (l *Link) full() bool { return len(l.buf) >= l.room.bytes() || l.stream.active() }

// appendPing appends a PINGREQ and notes where it is.
func (l *Link) appendPing() {
	if l.stream.active() {
		l.stream.ping = true
	} else {
		l.ping = true
	}
	l.appendChecked((*wire.Pingreq)(nil))
}

// appendChecked appends a packet that fits every limit and cannot be malformed.
func (l *Link) appendChecked(p wire.Packet) {
	end := l.tail()
	*end, _ = p.Append(*end, l.Version)
	l.packets++
}

// position returns where the next packet begins.
func (l *Link) position() uint64 {
	return l.account.taken + uint64(len(l.buf)+len(l.stream.rest)+len(l.stream.behind))
}

// sentAtMostOnce notes that a QoS 0 message ends at a position.
func (l *Link) sentAtMostOnce(end uint64) {
	l.unanswerable = true
	if l.account.on {
		l.account.lossy = append(l.account.lossy, end)
	}
}
