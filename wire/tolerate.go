package wire

// overlook passes over a fault, if the decoder tolerates any, and reports whether it
// did. Otherwise the packet is refused because of it.
func (c *cursor) overlook(reason ReasonCode, detail string) bool {
	if c.err != nil {
		return false
	}
	fault := &Error{Packet: c.packet, Reason: reason, Detail: detail}
	if c.tolerate == nil {
		c.fail(fault)
		return false
	}
	c.tolerate(fault)
	return true
}

// foreignReason passes over what servers that have learned 5.0 put behind an
// identifier or a return code where older versions have nothing: a reason code, and
// perhaps more. ok is false if there is none.
func (c *cursor) foreignReason() (code ReasonCode, ok bool) {
	if len(c.b) == 0 {
		return 0, false
	}
	rest := c.b
	if !c.overlook(MalformedPacket, "bytes after the last field") {
		return 0, false
	}
	c.b = nil
	return ReasonCode(rest[0]), true
}

// absent says whether a number out of range may count as a property that is left out:
// a Maximum QoS of 2 and a Maximum Packet Size of 0 say what that would say. With others
// it is not known what the server means.
func (c *cursor) absent(r *received) bool {
	limitless := r.id == propMaximumQoS && r.number == uint32(ExactlyOnce) || r.id == propMaximumPacketSize
	return limitless && c.packet == TypeConnack && c.overlook(ProtocolError, propertyTable[r.id].name+" out of range")
}

// duplicateAtQoS0 judges a DUP flag where it has no meaning. [MQTT-3.3.1-2] forbids it, 3.1 does not.
// From a client it is a protocol error; those of servers are ignored in any case.
func (d *Decoder) duplicateAtQoS0() error {
	fault := &Error{Packet: TypePublish, Reason: ProtocolError, Detail: "DUP at QoS 0"}
	switch {
	case d.Version == V31:
		return nil
	case d.From == FromClient:
		return fault
	case d.Tolerate != nil:
		d.Tolerate(fault)
	}
	return nil
}
