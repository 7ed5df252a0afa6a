package wire

func (p *Connack) decode(d *Decoder, _ Header, c *cursor) {
	old := d.Version != V5
	if string(c.b) == "\x00\x01" {
		// A server that does not know 5.0 refuses in the old form: worth more than "malformed".
		old = true
	}
	flags := c.byte()
	if flags > 1 && d.Version != V31 { // [MQTT-3.2.2-1]
		c.malformed("reserved acknowledge flags")
	}
	if old {
		p.decodeReturnCode(c)
	} else {
		p.ReasonCode = c.reason(d.From) // [MQTT-3.2.2-8]
		p.decodeProperties(c)
	}
	// [MQTT-3.2.2-6]: a refusal has no session. What counts is the refusal, so the flag is only ignored.
	p.SessionPresent = flags == 1 && p.ReasonCode == Success && d.Version != V31
}

func (p *Connack) decodeReturnCode(c *cursor) {
	code := int(c.byte())
	if code < len(returnCodes) {
		p.ReasonCode = returnCodes[code]
	} else if c.err == nil {
		c.protocolError("reserved return code")
	}
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
			p.UserProperties = append(p.UserProperties, c.property.userProperty())
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
