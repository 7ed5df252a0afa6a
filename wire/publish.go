package wire

import (
	"encoding/binary"
	"slices"
)

// Publish carries an application message.
//
// Append does not check Topic for ill-formed UTF-8 or wildcards, because it runs for every message:
// the caller checks it with match.ValidateTopic.
type Publish struct {
	Topic      string             // may be empty together with a topic alias
	Payload    []byte             // aliases the body when decoded
	Properties *PublishProperties // nil: none
	PacketID   uint16             // 0 at QoS 0
	QoS        QoS
	Retain     bool
	Duplicate  bool // false at QoS 0
}

// PublishProperties are the 5.0 properties of a PUBLISH.
type PublishProperties struct {
	PayloadFormatUTF8     bool    // the payload is UTF-8 text; not checked
	MessageExpiryInterval *uint32 // seconds; nil: never expires
	TopicAlias            uint16  // 0: absent
	// OptionalUserProperties is how many of UserProperties, the last ones, are not worth a refusal. It is
	// not sent. Append and Size leave these properties out before 5.0; others make Append fail there.
	OptionalUserProperties uint16
	ResponseTopic          string
	CorrelationData        []byte // nil: absent; empty: present and empty
	UserProperties         []UserProperty
	SubscriptionIDs        []uint32 // only a server sends them
	ContentType            string
}

// Type returns TypePublish.
func (p *Publish) Type() PacketType { return TypePublish }

// Size returns the size of the encoded packet.
func (p *Publish) Size(v Version) int {
	properties, _ := p.propertiesSize(v)
	return packetSize(p.remaining(properties))
}

// remaining returns the remaining length. properties is the size of the property block with its length.
func (p *Publish) remaining(properties int) int {
	n := 2 + len(p.Topic) + properties + len(p.Payload)
	if p.QoS > AtMostOnce {
		n += 2
	}
	return n
}

// Append appends the packet to b. It does not allocate when b has the capacity.
func (p *Publish) Append(b []byte, v Version) ([]byte, error) {
	b, err := p.appendHead(b, v, len(p.Payload))
	if err != nil {
		return b, err
	}
	return append(b, p.Payload...), nil
}

// AppendHead appends all of the packet but its payload, which has to follow.
func (p *Publish) AppendHead(b []byte, v Version) ([]byte, error) { return p.appendHead(b, v, 0) }

// appendHead is AppendHead that reserves capacity for payload more bytes.
func (p *Publish) appendHead(b []byte, v Version, payload int) ([]byte, error) {
	properties := 0
	if v == V5 {
		properties = 1
	}
	if p.Properties != nil {
		var err error
		if properties, err = p.propertiesSize(v); err != nil {
			return b, err
		}
	}
	remaining := p.remaining(properties)
	if err := p.check(remaining); err != nil {
		return b, err
	}

	b = p.appendStart(slices.Grow(b, packetSize(remaining)-len(p.Payload)+payload), remaining, p.Topic)
	switch properties {
	case 0:
	case 1:
		b = append(b, 0) // [MQTT-2.2.2-1]
	default:
		e := encoder{b: b, writing: true, packet: TypePublish, version: v}
		p.Properties.encode(&e)
		b = e.b
	}
	return b, nil
}

// AppendAliased appends the packet with a topic alias (5.0). If the peer knows the alias, the topic is
// left out. The packet's own properties must not have an alias. Like Append it does not allocate when b
// has the capacity.
func (p *Publish) AppendAliased(b []byte, alias uint16, known bool) ([]byte, error) {
	if p.Properties != nil {
		return p.appendWithAlias(b, alias, known)
	}
	topic := p.Topic
	if known {
		topic = ""
	}
	const properties = 1 + 3
	remaining := p.remaining(properties) - len(p.Topic) + len(topic)
	if err := p.check(remaining); err != nil {
		return b, err
	}
	if alias == 0 { // [MQTT-3.3.2-8]
		return b, &FieldError{Packet: TypePublish, Field: "TopicAlias", Problem: "is 0"}
	}
	b = p.appendStart(slices.Grow(b, packetSize(remaining)), remaining, topic)
	b = append(b, properties-1, byte(propTopicAlias), byte(alias>>8), byte(alias))
	return append(b, p.Payload...), nil
}

// appendWithAlias is AppendAliased for a packet that has properties of its own.
func (p *Publish) appendWithAlias(b []byte, alias uint16, known bool) ([]byte, error) {
	q, properties := *p, *p.Properties
	q.Properties, properties.TopicAlias = &properties, alias
	if known {
		q.Topic = ""
	}
	return q.Append(b, V5)
}

// appendStart appends the part before the properties.
func (p *Publish) appendStart(b []byte, remaining int, topic string) []byte {
	first := byte(TypePublish)<<4 | byte(p.QoS)<<1
	if p.Retain {
		first |= 1
	}
	if p.Duplicate {
		first |= 8
	}
	b = appendVarint(append(b, first), remaining)
	b = append(b, byte(len(topic)>>8), byte(len(topic)))
	b = append(b, topic...)
	if p.QoS > AtMostOnce {
		b = binary.BigEndian.AppendUint16(b, p.PacketID)
	}
	return b
}

// check returns why the packet cannot be encoded, apart from its properties, or nil.
func (p *Publish) check(remaining int) error {
	fail := func(field, problem string) error {
		return &FieldError{Packet: TypePublish, Field: field, Problem: problem}
	}
	switch {
	case p.QoS > ExactlyOnce: // [MQTT-3.3.1-4]
		return fail("QoS", "is above 2")
	case (p.QoS == AtMostOnce) != (p.PacketID == 0): // [MQTT-2.2.1-2] [MQTT-2.2.1-3]
		return fail("PacketID", "is needed above QoS 0, and only there")
	case p.Duplicate && p.QoS == AtMostOnce: // [MQTT-3.3.1-2]
		return fail("Duplicate", "is set at QoS 0")
	case p.Topic == "" && (p.Properties == nil || p.Properties.TopicAlias == 0):
		return fail("Topic", "is empty") // [MQTT-4.7.3-1]
	case len(p.Topic) > maxField: // [MQTT-4.7.3-3]
		return fail("Topic", "is longer than 65535 bytes")
	case remaining > MaxRemainingLength:
		return fail("Payload", "is too large for a remaining length")
	}
	return nil
}

// propertiesSize checks the properties and returns the size of their block with its length field.
func (p *Publish) propertiesSize(v Version) (int, error) {
	switch {
	case p.Properties != nil:
		e := encoder{packet: TypePublish, version: v}
		p.Properties.encode(&e)
		if v == V5 {
			return e.size, e.err
		}
		e.only5(e.size > 1, "Properties")
		return 0, e.err
	case v == V5:
		return 1, nil
	}
	return 0, nil
}

func (p *PublishProperties) encode(e *encoder) {
	mark := e.open()
	if p.PayloadFormatUTF8 {
		e.byteProperty(propPayloadFormatIndicator, 1)
	}
	e.uint32Property(propMessageExpiryInterval, p.MessageExpiryInterval)
	e.uint16Property(propTopicAlias, p.TopicAlias)
	e.topicProperty(propResponseTopic, p.ResponseTopic) // [MQTT-3.3.2-14]
	e.binaryProperty(propCorrelationData, p.CorrelationData)
	e.userProperties(p.userProperties(e.version))
	for _, id := range p.SubscriptionIDs {
		e.subscriptionID(id)
	}
	e.stringProperty(propContentType, p.ContentType)
	e.close(mark)
}

// userProperties returns those that a packet of version v has.
func (p *PublishProperties) userProperties(v Version) []UserProperty {
	if v == V5 {
		return p.UserProperties
	}
	return p.RequiredUserProperties()
}

// RequiredUserProperties returns UserProperties without the optional ones. It shares them with p.
func (p *PublishProperties) RequiredUserProperties() []UserProperty {
	return p.UserProperties[:max(0, len(p.UserProperties)-int(p.OptionalUserProperties))]
}
