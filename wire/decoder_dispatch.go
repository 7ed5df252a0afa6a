package wire

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

// decodable is a packet that takes its fields from a cursor, which records the first problem.
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

// checkDirection refuses packets that the sender may not send at all.
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
