package wire

// Connack answers a CONNECT.
type Connack struct {
	SessionPresent bool       // false when refused, and on 3.1, which does not say
	ReasonCode     ReasonCode // the return codes of versions before 5.0 are translated

	// The rest is for 5.0, and left out before.
	SessionExpiryInterval         *uint32 // seconds; nil: what the client asked for
	ReceiveMaximum                uint16  // 0: absent, which means 65535
	MaximumQoS                    *QoS    // nil: absent, which means 2
	RetainAvailable               *bool   // nil: absent, which means true; likewise the other three
	MaximumPacketSize             uint32  // 0: absent, which means no limit
	AssignedClientID              string
	TopicAliasMaximum             uint16
	ReasonString                  string
	UserProperties                []UserProperty
	WildcardSubscriptionAvailable *bool
	SubscriptionIDAvailable       *bool
	SharedSubscriptionAvailable   *bool
	ServerKeepAlive               *uint16 // seconds; nil: what the client asked for
	ResponseInformation           string
	ServerReference               string
	AuthenticationMethod          string
	AuthenticationData            []byte // nil: absent
}

// Type returns TypeConnack.
func (p *Connack) Type() PacketType { return TypeConnack }

// Size returns the size of the encoded packet.
func (p *Connack) Size(v Version) int { return sizeOf(p, v) }

// Append appends the packet to b. Before 5.0 it refuses reason codes that have no return code: a
// server then closes the connection without CONNACK.
func (p *Connack) Append(b []byte, v Version) ([]byte, error) { return appendPacket(b, v, 0, p) }

func (p *Connack) encode(e *encoder) {
	if p.SessionPresent && p.ReasonCode.Failed() { // [MQTT-3.2.2-6]
		e.fail("SessionPresent", "is set in a refusal")
	}
	if p.SessionPresent && e.version != V31 {
		e.byte(1)
	} else {
		e.byte(0)
	}
	if e.version != V5 {
		code, ok := p.ReasonCode.returnCode()
		if !ok {
			e.fail("ReasonCode", "has no return code before version 5.0: "+p.ReasonCode.Error())
		}
		e.byte(code)
		return
	}
	e.reason(p.ReasonCode) // [MQTT-3.2.2-8]
	mark := e.open()
	p.encodeProperties(e)
	e.close(mark)
}

func (p *Connack) encodeProperties(e *encoder) {
	e.uint32Property(propSessionExpiryInterval, p.SessionExpiryInterval)
	e.uint16Property(propReceiveMaximum, p.ReceiveMaximum)
	if p.MaximumQoS != nil {
		if *p.MaximumQoS > AtLeastOnce { // [MQTT-3.2.2-9]
			e.fail("MaximumQoS", "is neither 0 nor 1")
		}
		e.byteProperty(propMaximumQoS, byte(*p.MaximumQoS))
	}
	e.flagProperty(propRetainAvailable, p.RetainAvailable)
	if p.MaximumPacketSize != 0 {
		e.uint32Property(propMaximumPacketSize, &p.MaximumPacketSize)
	}
	e.stringProperty(propAssignedClientID, p.AssignedClientID)
	e.uint16Property(propTopicAliasMaximum, p.TopicAliasMaximum)
	e.stringProperty(propReasonString, p.ReasonString)
	e.userProperties(p.UserProperties)
	e.flagProperty(propWildcardSubscriptionAvailable, p.WildcardSubscriptionAvailable)
	e.flagProperty(propSubscriptionIDAvailable, p.SubscriptionIDAvailable)
	e.flagProperty(propSharedSubscriptionAvailable, p.SharedSubscriptionAvailable)
	if p.ServerKeepAlive != nil {
		e.byte(byte(propServerKeepAlive))
		e.uint16(*p.ServerKeepAlive)
	}
	e.stringProperty(propResponseInformation, p.ResponseInformation)
	e.stringProperty(propServerReference, p.ServerReference)
	if p.AuthenticationData != nil && p.AuthenticationMethod == "" {
		e.fail("AuthenticationData", "needs an AuthenticationMethod")
	}
	e.stringProperty(propAuthenticationMethod, p.AuthenticationMethod)
	e.binaryProperty(propAuthenticationData, p.AuthenticationData)
}
