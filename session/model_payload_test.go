package session

import "math/rand/v2"

// loan is a payload that is written from where it is.
type loan struct {
	lend    *rand.Rand // decides which payloads are written from where they are; nil: none
	lending *Outgoing  // whose payload is being written
	lent    int        // how much of it is
	early   int        // messages that were completed meanwhile
}

// borrower returns the message that streams if its caller is to write its payload.
func (w *world) borrower() *Outgoing {
	if w.lend == nil || w.lend.IntN(3) == 0 {
		return nil
	}
	for _, o := range w.outgoing {
		if w.c.Sender.Streams(o) {
			return o
		}
	}
	return nil
}

// beginLoan puts what the socket takes of the payload of o in flight. The client
// hears of it later.
func (w *world) beginLoan(o *Outgoing) bool {
	if o == nil {
		return false
	}
	rest := w.c.Sender.Lend(o)
	if len(rest) == 0 {
		return false
	}
	w.lending, w.lent = o, len(rest)
	if w.lend.IntN(3) == 0 {
		w.lent = w.lend.IntN(len(rest))
	}
	w.note("C %q of %q", rest[:w.lent], rest)
	w.toServer = append(w.toServer, rest[:w.lent]...)
	return true
}

// endLoan tells the client what was written, unless the connection is lost.
func (w *world) endLoan(up bool) {
	o := w.lending
	if o == nil {
		return
	}
	w.lending = nil
	if up {
		w.c.Sender.Lent(o, w.lent, w.now)
		w.c.Wrote(w.now)
		w.harvest()
	}
	if w.completed[o] > 0 {
		spoil(o.Publish.Payload)
	}
	w.check()
}

// spoil is a caller who has his payload back.
func spoil(payload []byte) {
	for i := range payload {
		payload[i] = '#'
	}
}

// own is a caller who stops waiting for o.
func (w *world) own(o *Outgoing) {
	if o == w.lending || w.completed[o] > 0 || w.withdrawn[o] {
		return
	}
	payload := o.Publish.Payload
	w.c.Sender.Own(o)
	spoil(payload)
	w.check()
}
