package session

// These are variables so that tests can stream small payloads.
var (
	streamed = 256 << 10 // payloads of this size or more are not copied as a whole
	piece    = 256 << 10 // bytes copied at a time
)

// stream is a PUBLISH with a large payload under way. The buffer of the link ends
// with the beginning of the packet. The rest of the payload follows in pieces from
// the caller's memory, and other packets wait behind it. No other message begins
// meanwhile.
type stream struct {
	rest    []byte    // the rest of the payload; empty: there is no stream
	behind  []byte    // packets that wait behind the payload
	ping    bool      // behind has a PINGREQ
	owner   *Outgoing // the message, whose caller owns rest; nil: rest is a copy
	writing *Outgoing // the message whose caller is writing rest; nil: none
	copied  *Outgoing // the message whose last piece was copied; the Sender takes it
}

func (s *stream) active() bool { return len(s.rest) > 0 }

// tail is where packets are appended.
func (l *Link) tail() *[]byte {
	if l.stream.active() {
		return &l.stream.behind
	}
	return &l.buf
}

// beginStream starts to stream o. The link is not full.
func (l *Link) beginStream(o *Outgoing) error {
	b, err := o.Publish.AppendHead(l.buf, l.Version)
	if err == nil {
		err = l.Limits.checkSize(len(b) - len(l.buf) + len(o.Publish.Payload))
	}
	if err != nil {
		return err
	}
	l.buf = b
	l.packets++
	l.stream = stream{rest: o.Publish.Payload, owner: o}
	return nil
}

// refill moves the next piece into the buffer. After the last piece it adds the
// packets that waited behind it.
func (l *Link) refill() {
	s := &l.stream
	if !s.active() || s.writing != nil {
		return
	}
	n := min(len(s.rest), piece)
	l.buf = append(l.buf, s.rest[:n]...)
	l.streamOn(n)
}

// streamOn removes the first n bytes from the rest of the payload.
func (l *Link) streamOn(n int) {
	s := &l.stream
	s.rest = s.rest[n:]
	if !s.active() {
		l.buf = append(l.buf, s.behind...)
		l.ping = l.ping || s.ping
		l.stream = stream{copied: s.owner}
	}
}
