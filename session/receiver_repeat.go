package session

import "github.com/seed65a45251/mqtt/wire"

// isRepeat says whether p, whose identifier is in use, brings the message of in
// again.
//
// Within one connection, and with DUP set, that is a matter of the protocol: between
// PUBREC and PUBREL only the identifier counts [MQTT-4.3.3-10], and before the
// acknowledgement a repeat has DUP set [MQTT-3.3.1-1]. The content is compared then,
// too: the peer may have given up the first message and failed to get another one
// through under the same identifier.
//
// On a later connection of the same session DUP clear means that the peer sends the
// message for the first time. Two kinds of peers say so. One has lost its state, as a
// process has that was started again, and begins with its identifiers anew. Its message
// must not vanish in the exchange of another one, so with other content it is new, and
// the old exchange is over. The other kind repeats and forgets the flag.
//
//   - At QoS 2 the same content counts as a repeat, since "once" is what the session
//     was made for. A peer without state that publishes the very message that is open
//     loses one of the two.
//   - At QoS 1 it counts as new, since a duplicate is allowed and a loss is not.
//
// Where the session may be another one than that of the exchange, content decides
// whatever DUP says: the first transmission may have got lost with a connection.
//
// A record of an earlier release of this package has no digest; its identifier alone
// counts.
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

// learnDigest learns the digest of a message that was restored from its repeat.
func (r *Receiver) learnDigest(in *incoming, p *wire.Publish) {
	if in.restored && r.resembles(in, p) {
		in.digest, in.restored = r.digest(p, r.link.Version), false
	}
}

// releaseEarly takes a PUBREL for an exchange of an earlier connection that has not
// come as far as PUBREC. A peer without state clears the way like this for an
// identifier that it is going to use.
func (r *Receiver) releaseEarly(in *incoming) {
	switch {
	case in.qos == wire.AtLeastOnce:
		// The message stays: PUBREL is about another one.
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
		in.doubtful = true
	}
}

// digest is inMemory.digest, which does not hash again what was hashed in advance.
func (r *Receiver) digest(p *wire.Publish, v wire.Version) Digest {
	return inMemory.digestWith(p, r.sums.of(p.Payload), v)
}
