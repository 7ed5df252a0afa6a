package session

import (
	"bytes"
	"slices"
	"time"

	"github.com/seed65a45251/mqtt/wire"
)

// Streams reports whether the payload of o is being sent piece by piece.
func (s *Sender) Streams(o *Outgoing) bool { return s.link.stream.owner == o && s.link.stream.active() }

// TakePayload returns the rest of the payload of o for the caller to write without a
// copy. It returns nil if other bytes have to be written first. Otherwise the caller
// then calls WrotePayload, and must not call Take before.
func (s *Sender) TakePayload(o *Outgoing) []byte {
	st := &s.link.stream
	if !s.Streams(o) || len(s.link.buf) > 0 || !st.held.IsZero() {
		return nil
	}
	st.writing = o
	return st.rest
}

// WrotePayload says that n bytes of the result of TakePayload have been written. The rest
// is copied as usual. It does nothing if the connection has ended meanwhile.
func (s *Sender) WrotePayload(o *Outgoing, n int, now time.Time) {
	st := &s.link.stream
	if st.writing != o {
		return
	}
	st.writing = nil
	s.link.account.taken += uint64(n)
	s.link.account.wrote(s.link.account.taken)
	s.link.streamOn(n)
	if st.active() && st.owner == nil {
		// The server has acknowledged the message before its end. It still gets the
		// rest.
		st.rest = bytes.Clone(st.rest)
	}
	s.link.refill()
	s.Pump(now)
}

// sendPublish appends the PUBLISH of o, or begins to stream it.
func (s *Sender) sendPublish(o *Outgoing, first bool) (err error) {
	switch {
	case len(o.Publish.Payload) >= streamed:
		if err = s.link.beginStream(o); err == nil && o.suspect() && !s.suspicion.lenient {
			s.link.stream.held = s.now.Add(s.suspicion.beginning)
		}
	case first:
		err = s.link.appendPublish(&o.Publish)
	default:
		err = s.link.Append(&o.Publish)
	}
	if s.pacer != nil && err == nil {
		s.pacer.sent(o.Publish.Size(s.link.Version), s.now)
	}
	return err
}

// streamCopied completes a QoS 0 message whose payload has been copied to the buffer.
// The payload belongs to the caller again.
func (s *Sender) streamCopied() {
	o := s.link.stream.copied
	s.link.stream.copied = nil
	if o != nil && o.Publish.QoS == wire.AtMostOnce {
		s.streaming = nil
		s.link.sentAtMostOnce(o.end)
		s.complete(o, Result{})
	}
}

// cutStream completes with err a QoS 0 message that was sent only in part.
func (s *Sender) cutStream(err error) {
	if o := s.streaming; o != nil {
		s.streaming = nil
		s.detachStream(o)
		s.complete(o, Result{Err: err})
	}
}

// Own makes o independent of the caller's memory: the payload, and the properties
// that the caller may change. It is for callers that stop waiting.
func (s *Sender) Own(o *Outgoing) {
	p := &o.Publish
	p.Payload = bytes.Clone(p.Payload)
	if q := p.Properties; q != nil {
		own := *q
		own.CorrelationData = bytes.Clone(q.CorrelationData)
		own.UserProperties = slices.Clone(q.UserProperties)
		p.Properties = &own
	}
	if st := &s.link.stream; st.active() && st.owner == o {
		st.rest = p.Payload[len(p.Payload)-len(st.rest):]
	}
}

// detachStream copies the rest of the stream of o, so that the caller's memory is free
// again.
func (s *Sender) detachStream(o *Outgoing) {
	if st := &s.link.stream; st.active() && st.owner == o {
		if st.writing == nil {
			st.rest = bytes.Clone(st.rest)
		}
		st.owner = nil
	}
}
