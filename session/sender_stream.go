package session

import (
	"bytes"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

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
