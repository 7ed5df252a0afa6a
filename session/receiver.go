package session

import "github.com/seed65a45251/mqtt/wire"

// Receiver is the half of a session that receives application messages: which
// QoS 1 and 2 messages still have to be acknowledged, in which order, and which
// QoS 2 identifiers must not be delivered again. The zero value is not ready;
// use [NewReceiver].
type Receiver struct {
	link    *Link
	byID    incomingTable
	arrived incomingList // this connection's messages that still lack PUBACK or PUBREC, in order of arrival
	epoch   uint32       // numbers connections
	open    int          // messages of this connection that are not answered, which count against the receive maximum
	max     int          // our receive maximum; 0: not enforced
	aliases aliases

	tolerate func(*wire.Error) // see ClientSettings.Tolerate

	unused *incoming // free list
	at     elsewhere

	discards []uint16 // identifiers whose records are to be removed

	sums payloadSum // hash of the payload of the PUBLISH being handled

	journal Journal         // see ClientSettings.Journal
	numbers exchangeNumbers // with a journal

	duplicates uint64 // messages that were there before

	ending    bool // see EndHere
	unordered bool // answers do not wait for their turn; see ClientSettings.UnorderedAnswers
}

// Token identifies a received QoS 1 or 2 message until it is acknowledged. A QoS 0
// message has the zero Token and needs no acknowledgement.
type Token struct {
	in         *incoming
	generation uint32
	number     uint32 // see Number
}

// IsZero reports whether there is nothing to acknowledge.
func (t Token) IsZero() bool { return t.in == nil }

// NewReceiver returns a receiver that writes to link.
func NewReceiver(link *Link) *Receiver {
	return &Receiver{link: link}
}

// Start begins a connection on which the peer may keep max QoS 1 and 2 messages open
// (0: no limit) and use topic aliases up to aliasMax. If resumed is false, the peer
// has forgotten the session, and all tokens become stale.
func (r *Receiver) Start(resumed bool, max int, aliasMax uint16) {
	r.Stop()
	r.epoch++
	r.max = max
	r.aliases = aliases{max: aliasMax}
	if !resumed {
		r.Forget()
	}
}

// Stop ends the connection. Messages that it delivered stay known: when a
// resumed session brings them again, they are not delivered twice.
func (r *Receiver) Stop() {
	for r.arrived.head != nil {
		r.arrived.remove(r.arrived.head)
	}
	var left []*incoming
	for in := range r.byID.all {
		in.counted = false
		if in.state == incomingLeft {
			left = append(left, in)
		}
	}
	for _, in := range left {
		r.release(in) // its repeat counts as a new message
	}
	r.open = 0
	r.aliases = aliases{}
}

// Forget drops the session state.
func (r *Receiver) Forget() {
	for in := range r.byID.all {
		r.freeExchange(r.at.id, in)
	}
	r.byID = incomingTable{}
}

// Unfinished returns how many exchanges of its session the receiver remembers.
func (r *Receiver) Unfinished() int { return r.byID.len }

// trim frees the memory of exchanges that are over.
func (r *Receiver) trim() {
	if r.byID.len == 0 {
		r.byID, r.unused = incomingTable{}, nil
	}
}

// Publish handles a PUBLISH and reports whether the application gets it. It fills in
// the topic of an alias. A message with QoS 1 or 2 that is delivered has to be
// acknowledged by [Receiver.Ack] with the token.
func (r *Receiver) Publish(p *wire.Publish) (deliver bool, t Token, err error) {
	// [MQTT-3.3.2-7] mappings belong to the connection. A repeat sets its mapping,
	// too.
	if err := r.aliases.resolve(p); err != nil && !(r.aliases.unasked(p) && overlook(r.tolerate, err)) {
		return false, Token{}, err
	}
	if p.QoS == wire.AtMostOnce {
		return true, Token{}, nil
	}
	in := r.byID.get(p.PacketID)
	if in != nil && !r.isRepeat(in, p) {
		if in.epoch == r.epoch {
			return false, Token{}, protocolError(wire.TypePublish, wire.ProtocolError, "packet identifier %d is still in use", p.PacketID)
		}
		r.release(in)
		in = nil
	}
	deliver = in == nil
	if deliver {
		in = r.take(p)
	} else {
		r.duplicates++
		r.learnDigest(in, p)
	}
	in.epoch = r.epoch
	if err := r.count(in); err != nil {
		if deliver {
			r.release(in) // it was not delivered, so its repeat counts as a new message
		}
		return false, Token{}, err
	}
	if !in.listed {
		r.arrived.push(in)
	}
	if in.state == incomingReceived || in.state == incomingDiscarded {
		// [MQTT-4.3.3-10] a repeat is answered with PUBREC and not delivered.
		in.state = incomingAcknowledged
	}
	r.flush(in)
	return deliver, in.token(), nil
}

// count obeys [MQTT-3.3.4-9]: the peer must not exceed our receive maximum. A repeat
// does not count twice.
func (r *Receiver) count(in *incoming) error {
	if in.counted {
		return nil
	}
	if r.max > 0 && r.open >= r.max {
		return protocolError(wire.TypePublish, wire.ReceiveMaximumExceeded, "more than %d unacknowledged messages", r.max)
	}
	in.counted = true
	r.open++
	return nil
}

// Ack acknowledges the message of t, or refuses it if code is a failure. The answer
// is sent when those of all earlier messages have been: [MQTT-4.6.0-2],
// [MQTT-4.6.0-3] answers are sent in the order of arrival. Without a connection the
// acknowledgement is kept until the peer repeats the message. ErrStale says that the
// session is gone, or that the message was acknowledged already.
func (r *Receiver) Ack(t Token, code wire.ReasonCode) error {
	return r.AckWithReason(t, code, "")
}

// AckWithReason is [Receiver.Ack] with a reason string, which is left out if the
// version has none or the packet would be too large.
func (r *Receiver) AckWithReason(t Token, code wire.ReasonCode, text string) error {
	in := t.in
	if in == nil {
		return nil
	}
	if in.generation != t.generation || in.state != incomingDelivered {
		return ErrStale
	}
	in.state = incomingAcknowledged
	in.reason, in.text = code, text
	if !code.Failed() {
		r.noteReceived(in)
	}
	r.flush(in)
	return nil
}

// flush sends the answers that can be sent now that in is acknowledged.
func (r *Receiver) flush(in *incoming) {
	if !r.link.open {
		return
	}
	if r.unordered {
		if in.listed && in.state == incomingAcknowledged {
			r.sendAnswer(in)
		}
		return
	}
	for in := r.arrived.head; in != nil && in.state == incomingAcknowledged; in = r.arrived.head {
		r.sendAnswer(in)
	}
}

// sendAnswer sends PUBACK or PUBREC.
func (r *Receiver) sendAnswer(in *incoming) {
	r.arrived.remove(in)
	if in.qos == wire.AtLeastOnce {
		r.link.puback(in.id, in.reason, in.text)
		// [MQTT-4.3.2-5] from now on the identifier stands for a new message.
		r.release(in)
		return
	}
	r.link.pubrec(in.id, in.reason, in.text)
	if in.reason.Failed() && r.link.Version == wire.V5 {
		// [MQTT-4.3.3-9] a failing PUBREC ends the exchange. Before 5.0 there is none.
		r.release(in)
		return
	}
	in.state = incomingReceived
	r.noteReceived(in)
}

// Pubrel handles a PUBREL, answers it with PUBCOMP and forgets the identifier.
func (r *Receiver) Pubrel(p *wire.Pubrel) error {
	in := r.byID.get(p.PacketID)
	if in == nil {
		r.link.pubcomp(p.PacketID, wire.PacketIdentifierNotFound)
		return nil
	}
	if in.state == incomingDelivered || in.state == incomingLeft || in.qos != wire.ExactlyOnce {
		if in.epoch != r.epoch {
			r.releaseEarly(in)
			return nil
		}
		return protocolError(wire.TypePubrel, wire.ProtocolError, "PUBREL for packet %d before its PUBREC", p.PacketID)
	}
	if in.recorded {
		r.discard(in)
		return nil
	}
	// [MQTT-4.3.3-11], [MQTT-4.3.3-12]
	r.release(in)
	r.link.pubcomp(p.PacketID, wire.Success)
	return nil
}

func (r *Receiver) take(p *wire.Publish) *incoming {
	in := r.unused
	if in == nil {
		in = new(incoming)
	} else {
		r.unused = in.next
	}
	*in = incoming{id: p.PacketID, qos: p.QoS, digest: r.digest(p, r.link.Version), generation: in.generation, late: r.ending}
	if r.journal != nil && p.QoS == wire.ExactlyOnce {
		in.keep = &keep{session: r.at.id, number: r.numbers.of(r.at.id, in.id), digest: DigestOf(p, r.link.Version)}
	}
	r.byID.put(in)
	return in
}

// release ends an exchange. Tokens for it become stale. If it has a record, the
// record is to be removed, or it would make a later message under the identifier a
// repeat.
func (r *Receiver) release(in *incoming) {
	if in.recorded && in.state != incomingDiscarded {
		r.discards = append(r.discards, in.id)
	}
	r.byID.remove(in)
	r.freeExchange(r.at.id, in)
}

// freeExchange is release for an exchange of the session id that is no longer in the table.
func (r *Receiver) freeExchange(id SessionID, in *incoming) {
	r.noteFinished(id, in)
	if in.listed {
		r.arrived.remove(in)
	}
	if in.counted {
		r.open--
	}
	*in = incoming{generation: in.generation + 1, next: r.unused}
	r.unused = in
}
