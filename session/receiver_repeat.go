package session

import "github.com/seed65a45251/mqtt/wire"

// isRepeat reports whether p, whose identifier is in use, is a repeat of the message of
// in.
//
// Within one connection, and whenever DUP is set, the protocol decides. Between PUBREC
// and PUBREL only the identifier counts [MQTT-4.3.3-10]. Before the acknowledgement a
// repeat has DUP set [MQTT-3.3.1-1]; then the content is compared, too, because the
// peer may have given up the first message and failed to send another one under the
// same identifier.
//
// If DUP is clear on a later connection of the same session, the peer says that it
// sends the message for the first time. Two kinds of peers do so. One has lost its
// state, for example because its process was restarted, and counts its identifiers from
// the beginning. Its message must not be taken for a repeat of another one, so a
// message with other content is new, and the old exchange is over. The other kind
// repeats a message and forgets the flag.
//
//   - At QoS 2 the same content counts as a repeat, because exactly once is what the
//     session is for. If a peer without state publishes exactly the message that is
//     open, one of the two is lost.
//   - At QoS 1 the same content counts as new, because a duplicate is allowed and a
//     loss is not.
//
// If the session may be another one than that of the exchange, the content decides
// whatever DUP says: the first transmission may have got lost with a connection.
//
// A record of an earlier release of this package has no digest. Then only the
// identifier counts.
func (r *Receiver) isRepeat(in *incoming, p *wire.Publish) bool {
	switch {
	case in.qos != p.QoS:
		return false
	case in.epoch != r.epoch && !p.Duplicate:
		// After PUBREL there is nothing to repeat [MQTT-4.3.3-6].
		return in.qos == wire.ExactlyOnce && in.state != incomingDiscarded && r.resembles(in, p)
	case in.state == incomingReceived:
		return !in.doubtful || r.resembles(in, p)
	}
	return p.Duplicate && r.digest(p, 0).same(in.digest)
}

// resembles reports whether p may be the message of in.
func (r *Receiver) resembles(in *incoming, p *wire.Publish) bool {
	switch {
	case in.digest == Digest{}:
		return true
	case in.restored:
		return DigestOf(p, r.link.Version).same(in.digest)
	}
	return r.digest(p, r.link.Version).same(in.digest)
}

// learnDigest sets the digest of a restored message from its repeat.
func (r *Receiver) learnDigest(in *incoming, p *wire.Publish) {
	if in.restored && r.resembles(in, p) {
		in.digest, in.restored = r.digest(p, r.link.Version), false
	}
}

// releaseEarly handles a PUBREL for an exchange of an earlier connection that has not
// reached PUBREC. A peer without state sends it to free an identifier that it is
// about to use.
func (r *Receiver) releaseEarly(in *incoming) {
	switch {
	case in.qos == wire.AtLeastOnce:
		// The message stays: the PUBREL is about another one.
		r.link.pubcomp(in.id, wire.PacketIdentifierNotFound)
	case in.recorded:
		r.discard(in)
	default:
		id := in.id
		r.release(in)
		r.link.pubcomp(id, wire.Success)
	}
}

// doubt notes that the peer may have lost the session that the exchanges so far
// belong to.
func (r *Receiver) doubt() {
	for in := range r.byID.all {
		if in.doubtful {
			continue
		}
		in.doubtful = true
		if in.keep != nil && in.keep.noted {
			r.journal.Received(in.keep.session, in.record())
		}
	}
}

// digest is inMemory.digest, but uses the payload hash that was computed in advance.
func (r *Receiver) digest(p *wire.Publish, v wire.Version) Digest {
	return inMemory.digestWith(p, r.sums.of(p.Payload), v)
}
