package wire

// overlook passes over a fault if the decoder tolerates faults, and reports whether it did.
// Otherwise it refuses the packet.
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

// foreignReason handles servers that know 5.0 and, on an older version, add a reason code and
// perhaps more behind an identifier or a return code. It skips the addition and returns the code.
// ok is false if there is none.
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

// absent reports whether a number out of range may count as an absent property. A Maximum QoS of 2
// and a Maximum Packet Size of 0 mean the same as absence. For other properties the server's
// intention is unknown.
func (c *cursor) absent(r *received) bool {
	limitless := r.id == propMaximumQoS && r.number == uint32(ExactlyOnce) || r.id == propMaximumPacketSize
	return limitless && c.packet == TypeConnack && c.overlook(ProtocolError, propertyTable[r.id].name+" out of range")
}

// duplicateAtQoS0 judges a DUP flag at QoS 0. [MQTT-3.3.1-2] forbids it, but 3.1 does not. From a
// client it is a protocol error. From a server it is always ignored.
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
