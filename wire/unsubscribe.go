package wire

// Unsubscribe ends subscriptions. A filter is spelled exactly as it was in the SUBSCRIBE.
type Unsubscribe struct {
	PacketID       uint16
	Filters        []string
	UserProperties []UserProperty // 5.0
}

// Type returns TypeUnsubscribe.
func (p *Unsubscribe) Type() PacketType { return TypeUnsubscribe }

// Size returns the size of the encoded packet.
func (p *Unsubscribe) Size(v Version) int { return sizeOf(p, v) }

// Append appends the packet to b.
func (p *Unsubscribe) Append(b []byte, v Version) ([]byte, error) { return appendPacket(b, v, 0x02, p) }

func (p *Unsubscribe) encode(e *encoder) {
	e.packetID(p.PacketID)
	e.only5(len(p.UserProperties) > 0, "UserProperties")
	if e.version == V5 {
		mark := e.open()
		e.userProperties(p.UserProperties)
		e.close(mark)
	}
	if len(p.Filters) == 0 {
		e.fail("Filters", "is empty") // [MQTT-3.10.3-2]
	}
	for _, filter := range p.Filters {
		e.filter(filter)
	}
}

func (p *Unsubscribe) decode(d *Decoder, _ Header, c *cursor) {
	p.PacketID = c.packetID()
	if d.Version == V5 {
		c.properties(TypeUnsubscribe)
		for c.next() {
			p.UserProperties = c.userProperty(p.UserProperties)
		}
	}
	if len(c.b) == 0 && c.err == nil {
		c.protocolError("no filter") // [MQTT-3.10.3-2]
	}
	p.Filters = make([]string, 0, c.countFilters(0))
	for len(c.b) > 0 {
		p.Filters = append(p.Filters, c.filter(d.Version))
	}
}
