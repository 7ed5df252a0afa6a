package wire

func (p *Connack) decode(d *Decoder, _ Header, c *cursor) {
	old := d.Version != V5
	if string(c.b) == "\x00\x01" {
		// A server that does not know 5.0 refuses in the old form. Its reason is worth more than
		// "malformed".
		old = true
	}
	flags := c.byte()
	if flags > 1 && d.Version != V31 { // [MQTT-3.2.2-1]
		c.malformed("reserved acknowledge flags")
	}
	if old {
		p.decodeReturnCode(c)
		c.foreignReason()
	} else {
		p.ReasonCode = c.reason(d.From) // [MQTT-3.2.2-8]
		if p.ReasonCode != Success && !p.ReasonCode.Failed() {
			p.ReasonCode = oldReason(byte(p.ReasonCode)) // a return code of 3.1.1 in the shape of 5.0
		}
		if p.ReasonCode.Failed() && c.err == nil && len(c.b) == 0 && c.overlook(MalformedPacket, "ends before the properties") {
			return // what counts is the refusal
		}
		p.decodeProperties(c)
	}
	// [MQTT-3.2.2-6]: a refusal has no session. The refusal matters, so the flag is ignored.
	p.SessionPresent = flags == 1 && p.ReasonCode == Success && d.Version != V31
}

func (p *Connack) decodeReturnCode(c *cursor) {
	code := c.byte()
	if int(code) >= len(returnCodes) && c.err == nil {
		c.overlook(ProtocolError, "reserved return code")
	}
	p.ReasonCode = oldReason(code)
}

// oldReason translates a return code of versions before 5.0. Other codes, which may be those of
// 5.0, count as refusals, too.
func oldReason(code byte) ReasonCode {
	switch {
	case int(code) < len(returnCodes):
		return returnCodes[code]
	case ReasonCode(code).Failed():
		return ReasonCode(code)
	}
	return UnspecifiedError
}

func (p *Connack) decodeProperties(c *cursor) {
	c.properties(TypeConnack)
	for c.next() {
		switch c.property.id {
		case propSessionExpiryInterval:
			p.SessionExpiryInterval = new(c.property.number)
		case propReceiveMaximum:
			p.ReceiveMaximum = uint16(c.property.number)
		case propMaximumQoS:
			p.MaximumQoS = new(QoS(c.property.number))
		case propRetainAvailable:
			p.RetainAvailable = c.property.flag()
		case propMaximumPacketSize:
			p.MaximumPacketSize = c.property.number
		case propAssignedClientID:
			p.AssignedClientID = c.property.string()
		case propTopicAliasMaximum:
			p.TopicAliasMaximum = uint16(c.property.number)
		case propReasonString:
			p.ReasonString = c.property.string()
		case propUserProperty:
			p.UserProperties = c.userProperty(p.UserProperties)
		case propWildcardSubscriptionAvailable:
			p.WildcardSubscriptionAvailable = c.property.flag()
		case propSubscriptionIDAvailable:
			p.SubscriptionIDAvailable = c.property.flag()
		case propSharedSubscriptionAvailable:
			p.SharedSubscriptionAvailable = c.property.flag()
		case propServerKeepAlive:
			p.ServerKeepAlive = new(uint16(c.property.number))
		case propResponseInformation:
			p.ResponseInformation = c.property.string()
		case propServerReference:
			p.ServerReference = c.property.string()
		case propAuthenticationMethod:
			p.AuthenticationMethod = c.property.string()
		case propAuthenticationData:
			p.AuthenticationData = c.property.data
		}
	}
	if p.AuthenticationData != nil && p.AuthenticationMethod == "" && c.err == nil {
		c.protocolError("authentication data without a method")
	}
}
