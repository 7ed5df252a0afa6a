package session

import (
	"bytes"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

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
	rest   []byte    // of the payload; empty: there is no stream
	behind []byte    // packets
	ping   bool      // behind has a PINGREQ
	owner  *Outgoing // whose payload it is; nil: rest is a copy
	lent   *Outgoing // whose caller is writing rest; nil: nobody
	over   *Outgoing // the message whose last piece was copied; the Sender takes it
}

func (s *stream) under() bool { return len(s.rest) > 0 }

// end is where packets are appended.
func (l *Link) end() *[]byte {
	if l.stream.under() {
		return &l.stream.behind
	}
	return &l.buf
}

// begin starts to stream o. The link is not full.
func (l *Link) begin(o *Outgoing) error {
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
	if !s.under() || s.lent != nil {
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
	if !s.under() {
		l.buf = append(l.buf, s.behind...)
		l.ping = l.ping || s.ping
		l.stream = stream{over: s.owner}
	}
}

// Streams reports whether the payload of o is on its way piece by piece.
func (s *Sender) Streams(o *Outgoing) bool { return s.link.stream.owner == o && s.link.stream.under() }

// Lend returns what is left of the payload of o if nothing else is to be written
// before it, for a caller who still has it to write it without a copy. He then
// calls Lent. Until then nobody may call Take.
func (s *Sender) Lend(o *Outgoing) []byte {
	st := &s.link.stream
	if !s.Streams(o) || len(s.link.buf) > 0 {
		return nil
	}
	st.lent = o
	return st.rest
}

// Lent says that n bytes of what Lend returned are written. What is left is copied
// as usual. It does nothing if the connection has ended meanwhile.
func (s *Sender) Lent(o *Outgoing, n int, now time.Time) {
	st := &s.link.stream
	if st.lent != o {
		return
	}
	st.lent = nil
	s.link.account.taken += uint64(n)
	s.link.account.wrote(s.link.account.taken)
	s.link.streamOn(n)
	if st.under() && st.owner == nil {
		// A server that has acknowledged half of a message gets the other half.
		st.rest = bytes.Clone(st.rest)
	}
	s.link.refill()
	s.Pump(now)
}

// send appends the PUBLISH of o, or begins to stream it.
func (s *Sender) send(o *Outgoing, first bool) error {
	switch {
	case len(o.Publish.Payload) >= streamed:
		return s.link.begin(o)
	case first:
		return s.link.appendPublish(&o.Publish)
	}
	return s.link.Append(&o.Publish)
}

// streamedOut completes a QoS 0 message of which everything is in the buffer: the
// payload is the caller's again.
func (s *Sender) streamedOut() {
	o := s.link.stream.over
	s.link.stream.over = nil
	if o != nil && o.Publish.QoS == wire.AtMostOnce {
		s.streaming = nil
		s.link.sentAtMostOnce(o.end)
		s.complete(o, Result{})
	}
}

// interrupted completes with err a QoS 0 message that was cut in the middle.
func (s *Sender) interrupted(err error) {
	if o := s.streaming; o != nil {
		s.streaming = nil
		s.disown(o)
		s.complete(o, Result{Err: err})
	}
}

// Own makes o independent of the caller's memory: of the payload, and of the
// properties that can be changed. It is for callers who stop waiting.
func (s *Sender) Own(o *Outgoing) {
	p := &o.Publish
	p.Payload = bytes.Clone(p.Payload)
	if q := p.Properties; q != nil {
		own := *q
		own.CorrelationData = bytes.Clone(q.CorrelationData)
		own.UserProperties = slices.Clone(q.UserProperties)
		p.Properties = &own
	}
	if st := &s.link.stream; st.under() && st.owner == o {
		st.rest = p.Payload[len(p.Payload)-len(st.rest):]
	}
}

// disown lets the stream of o go on without its caller, who gets his memory back.
func (s *Sender) disown(o *Outgoing) {
	if st := &s.link.stream; st.under() && st.owner == o {
		if st.lent == nil {
			st.rest = bytes.Clone(st.rest)
		}
		st.owner = nil
	}
}
