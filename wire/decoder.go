package wire

// Decoder decodes the bodies of packets. Set Version, and From when a server reads; then it is ready.
//
// Version 0 means that it is not known yet: only CONNECT can be decoded then, and sets it.
type Decoder struct {
	Version Version
	From    Sender // who sent the packets
	// Tolerate, if set, is told of each fault that leaves no doubt about what a packet
	// means and does no harm, and the packet is decoded all the same. It is for clients,
	// which have to live with the servers there are. Nil means that every fault is an
	// error, as the specification demands.
	Tolerate func(*Error)
	// MaxPropertyBytes bounds the property block of a packet, in bytes on the wire. Zero means 16 MiB.
	// MaxElements bounds how many user properties and subscription identifiers it holds, and the
	// filters of a SUBSCRIBE or UNSUBSCRIBE, which take several times as much in memory. Zero means
	// 65,536. Both are looked at before anything is decoded. A packet with more is an [*Error] with
	// the reason [QuotaExceeded].
	MaxPropertyBytes, MaxElements int

	lastTopic string // in most streams it is the next one, too
	topics    topicTable
	arena     propertyArena
}

// Recycle takes back all properties of PUBLISH packets that the decoder has handed out, to use them
// again, and forgets what they hold. They must not have been changed. Whoever waits for the next
// packet calls it before, so that nothing of the last is kept meanwhile.
func (d *Decoder) Recycle() { d.arena.recycle() }

// Decode decodes a packet into a new struct.
func (d *Decoder) Decode(h Header, body []byte) (Packet, error) {
	if err := d.checkDirection(h.Type); err != nil {
		return nil, err
	}
	switch h.Type {
	case TypeConnect:
		return decode(&Connect{}, d, h, body)
	case TypeConnack:
		return decode(&Connack{}, d, h, body)
	case TypePublish:
		p := new(Publish)
		return result(p, d.Publish(p, h, body))
	case TypePuback:
		p := new(Puback)
		return result(p, d.Puback(p, h, body))
	case TypePubrec:
		p := new(Pubrec)
		return result(p, d.Pubrec(p, h, body))
	case TypePubrel:
		p := new(Pubrel)
		return result(p, d.Pubrel(p, h, body))
	case TypePubcomp:
		p := new(Pubcomp)
		return result(p, d.Pubcomp(p, h, body))
	case TypeSubscribe:
		return decode(&Subscribe{}, d, h, body)
	case TypeSuback:
		return decode(&Suback{}, d, h, body)
	case TypeUnsubscribe:
		return decode(&Unsubscribe{}, d, h, body)
	case TypeUnsuback:
		return decode(&Unsuback{}, d, h, body)
	case TypePingreq:
		return decode(&Pingreq{}, d, h, body)
	case TypePingresp:
		return decode(&Pingresp{}, d, h, body)
	case TypeDisconnect:
		return decode(&Disconnect{}, d, h, body)
	case TypeAuth:
		return decode(&Auth{}, d, h, body)
	}
	return nil, malformed(h.Type, "reserved packet type")
}

// decodable is a packet that takes its fields from a cursor, which keeps what is wrong with them.
type decodable interface {
	Packet
	decode(d *Decoder, h Header, c *cursor)
}

func decode(p decodable, d *Decoder, h Header, body []byte) (Packet, error) {
	c := d.cursor(body, h.Type)
	p.decode(d, h, &c)
	return result(p, c.end())
}

func result(p Packet, err error) (Packet, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

// checkDirection refuses what the sender may not send at all.
func (d *Decoder) checkDirection(t PacketType) error {
	switch {
	case d.Version == 0 && t != TypeConnect: // [MQTT-3.1.0-1]
		return protocolError(t, "before CONNECT")
	case d.From == FromServer && clientOnly.has(t), d.From == FromClient && serverOnly.has(t):
		return protocolError(t, "sent by a "+d.From.String())
	case t == TypeDisconnect && d.From == FromServer && d.Version != V5:
		return protocolError(t, "sent by a server before version 5.0")
	case t == TypeAuth && d.Version != V5:
		return malformed(t, "reserved packet type 15")
	}
	return nil
}
