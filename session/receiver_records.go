package session

import "iter"

// The identifiers of QoS 2 messages between PUBREC and PUBREL must survive a crash.
// The owner of a Receiver records them before Ack and says so with Remember. It
// removes the record before PUBCOMP goes out: otherwise a new message under the same
// identifier would be taken for a repeat.

// Remember says that the identifier of a message is recorded, or will be before Ack. At
// QoS 1 it does nothing. It returns false if the message is no longer known, so that no
// record is needed.
//
// If the record also holds the [DigestOf] the message, the next process can tell a
// repeat from another message under the same identifier: see [Receiver.RestoreDigest].
func (r *Receiver) Remember(t Token) bool {
	in := t.in
	if in == nil || in.generation != t.generation || in.qos < 2 {
		return false
	}
	in.recorded = true
	return true
}

// Discards appends to dst the identifiers whose records are to be removed, each once.
// PUBCOMP waits for Discarded.
func (r *Receiver) Discards(dst []uint16) []uint16 {
	if len(r.discards) == 0 {
		return dst
	}
	dst = append(dst, r.discards...)
	r.discards = r.discards[:0]
	return dst
}

// Discarded says that the record of an identifier is removed. PUBCOMP goes out if the
// connection is still the one on which PUBREL came. On another connection the peer
// repeats PUBREL.
func (r *Receiver) Discarded(id uint16) {
	in := r.byID.get(id)
	if in == nil || in.state != incomingDiscarded {
		return
	}
	asked := in.epoch == r.epoch && r.link.open
	r.release(in)
	if asked {
		r.link.pubcomp(id, 0)
	}
}

// Restore restores an identifier that an earlier process has recorded without a
// digest. Until PUBREL every QoS 2 message under it counts as a repeat.
func (r *Receiver) Restore(id uint16) { r.RestoreDigest(id, Digest{}) }

// RestoreDigest restores an identifier that an earlier process has recorded with the
// [DigestOf] its message. The zero Digest means that the digest is not known.
func (r *Receiver) RestoreDigest(id uint16, d Digest) {
	if r.byID.get(id) == nil {
		r.byID.put(&incoming{id: id, qos: 2, state: incomingReceived, recorded: true, digest: d, restored: true})
	}
}

// Remembered yields the identifiers that have records. The Receiver must not be
// used meanwhile.
func (r *Receiver) Remembered() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for in := range r.byID.all {
			if in.recorded && !yield(in.id) {
				return
			}
		}
	}
}

// discard delays PUBCOMP until the record is removed.
func (r *Receiver) discard(in *incoming) {
	in.epoch = r.epoch
	if in.state == incomingDiscarded {
		return // the peer has repeated PUBREL
	}
	if in.listed {
		r.arrived.remove(in)
	}
	in.state = incomingDiscarded
	r.discards = append(r.discards, in.id)
}

// Drop forgets a message that could not be accepted and sends no answer. If the peer
// sends it again, it counts as a new message.
func (r *Receiver) Drop(t Token) {
	if in := t.in; in != nil && in.generation == t.generation && in.state == incomingDelivered {
		r.release(in)
	}
}
