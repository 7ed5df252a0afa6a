package wire

// Subscribe asks for the messages on one or more filters.
type Subscribe struct {
	PacketID       uint16
	Filters        []SubscribeFilter
	SubscriptionID uint32 // 0: absent
	UserProperties []UserProperty
}

// SubscribeFilter is one filter of a SUBSCRIBE with its options. Before 5.0 there is only the QoS.
type SubscribeFilter struct {
	Filter            string
	QoS               QoS  // the highest to send with
	NoLocal           bool // not the messages of this very client
	RetainAsPublished bool // keep the retain flag of the message
	RetainHandling    RetainHandling
}

// RetainHandling says when a subscription is sent the retained messages.
type RetainHandling byte

// The three ways to handle retained messages.
const (
	SendRetained RetainHandling = iota
	SendRetainedIfNew
	DontSendRetained
)

// Type returns TypeSubscribe.
func (p *Subscribe) Type() PacketType { return TypeSubscribe }

// Size returns the size of the encoded packet.
func (p *Subscribe) Size(v Version) int { return sizeOf(p, v) }

// Append appends the packet to b. Before 5.0 it refuses what only 5.0 can say.
func (p *Subscribe) Append(b []byte, v Version) ([]byte, error) { return appendPacket(b, v, 0x02, p) }

func (p *Subscribe) encode(e *encoder) {
	e.packetID(p.PacketID)
	e.only5(p.SubscriptionID != 0, "SubscriptionID")
	e.only5(len(p.UserProperties) > 0, "UserProperties")
	if e.version == V5 {
		mark := e.open()
		if p.SubscriptionID != 0 {
			e.subscriptionID(p.SubscriptionID)
		}
		e.userProperties(p.UserProperties)
		e.close(mark)
	}
	if len(p.Filters) == 0 {
		e.fail("Filters", "is empty") // [MQTT-3.8.3-2]
	}
	for i := range p.Filters {
		p.Filters[i].encode(e)
	}
}

func (f *SubscribeFilter) encode(e *encoder) {
	e.filter(f.Filter)
	options := byte(f.QoS) | byte(f.RetainHandling)<<4
	if f.NoLocal {
		options |= noLocal
	}
	if f.RetainAsPublished {
		options |= retainAsPublished
	}
	e.byte(options)
	switch {
	case f.QoS > ExactlyOnce:
		e.fail("QoS", "is above 2")
	case f.RetainHandling > DontSendRetained:
		e.fail("RetainHandling", "is above 2")
	case f.NoLocal && isShared(f.Filter): // [MQTT-3.8.3-4]
		e.fail("NoLocal", "is set for a shared filter")
	}
	e.only5(options > byte(ExactlyOnce), "NoLocal, RetainAsPublished or RetainHandling")
}

// The bits of the options byte above the QoS.
const (
	noLocal           = 1 << 2
	retainAsPublished = 1 << 3
)

func (p *Subscribe) decode(d *Decoder, _ Header, c *cursor) {
	p.PacketID = c.packetID()
	if d.Version == V5 {
		c.properties(TypeSubscribe)
		for c.next() {
			switch c.property.id {
			case propSubscriptionID:
				p.SubscriptionID = c.property.number
			case propUserProperty:
				p.UserProperties = c.userProperty(p.UserProperties)
			}
		}
	}
	if len(c.b) == 0 && c.err == nil {
		c.protocolError("no filter") // [MQTT-3.8.3-2]
	}
	p.Filters = make([]SubscribeFilter, 0, c.countFilters(1))
	for len(c.b) > 0 {
		p.Filters = append(p.Filters, decodeSubscribeFilter(c, d.Version))
	}
}

func decodeSubscribeFilter(c *cursor, v Version) SubscribeFilter {
	filter := c.filter(v)
	options := c.byte()
	f := SubscribeFilter{
		Filter:            filter,
		QoS:               QoS(options & 3),
		NoLocal:           options&noLocal != 0,
		RetainAsPublished: options&retainAsPublished != 0,
		RetainHandling:    RetainHandling(options >> 4 & 3),
	}
	reserved := byte(0xC0)
	if v != V5 {
		reserved = 0xFC
	}
	switch {
	case c.err != nil:
	case options&reserved != 0: // [MQTT-3.8.3-5]
		c.malformed("reserved option bits")
	case f.QoS > ExactlyOnce && v != V5: // 3.1.1: [MQTT-3-8.3-4]
		c.malformed("QoS 3")
	case f.QoS > ExactlyOnce:
		c.protocolError("QoS 3")
	case f.RetainHandling > DontSendRetained:
		c.protocolError("retain handling 3")
	case f.NoLocal && isShared(filter): // [MQTT-3.8.3-4]
		c.protocolError("no local for a shared filter")
	}
	return f
}
