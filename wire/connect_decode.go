package wire

func (p *Connect) decode(d *Decoder, h Header, c *cursor) {
	p.decodeLevel(c)
	if c.err != nil {
		return
	}
	if d.Version == 0 {
		d.Version = p.Version // even if the rest is wrong, because it decides how to answer
	}
	switch { // checks of the header that need the version
	case h.Flags != 0 && p.Version != V31:
		c.malformed("reserved header bits")
		return
	case p.Version == V5 && !h.shortest(): // [MQTT-1.5.5-1]
		c.malformed("remaining length not in its shortest form")
		return
	}

	flags := c.byte()
	p.CleanStart = flags&flagCleanStart != 0
	p.checkFlags(flags, c)
	p.KeepAlive = c.uint16()
	if p.Version == V5 {
		p.decodeProperties(c)
	}
	p.decodePayload(flags, c)
}

// decodeLevel takes the protocol name and level. [MQTT-3.1.2-1] [MQTT-3.1.2-2]
func (p *Connect) decodeLevel(c *cursor) {
	name, level := c.string(), c.byte()
	p.Version, p.Bridge = Version(level&^bridgeBit), level&bridgeBit != 0
	switch {
	case c.err != nil:
	case name == "MQTT" && p.Version == V5 && !p.Bridge:
	case name == "MQTT" && p.Version == V311:
	case name == "MQIsdp" && p.Version == V31:
	default:
		c.fail(&Error{Packet: TypeConnect, Reason: UnsupportedProtocolVersion, Detail: "unknown protocol name or level"})
	}
}

func (p *Connect) checkFlags(flags byte, c *cursor) {
	will := flags&flagWill != 0
	switch {
	case c.err != nil:
	case flags&flagWillQoS == flagWillQoS: // [MQTT-3.1.2-12]
		c.malformed("will of QoS 3")
	case p.Version != V5 && flags&(flagPassword|flagUsername) == flagPassword: // 3.1.1: [MQTT-3.1.2-22]
		c.protocolError("password without user name")
	case p.Version == V31: // leaves the other bits open
	case flags&flagReserved != 0: // [MQTT-3.1.2-3]
		c.malformed("reserved connect flag")
	case !will && flags&(flagWillQoS|flagWillRetain) != 0: // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
		c.malformed("QoS or retain without a will")
	}
}

func (p *Connect) decodeProperties(c *cursor) {
	c.properties(TypeConnect)
	for c.next() {
		switch c.property.id {
		case propSessionExpiryInterval:
			p.SessionExpiryInterval = c.property.number
		case propReceiveMaximum:
			p.ReceiveMaximum = uint16(c.property.number)
		case propMaximumPacketSize:
			p.MaximumPacketSize = c.property.number
		case propTopicAliasMaximum:
			p.TopicAliasMaximum = uint16(c.property.number)
		case propRequestResponseInformation:
			p.RequestResponseInformation = c.property.number == 1
		case propRequestProblemInformation:
			p.RequestProblemInformation = c.property.flag()
		case propAuthenticationMethod:
			p.AuthenticationMethod = c.property.string()
		case propAuthenticationData:
			p.AuthenticationData = c.property.data
		case propUserProperty:
			p.UserProperties = c.userProperty(p.UserProperties)
		}
	}
	if p.AuthenticationData != nil && p.AuthenticationMethod == "" && c.err == nil {
		c.protocolError("authentication data without a method")
	}
}

// decodePayload decodes the fields that the flags announce, in the order of [MQTT-3.1.3-1].
func (p *Connect) decodePayload(flags byte, c *cursor) {
	p.ClientID = c.string() // [MQTT-3.1.3-3] [MQTT-3.1.3-4]
	needed := p.Version == V31 || p.Version == V311 && !p.CleanStart
	if p.ClientID == "" && needed && c.err == nil { // 3.1.1: [MQTT-3.1.3-8]
		c.fail(&Error{Packet: TypeConnect, Reason: ClientIdentifierNotValid, Detail: "empty client identifier"})
	}
	if flags&flagWill != 0 {
		p.Will = decodeWill(c, p.Version, flags)
	}
	// On 3.1 the remaining length takes precedence over the flags.
	missing := func() bool { return p.Version == V31 && len(c.b) == 0 }
	if flags&flagUsername != 0 && !missing() {
		p.Username = new(c.string())
	}
	if flags&flagPassword != 0 && !missing() {
		p.Password = c.binary()
	}
}
