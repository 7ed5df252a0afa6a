package session

import "math/rand/v2"

// inPlaceWrites are payloads that are written from where it is.
type inPlaceWrites struct {
	inPlace *rand.Rand // decides which payloads are written from where they are; nil: none
	writing *Outgoing  // whose payload is being written
	written int        // how much of it is
	early   int        // messages that were completed meanwhile
}

// inPlaceMessage returns the message that streams if its caller is to write its payload.
func (w *world) inPlaceMessage() *Outgoing {
	if w.inPlace == nil || w.inPlace.IntN(3) == 0 {
		return nil
	}
	for _, o := range w.outgoing {
		if w.c.Sender.Streams(o) {
			return o
		}
	}
	return nil
}

// beginInPlace puts what the socket takes of the payload of o in flight. The client
// hears of it later.
func (w *world) beginInPlace(o *Outgoing) bool {
	if o == nil {
		return false
	}
	rest := w.c.Sender.TakePayload(o)
	if len(rest) == 0 {
		return false
	}
	w.writing, w.written = o, len(rest)
	if w.inPlace.IntN(3) == 0 {
		w.written = w.inPlace.IntN(len(rest))
	}
	w.note("C %q of %q", rest[:w.written], rest)
	w.toServer = append(w.toServer, rest[:w.written]...)
	return true
}

// endInPlace tells the client what was written, unless the connection is lost.
func (w *world) endInPlace(up bool) {
	o := w.writing
	if o == nil {
		return
	}
	w.writing = nil
	if up {
		w.c.Sender.WrotePayload(o, w.written, w.now)
		w.c.Wrote(w.now)
		w.harvest()
	}
	if w.completed[o] > 0 {
		spoil(o.Publish.Payload)
	}
	w.check()
}

// spoil is a caller that has its payload back.
func spoil(payload []byte) {
	for i := range payload {
		payload[i] = '#'
	}
}

// own is a caller that stops waiting for o.
func (w *world) own(o *Outgoing) {
	if o == w.writing || w.completed[o] > 0 || w.withdrawn[o] {
		return
	}
	payload := o.Publish.Payload
	w.c.Sender.Own(o)
	spoil(payload)
	w.check()
}
