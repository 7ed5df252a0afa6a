package wire

// Will is the message that a server publishes for a client whose connection ends without DISCONNECT.
type Will struct {
	Topic   string
	Payload []byte // aliases the body when decoded
	QoS     QoS
	Retain  bool

	// The rest is for 5.0.
	DelayInterval         uint32 // seconds
	PayloadFormatUTF8     bool
	MessageExpiryInterval *uint32 // seconds; nil: never expires
	ContentType           string
	ResponseTopic         string
	CorrelationData       []byte // nil: absent; empty: present and empty
	UserProperties        []UserProperty
}

func (p *Will) encode(e *encoder) {
	if p.QoS > ExactlyOnce { // [MQTT-3.1.2-12]
		e.fail("Will.QoS", "is above 2")
	}
	if e.version == V5 {
		mark := e.open()
		p.encodeProperties(e)
		e.close(mark)
	} else if !e.writing {
		properties := encoder{packet: TypeConnect, version: e.version}
		p.encodeProperties(&properties)
		e.only5(properties.size > 0, "a property of Will")
	}
	e.topicName("Will.Topic", p.Topic) // [MQTT-3.1.3-11]
	e.binary("Will.Payload", p.Payload)
}

func (p *Will) encodeProperties(e *encoder) {
	if p.DelayInterval != 0 {
		e.uint32Property(propWillDelayInterval, &p.DelayInterval)
	}
	if p.PayloadFormatUTF8 {
		e.byteProperty(propPayloadFormatIndicator, 1)
	}
	e.uint32Property(propMessageExpiryInterval, p.MessageExpiryInterval)
	e.stringProperty(propContentType, p.ContentType)
	e.topicProperty(propResponseTopic, p.ResponseTopic)
	e.binaryProperty(propCorrelationData, p.CorrelationData)
	e.userProperties(p.UserProperties)
}

func decodeWill(c *cursor, v Version, flags byte) *Will {
	p := &Will{QoS: QoS(flags & flagWillQoS >> flagWillQoSShift), Retain: flags&flagWillRetain != 0}
	if v == V5 {
		p.decodeProperties(c)
	}
	p.Topic = c.string()
	if c.err == nil && !validTopicName(p.Topic) { // [MQTT-3.1.3-11]
		c.protocolError("will topic is not a topic name")
	}
	p.Payload = c.binary()
	return p
}

func (p *Will) decodeProperties(c *cursor) {
	c.properties(willBlock)
	for c.next() {
		switch c.property.id {
		case propWillDelayInterval:
			p.DelayInterval = c.property.number
		case propPayloadFormatIndicator:
			p.PayloadFormatUTF8 = c.property.number == 1
		case propMessageExpiryInterval:
			p.MessageExpiryInterval = new(c.property.number)
		case propContentType:
			p.ContentType = c.property.string()
		case propResponseTopic:
			p.ResponseTopic = c.property.string()
		case propCorrelationData:
			p.CorrelationData = c.property.data
		case propUserProperty:
			p.UserProperties = c.userProperty(p.UserProperties)
		}
	}
}
