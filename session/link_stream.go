package session

import "time"

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

	// held is until when nothing follows the beginning of the packet, to see whether the
	// server hangs up because of that alone; zero: the payload follows at once.
	held time.Time
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
	if !s.active() || s.writing != nil || !s.held.IsZero() {
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

// waiting returns how much of the stream can be written.
func (s *stream) waiting() int {
	if !s.held.IsZero() {
		return 0
	}
	return len(s.rest) + len(s.behind)
}

// letGo ends what hold has begun.
func (l *Link) letGo(now time.Time) {
	if held := l.stream.held; !held.IsZero() && !now.Before(held) {
		l.stream.held = time.Time{}
		l.refill()
	}
}

// onlyBegun reports whether the beginning of a packet is all that the server has of it,
// and all that was to be written.
func (l *Link) onlyBegun() bool {
	return !l.stream.held.IsZero() && len(l.buf) == 0 && l.account.written == l.account.taken
}
