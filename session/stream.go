package session

import (
	"bytes"
	"slices"

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
	owner  *Outgoing // whose payload it is
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
	if !s.under() {
		return
	}
	n := min(len(s.rest), piece)
	l.buf = append(l.buf, s.rest[:n]...)
	s.rest = s.rest[n:]
	if !s.under() {
		l.buf = append(l.buf, s.behind...)
		l.stream = stream{over: s.owner}
	}
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
		st.rest = bytes.Clone(st.rest)
		st.owner = nil
	}
}
