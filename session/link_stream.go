package session

// Variables so that tests get there with small payloads.
var (
	streamed = 256 << 10 // from which size on a payload is not copied as a whole
	piece    = 256 << 10 // how much of it is copied at a time
)

// stream is a PUBLISH with a large payload on its way. What is in the buffer of
// the link ends with the beginning of the packet; the rest follows piece by piece
// from where the caller has it, and other packets wait behind it. No further
// message begins meanwhile.
type stream struct {
	rest    []byte    // of the payload; empty: there is no stream
	behind  []byte    // packets
	ping    bool      // behind has a PINGREQ
	owner   *Outgoing // whose payload it is; nil: rest is a copy
	writing *Outgoing // whose caller is writing rest; nil: none is
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
	l.stream = stream{rest: o.Publish.Payload, owner: o}
	return nil
}

// refill moves the next piece into the buffer, and after the last one what waited
// behind it.
func (l *Link) refill() {
	s := &l.stream
	if !s.active() || s.writing != nil {
		return
	}
	n := min(len(s.rest), piece)
	l.buf = append(l.buf, s.rest[:n]...)
	l.streamOn(n)
}

// streamOn goes on behind n more bytes of the payload.
func (l *Link) streamOn(n int) {
	s := &l.stream
	s.rest = s.rest[n:]
	if !s.active() {
		l.buf = append(l.buf, s.behind...)
		l.ping = l.ping || s.ping
		l.stream = stream{copied: s.owner}
	}
}
